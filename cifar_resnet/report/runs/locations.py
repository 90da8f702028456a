"""Where the runs are now, which isn't where their configs say if their folders were moved."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifar_resnet.run.identity import run_name


def with_present_out(configs: Mapping[str, dict[str, Any]], data: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The configs, with the folder that contains all runs of a data set now as their `out`.

    It stays as configured unless one folder contains all of these runs in the usual layout,
    <out>/<data>/<model>-<depth>/<run>: where copies were collected in several folders, there is no such folder.

    Args:
        configs: folder → config.
        data: folder → data set.
    """
    places: dict[str, set[Path | None]] = defaultdict(set)
    for folder, config in configs.items():
        places[data[folder]].add(_out(Path(os.path.abspath(folder)), config))
    located = dict[str, dict[str, Any]]()
    for folder, config in configs.items():
        (place, *others) = places[data[folder]]
        located[folder] = config if others or place is None else {**config, "out": str(place)}
    return located


def _out(folder: Path, config: Mapping[str, Any]) -> Path | None:
    """The folder `out` if the run is at its usual place below it, whatever the run's own name; otherwise None."""
    usual = Path(run_name(config, {})).parent
    return folder.parents[2] if folder.parts[-3:-1] == usual.parts else None
