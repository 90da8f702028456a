"""Refuses to take a run on other images for this one: a run's folder depends on the name of its data, not on the files.

Runs record the identity of their data set, see `DataSet.identify`. It is compared wherever a run would be skipped; a
run that continues compares all of its images itself. Where the images are absent, nothing is compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from cifar_resnet.datasets import DATASETS
from cifar_resnet.errors import DataError, RunError
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.sweep.assignment import reason_to_skip


def check(runs: Sequence[tuple[RunDir, Config]]) -> None:
    """Checks the runs of a command.

    Raises:
        DataError: a run that is over was trained on other images, or two runs with different images are one folder.
    """
    identify = lru_cache(_identify)  # forgotten afterwards, because files change
    roots: dict[Path, Config] = {}
    for run, config in runs:
        data, first = config.data, roots.setdefault(run.path, config).data
        if data.root != first.root and identify(data.kind, data.root) != identify(first.kind, first.root):
            raise DataError(
                f"data.root={first.root} and data.root={data.root} are different images with one name, "
                f"data.name={data.name}, so their runs would be the same; train each with its own data.name=<name>"
            )
    for run, config in runs:
        if reason_to_skip(run, run.verified_state(), config.runtime.retry_failed) is None:
            continue
        known, data = _recorded(run), config.data
        if known is not None and identify(data.kind, data.root) not in (None, known):
            raise DataError(
                f"data.root={data.root}: these are not the images of {run.path}, which was trained on others with the "
                "same name; name these with data.name=<name>, or set data.root to the others"
            )


def _recorded(run: RunDir) -> str | None:
    """The identity of the run's images; None if it hasn't started, or is from before identities were recorded."""
    with contextlib.suppress(RunError):
        data = run.read_status().get("data")
        return data.get("identity") if isinstance(data, dict) else None
    return None


def _identify(kind: str, root: str | None) -> str | None:
    """The identity of the images in `root`; None if there are none, or only one data set is of this kind."""
    known, folder = DATASETS[kind].identify, Path(root or ".").expanduser()
    try:
        # The place where a disk isn't mounted is an empty folder.
        is_absent = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    except OSError:
        is_absent = True
    return None if known is None or is_absent else known(folder)
