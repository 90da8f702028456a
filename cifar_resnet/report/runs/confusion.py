"""Confusion matrices of the final networks, from the predictions.csv of runs that differ only in their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from cifar_resnet.report.runs import predictions
from cifar_resnet.report.wording import join

Array = np.ndarray[Any, Any]
# Of more depths than this, only the shallowest, the middle and the deepest one are shown.
MOST_DEPTHS, MOST_NETWORKS = 3, 9
# The matrices of more classes would fill the memory, and nobody could read them.
_MOST_CLASSES = 1000


@dataclass
class Confusion:
    """The confusion matrices of the final networks of one model and depth.

    Attributes:
        model: as in `ARCHITECTURES`.
        depth: layers.
        classes: names, by number.
        matrices: one (K, K) matrix per run: the number of images of class row that were predicted as class column.
    """

    model: str
    depth: int
    classes: list[str]
    matrices: list[Array] = field(default_factory=list)

    @property
    def counts(self) -> Array:
        """(K, K), the sum over runs."""
        return np.asarray(np.sum(self.matrices, axis=0))

    @property
    def shares(self) -> Array:
        """(K, K), percent of the images of each row's class; NaN where there are none."""
        return _percent(self.counts, self.counts.sum(1, keepdims=True))

    @property
    def errors(self) -> Array:
        """(runs, K), the error of each class in percent."""
        matrices = np.stack(self.matrices)
        images = matrices.sum(2)
        return _percent(images - np.diagonal(matrices, axis1=1, axis2=2), images)


def _percent(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100.0 * part / whole)


def collect(runs: pd.DataFrame, statuses: dict[str, dict[str, Any]]) -> list[Confusion]:
    """The confusion matrices of the finished runs of one data set and setting, of at most `MOST_NETWORKS` networks.

    Runs without predictions, with damaged ones, with other classes than the first run or with over 1,000 are left out.
    """
    found: dict[tuple[str, int], Confusion] = {}
    for run in runs[runs["depth"].isin(shown_depths(runs["depth"]))].to_dict("records"):
        classes = _names(statuses[run["folder"]])
        matrix = _read(run["folder"], statuses[run["folder"]], len(classes))
        key = str(run["model"]), int(run["depth"])
        if matrix is None or classes != next(iter(found.values()), Confusion(*key, classes)).classes:
            continue
        found.setdefault(key, Confusion(*key, classes)).matrices.append(matrix)
    return list(found.values())[:MOST_NETWORKS]


def shown_depths(depths: pd.Series[int]) -> Sequence[int]:
    """The depths that a figure of a few shows: of more than three the shallowest, the middle and the deepest one."""
    known = sorted({int(depth) for depth in depths})
    if len(known) <= MOST_DEPTHS:
        return known
    return [known[0], known[len(known) // 2], known[-1]]


def omitted_depths(depths: pd.Series[int]) -> str:
    """A sentence on the depths that such a figure doesn't show; empty where it shows all."""
    omitted = sorted({int(depth) for depth in depths} - {*shown_depths(depths)})
    return f"Networks of {join(omitted)} layers are not shown." if omitted else ""


def _names(status: dict[str, Any]) -> list[str]:
    data = status.get("data") or {}
    return [str(name) for name in data.get("class_names") or range(int(data.get("classes") or 0))]


def _read(folder: str, status: dict[str, Any], classes: int) -> Array | None:
    if classes > _MOST_CLASSES:
        return None
    found = predictions.read(folder, status.get("predictions_digest"))
    if found is None or min(map(np.min, found)) < 0 or max(map(np.max, found)) >= classes:
        return None
    labels, predicted = found
    return np.bincount(labels.astype(int) * classes + predicted, minlength=classes**2).reshape(classes, classes)
