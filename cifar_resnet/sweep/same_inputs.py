"""Refuses to take a run on other images or from other weights for this one.

A run's folder depends on the name of its data and on the path in `init_from`, not on the files there. So runs record
the identity of their data set (see `DataSet.identify`), which is compared wherever a run would be skipped; a run that
continues compares all of its images itself. Where the images are absent, nothing is compared. Runs also record the
digest of the metrics of the run that they started from.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from cifar_resnet.datasets import DATASETS
from cifar_resnet.errors import ConfigError, DataError
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.sweep.assignment import needs_training


def check(runs: Sequence[tuple[RunDir, Config]]) -> None:
    """Checks the runs of a command.

    Raises:
        DataError: a run that is over was trained on other images, or two runs with different images are one folder.
        ConfigError: a run started from other weights than those of the run in `init_from`.
    """
    for run, config in runs:
        if config.init_from is not None:
            _check_weights(run, config.init_from)
    identity_of = lru_cache(identify)  # forgotten afterwards, because files change
    roots: dict[Path, Config] = {}
    for run, config in runs:
        data, first = config.data, roots.setdefault(run.path, config).data
        if data.root != first.root and identity_of(data.kind, data.root) != identity_of(first.kind, first.root):
            raise DataError(
                f"data.root={first.root} and data.root={data.root} are different images with one name, "
                f"data.name={data.name}, so their runs would be the same; train each with its own data.name=<name>"
            )
    for run, config in runs:
        if needs_training(run, config):
            continue
        known, data = recorded_images(run), config.data
        if known is not None and identity_of(data.kind, data.root) not in (None, known):
            raise DataError(
                f"data.root={data.root}: these are not the images of {run.path}, which was trained on others with the "
                "same name; name these with data.name=<name>, or set data.root to the others"
            )


def _check_weights(run: RunDir, init_from: str) -> None:
    known = _recorded(run, "init_from", "metrics")
    if known not in (None, RunDir(Path(init_from)).recorded("metrics_digest")):
        raise ConfigError(
            f"init_from={init_from}: {run.path} started from the weights of another training than the one that is "
            f"there now; name the folder of that one, or delete {run.path}"
        )


def recorded_images(run: RunDir) -> str | None:
    """The identity of the images that a run records; None if it hasn't started, or is from before this was recorded."""
    return _recorded(run, "data", "identity")


def _recorded(run: RunDir, key: str, part: str) -> str | None:
    """A part of what the run records; None if it hasn't started, or is from before this was recorded."""
    found = run.recorded(key)
    return found.get(part) if isinstance(found, dict) else None


def identify(kind: str, root: str | None) -> str | None:
    """The identity of the images in `root`; None if there are none, or only one data set is of this kind."""
    known, folder = DATASETS[kind].identify, Path(root or ".").expanduser()
    try:
        # The place where a disk isn't mounted is an empty folder.
        is_absent = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    except OSError:
        is_absent = True
    return None if known is None or is_absent else known(folder)
