"""Downloads a data set before any run starts: python -m cifar_resnet.training.data.download KIND ROOT."""

from __future__ import annotations

import sys
from pathlib import Path

from cifar_resnet.errors import CifarResnetError, ExitCode
from cifar_resnet.training.data import cifar


def main(kind: str, root: str) -> int:
    """Downloads the archive of `kind` to `root`, with a progress bar; returns the exit code."""
    print(f"downloading {kind} to data.root={root}", file=sys.stderr, flush=True)
    try:
        cifar.download(kind, Path(root))
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER
    return ExitCode.FINISHED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
