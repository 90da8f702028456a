"""Which class the final networks take for which: predictions.csv of repeated runs as one matrix of counts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cifar_resnet.errors import RunError
from cifar_resnet.report import texts
from cifar_resnet.run.files import digest
from cifar_resnet.run.folder import RunDir

Array = np.ndarray[Any, Any]
# Of more depths of a model than this, the shallowest, the middle and the deepest are shown.
MOST_DEPTHS, MOST_NETWORKS = 3, 9


@dataclass
class Confusion:
    """The final networks of one model and depth, repeated over seeds.

    classes: names by number. matrices: a run each, (K, K) images of class row taken for class column.
    """

    model: str
    depth: int
    classes: list[str]
    matrices: list[Array] = field(default_factory=list)

    @property
    def counts(self) -> Array:
        """(K, K), summed over runs."""
        return np.asarray(np.sum(self.matrices, axis=0))

    @property
    def shares(self) -> Array:
        """(K, K), percent of the images of each row's class; NaN where there are none."""
        return _percent(self.counts, self.counts.sum(1, keepdims=True))

    @property
    def errors(self) -> Array:
        """(runs, K), the share of each class's images that was taken for another, in percent."""
        matrices = np.stack(self.matrices)
        images = matrices.sum(2)
        return _percent(images - np.diagonal(matrices, axis1=1, axis2=2), images)


def _percent(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100.0 * part / whole)


def collect(runs: pd.DataFrame, statuses: dict[str, dict[str, Any]]) -> list[Confusion]:
    """The confusions of finished runs of one data set and setting, in the runs' order; at most `MOST_NETWORKS`.

    Runs without predictions, with damaged ones, or of other classes than the first are left out.
    """
    found: dict[tuple[str, int], Confusion] = {}
    for run in runs[runs["depth"].isin(_shown(runs["depth"]))].to_dict("records"):
        classes = _names(statuses[run["folder"]])
        matrix = _read(run["folder"], statuses[run["folder"]], len(classes))
        key = str(run["model"]), int(run["depth"])
        if matrix is None or classes != next(iter(found.values()), Confusion(*key, classes)).classes:
            continue
        found.setdefault(key, Confusion(*key, classes)).matrices.append(matrix)
    return list(found.values())[:MOST_NETWORKS]


def _shown(depths: pd.Series[int]) -> Sequence[int]:
    known = sorted({int(depth) for depth in depths})
    if len(known) <= MOST_DEPTHS:
        return known
    return [known[0], known[len(known) // 2], known[-1]]


def _names(status: dict[str, Any]) -> list[str]:
    data = status.get("data") or {}
    return [str(name) for name in data.get("class_names") or range(int(data.get("classes") or 0))]


def _read(folder: str, status: dict[str, Any], classes: int) -> Array | None:
    path = RunDir(Path(folder)).predictions
    known = status.get("predictions_digest")
    if known is not None and known != digest(path):
        return None
    try:
        text = texts.read_lines(path)
        frame = pd.read_csv(io.StringIO(text), usecols=["label", "prediction"], dtype=int)
    except (RunError, ValueError):
        return None
    pairs = frame["label"].to_numpy(), frame["prediction"].to_numpy()
    if not len(frame) or min(map(np.min, pairs)) < 0 or max(map(np.max, pairs)) >= classes:
        return None
    return np.bincount(pairs[0] * classes + pairs[1], minlength=classes**2).reshape(classes, classes)
