"""Reduces runs to means over seeds before drawing, so that a figure takes as long for a hundred seeds as for one."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cifar_resnet.report.wording import count_range

GROUP = ["model", "depth", "setting"]


def over_seeds(frame: pd.DataFrame, column: str, along: Iterable[str] = ()) -> pd.DataFrame:
    """Mean, lowest and highest of a column over the seeds of each model, depth and setting.

    Args:
        frame: one row per run, or several along `along`.
        column: what is averaged; rows where it is missing are ignored.
        along: columns that are kept separate, such as epoch or layer.

    Returns:
        One row per group and value of `along`, in the order of the frame: mean, low, high, n.
    """
    groups = frame.dropna(subset=[column]).groupby([*GROUP, *along], sort=False, observed=True)[column]
    result = groups.agg(mean="mean", low="min", high="max", n="size").reset_index()
    return result.sort_values(list(along), kind="stable", ignore_index=True) if along else result


def band_label(frame: pd.DataFrame) -> str | None:
    """The legend's label of the band; None if every group has one seed."""
    counts = frame.groupby(GROUP, sort=False, observed=True)["seed"].nunique()
    if counts.empty or counts.max() == 1:
        return None
    return f"mean of {count_range(int(counts.min()), int(counts.max()), 'seed')}; band: lowest to highest"
