"""Downloads a data set before any run starts: python -m cifar_resnet.training.data.download KIND ROOT."""

from __future__ import annotations

import sys
from pathlib import Path

from cifar_resnet.errors import CifarResnetError, ExitCode
from cifar_resnet.terminal import never_fail
from cifar_resnet.training.data import cifar


def main(arguments: list[str] | None = None) -> int:
    """Downloads the archive of KIND to ROOT, with a progress bar; returns the exit code."""
    never_fail()
    kind, root = sys.argv[1:] if arguments is None else arguments
    print(f"downloading {kind} to data.root={root}", file=sys.stderr, flush=True)
    try:
        cifar.download(kind, Path(root))
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER
    return ExitCode.FINISHED


if __name__ == "__main__":
    sys.exit(main())
