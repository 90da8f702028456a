"""Groups the finished runs of a data set that differ only in their seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass
class Group:
    """The runs of one model, setting and depth, which differ only in their seeds."""

    model: str
    setting: str
    depth: int
    off_default: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def values(self, column: str) -> dict[int, float]:
        """Seed → value of a column, for the runs in which it was measured."""
        pairs = ((row["seed"], row.get(column)) for row in self.rows)
        return {seed: float(value) for seed, value in pairs if value is not None and not math.isnan(value)}

    def smallest(self, column: str) -> float | None:
        """The smallest value of a column, such as a number of images; None if no run has one."""
        return min(self.values(column).values(), default=None)


Key = tuple[str, str, int]


def collect(finished: pd.DataFrame) -> dict[str, dict[Key, Group]]:
    """Data set → (model, setting, depth) → its finished runs, in the order of the table."""
    groups: dict[str, dict[Key, Group]] = defaultdict(dict)
    names = [str(name) for name in finished]
    for values in finished.itertuples(index=False, name=None):
        row = dict(zip(names, values, strict=True))
        key = row["model"], row["setting"], row["depth"]
        groups[row["data"]].setdefault(key, Group(*key, row["off_default"])).rows.append(row)
    return groups


def compared(finished: pd.DataFrame) -> str:
    """The column of the error that settings are compared by.

    It is the validation error if all runs have one, so that choosing a setting is not choosing on the test set.
    """
    held_out = "val_error" in finished and bool(finished["val_error"].notna().all())
    return "val_error" if held_out else "test_error"


def fewest(*groups: Group, column: str = "test_images") -> float | None:
    """The smallest number of images that an error in any of the groups was measured on."""
    return min((count for group in groups if (count := group.smallest(column)) is not None), default=None)
