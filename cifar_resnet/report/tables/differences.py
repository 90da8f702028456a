"""The tables of differences: between models, between depths, and between the default setting and each other one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pandas as pd

from cifar_resnet.report.intervals import ONE_SEED, PAIRED, Difference, compare, decimals
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.factors import split_length
from cifar_resnet.report.runs.groups import Group, Key, compared, fewest
from cifar_resnet.report.tables.table import MISSING, Table, plus

# Measure → its name, and the column with the number of images that it was measured on.
MEASURES = {"test_error": ("final test error", "test_images"), "train_error": ("final training error", "train_images")}
_HELD_OUT = {"val_error": ("final validation error", "val_images")}
_NOTE = (
    "Differences are in percentage points, second minus first. “Better” and “worse” mean that the 95 % interval "
    "excludes zero (t-interval, paired over the seeds that both have). With one seed there is no interval: then they "
    "mean that the difference is larger than the choice of test images explains; other seeds may give another result."
)
_WORDS = {1: "worse", -1: "better", 0: "not significantly different"}


def difference(first: Group, second: Group, measure: str, split: str = "test_images") -> Difference:
    """How much higher the second group's error is.

    Training errors are judged by the number of test images, too: their own sampling error, over all training images,
    would be far below the spread between seeds.
    """
    return compare(first.values(measure), second.values(measure), fewest(first, second, column=split))


def interval(one: Difference, digits: int) -> str:
    """The interval as a table shows it."""
    return "one seed: no interval" if one.method == ONE_SEED else f"{plus(one.low, digits)} to {plus(one.high, digits)}"


def verdict(one: Difference) -> str:
    """Better, worse or not significantly different; marked if it rests on one seed."""
    return _WORDS[one.sign] + (" (one seed)" if one.method == ONE_SEED and one.sign else "")


def comparison(runs: Runs, data: str) -> Table | None:
    """Each model compared with the next at the same depth, and each depth with the next of the same model.

    None if no two networks differ in only one of the two.
    """
    pairs = list(_pairs(runs.groups[data]))
    rows, numbers = [], []
    for measure, (words, split) in MEASURES.items():
        for first, second in pairs:
            if first.values(measure) and second.values(measure):
                one = difference(first, second, measure)
                labels = {
                    "from": f"{first.model}-{first.depth}",
                    "to": f"{second.model}-{second.depth}",
                    "setting": first.setting,
                }
                rows.append({"measure": words, **labels, **_cells(one, fewest(first, second, column=split))})
                numbers.append({"measure": measure, **labels, **_numbers(one)})
    if not rows:
        return None
    title = f"Differences between models and between depths on {runs.title(data)}"
    return Table("comparison", title, _without_empty(rows), _NOTE, pd.DataFrame(numbers))


def _pairs(groups: dict[Key, Group]) -> Iterator[tuple[Group, Group]]:
    """Pairs of neighboring models with the same setting and depth, then of neighboring depths with the same model."""
    models: dict[tuple[str, int], list[Group]] = defaultdict(list)
    depths: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for (model, setting, depth), group in groups.items():
        models[setting, depth].append(group)
        depths[model, setting].append(group)
    for alike in (*models.values(), *depths.values()):
        yield from pairwise(alike)


def ablation(runs: Runs, data: str) -> Table | None:
    """Each setting compared with the default one of the same model and depth; None if there is only one setting.

    The default is the setting with the fewest values that differ from conf/; among several, the one with the most runs.
    If settings differ in more than the length of training, only those of the same length are compared.
    """
    lengths = {setting: split_length(setting) for _, setting, _ in runs.groups[data]}
    several = len({rest for rest, _ in lengths.values()}) > 1
    networks: dict[tuple[str, int, str], list[Group]] = defaultdict(list)
    for (model, setting, depth), group in runs.groups[data].items():
        networks[model, depth, lengths[setting][1] if several else ""].append(group)
    measure = compared(runs.of(data).finished)
    words, split = (MEASURES | _HELD_OUT)[measure]
    rows, numbers = [], []
    for (model, depth, length), groups in networks.items():
        if len(groups) < 2:
            continue
        default = min(groups, key=lambda group: (group.off_default, -len(group.rows)))
        for group in groups:
            if group is default or not (group.values(measure) and default.values(measure)):
                continue
            one = difference(default, group, measure, split)
            labels = {"model": model, "layers": str(depth), "length": length}
            labels |= {"default": _changed(default, group), "changed to": _changed(group, default)}
            rows.append({**labels, **_cells(one, fewest(default, group, column=split))})
            numbers.append({**labels, **_numbers(one)})
    if not rows:
        return None
    note = (
        f"{words.capitalize()} of each setting compared with the default one{' of the same length' * several}. {_NOTE}"
    )
    return Table("ablation", f"Ablations on {runs.title(data)}", _without_empty(rows), note, pd.DataFrame(numbers))


def _changed(group: Group, other: Group) -> str:
    """The values of a setting that the other one doesn't have."""
    parts = [part for part in group.setting.split(", ") if part not in other.setting.split(", ")]
    return ", ".join(parts) or MISSING


def _cells(one: Difference, images: float | None) -> dict[str, str]:
    digits = decimals(images)
    return {
        "first (%)": f"{one.first:.{digits}f}",
        "second (%)": f"{one.second:.{digits}f}",
        "difference (points)": plus(one.mean, digits),
        "95 % interval (points)": interval(one, digits),
        "seeds": f"{one.n[0]} pairs" if one.method == PAIRED else " and ".join(map(str, dict.fromkeys(one.n))),
        "in words": verdict(one),
    }


def _numbers(one: Difference) -> dict[str, Any]:
    known = one.method != ONE_SEED
    return {
        "first": one.first,
        "second": one.second,
        "difference": one.mean,
        "low": one.low if known else math.nan,
        "high": one.high if known else math.nan,
        "n_first": one.n[0],
        "n_second": one.n[1],
        "method": one.method,
        "verdict": _WORDS[one.sign],
    }


def _without_empty(rows: list[dict[str, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    return frame.drop(columns=[head for head in frame if frame[head].eq("").all()])
