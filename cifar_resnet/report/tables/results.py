"""The tables of results: all measures of each network, and one measure by model and depth."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import pandas as pd

from cifar_resnet.datasets import cifar10
from cifar_resnet.report import published
from cifar_resnet.report.intervals import decimals, mean_and_std
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import Group, fewest
from cifar_resnet.report.tables.table import MISSING, Table, plus, with_std
from cifar_resnet.report.wording import TimeUnit, count, time_unit

# Measure → name and title of its grid, and the column with the number of images that it was measured on.
GRIDS = {
    "test_error": ("test-error", "Final test error (%), last epoch", "test_images"),
    "train_error": ("training-error", "Final training error (%), last epoch", "train_images"),
    "best_test_error": (
        "best-error",
        "Best epoch's test error (%), selected on the test set and therefore optimistically biased",
        "test_images",
    ),
    "best_val_error": ("best-error", "Best epoch's validation error (%), on the hold-out split", "val_images"),
}
_SEEDS = "Mean ± sample standard deviation over seeds (no ± for one seed)."


def main(runs: Runs, data: str) -> Table | None:
    """All measures, one row per model, setting and depth; None if no run has finished.

    Published values are shown for the runs that `published.is_comparable` accepts.
    """
    groups = list(runs.groups[data].values())
    if not groups:
        return None
    comparable = any(_is_comparable(group) for group in groups)
    unit = time_unit(max((time for group in groups for time in group.values("seconds").values()), default=0.0))
    rows = [_main_row(group, unit) | (_published(group) if comparable else {}) for group in groups]
    numbers = [_numbers(group) | (_published_numbers(group) if comparable else {}) for group in groups]
    notes = [_SEEDS, *_notes_on_digits(groups), *_notes_on_published(groups, comparable)]
    return Table("main", f"Results on {runs.title(data)}", _frame(rows), " ".join(notes), pd.DataFrame(numbers))


def _frame(rows: list[dict[str, str]]) -> pd.DataFrame:
    """The rows as a frame, without columns that are empty in all rows."""
    frame = pd.DataFrame(rows).fillna(MISSING)
    empty = [head for head in frame if frame[head].isin(["", MISSING]).all()]
    return frame.drop(columns=empty)


def _main_row(group: Group, unit: TimeUnit) -> dict[str, str]:
    values, test = group.values("test_error"), decimals(group.smallest("test_images"))
    train, val = decimals(group.smallest("train_images")), decimals(group.smallest("val_images"))
    times, parameters = mean_and_std(list(group.values("seconds").values()))[0], group.smallest("parameters")
    loss, speed = (mean_and_std(list(group.values(name).values()))[0] for name in ("train_loss", "images_per_second"))
    return {
        "model": group.model,
        "setting": group.setting,
        "layers": str(group.depth),
        "seeds": str(len(values)),
        "final test error (%)": _mean(group, "test_error", test),
        "median (%)": f"{median(values.values()):.{test}f}" if len(values) > 1 else MISSING,
        "best epoch's test error (%), selected on the test set": _mean(group, "best_test_error", test),
        "final validation error (%)": _mean(group, "val_error", val),
        "best epoch's validation error (%)": _mean(group, "best_val_error", val),
        "final training error (%)": _mean(group, "train_error", train),
        "final training loss": MISSING if math.isnan(loss) else f"{loss:.3g}",
        "parameters": MISSING if parameters is None else f"{parameters:,.0f}",
        f"time ({unit.symbol})": MISSING if math.isnan(times) else _three_digits(times / unit.seconds),
        "images/s": MISSING if math.isnan(speed) else _three_digits(speed),
    }


def _mean(group: Group, column: str, digits: int) -> str:
    return with_std(*mean_and_std(list(group.values(column).values())), digits)


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent: 0.581, 12.4, 2,130."""
    return f"{float(f'{value:.3g}'):,.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def _is_comparable(group: Group) -> bool:
    counts = (group.smallest(name) for name in ("train_images", "test_images"))
    return published.is_comparable(_is_cifar10(group), *counts)


def _is_cifar10(group: Group) -> bool:
    return all(row["is_cifar10"] for row in group.rows)


def _published(group: Group) -> dict[str, str]:
    """The cells with published values, our difference from them (ours minus theirs), and the lab's mark."""
    if not _is_comparable(group):
        return {}
    error = mean_and_std(list(group.values("test_error").values()))[0]
    cells = {}
    for who, head in (("paper", "paper (%)"), ("lab", "lab (%)"), ("others", "others (%)")):
        found = published.published(group.model, group.depth, who)
        cells[head] = "; ".join(one.text for one in found) or MISSING
        if who != "others":
            cells[f"from the {who} (points)"] = plus(error - found[0].error, 2) if found else MISSING
    if (group.model, group.depth) == published.MARKED:
        cells["lab's mark"] = str(published.lab_mark(100 - error))
    return cells


def _published_numbers(group: Group) -> dict[str, Any]:
    if not _is_comparable(group):
        return {}
    error = mean_and_std(list(group.values("test_error").values()))[0]
    numbers: dict[str, Any] = {}
    for who in ("paper", "lab"):
        for one in published.published(group.model, group.depth, who):
            numbers |= {f"{who}_error": one.error, f"{who}_difference": error - one.error}
    if (group.model, group.depth) == published.MARKED:
        numbers["lab_mark"] = published.lab_mark(100 - error)
    return numbers


def _numbers(group: Group) -> dict[str, Any]:
    row: dict[str, Any] = {"model": group.model, "setting": group.setting, "depth": group.depth}
    row["n"] = len(group.values("test_error"))
    for column in (*GRIDS, "train_loss", "seconds", "images_per_second"):
        values = list(group.values(column).values())
        if values:
            row[f"{column}_mean"], row[f"{column}_std"] = mean_and_std(values)
    row["test_error_median"] = median(group.values("test_error").values()) if row["n"] else math.nan
    return row | {"parameters": group.smallest("parameters")}


def _notes_on_digits(groups: list[Group]) -> list[str]:
    images = fewest(*groups)
    if images is None or decimals(images) == 2:
        return []
    return [
        f"One of {images:,.0f} test images is {100 / images:.2g} % of them, so errors are shown with no more digits."
    ]


def _notes_on_published(groups: list[Group], comparable: bool) -> list[str]:
    if comparable:
        sources = dict.fromkeys(
            f"{one.text} % from {one.source}{f' ({one.note})' if one.note else ''}"
            for group in groups
            for who in ("paper", "lab", "others")
            for one in published.published(group.model, group.depth, who)
        )
        return ["Published: " + "; ".join(sources) + ".", *_notes_on_holdout(groups)] if sources else []
    if any(_is_cifar10(group) for group in groups):
        return [
            "Published values are for all 50,000 training and 10,000 test images of CIFAR-10; these runs used fewer."
        ]
    return ["Published values are for the lossless CIFAR-10 test set, so they are not shown here."]


def _notes_on_holdout(groups: list[Group]) -> list[str]:
    fewest_images = fewest(*(group for group in groups if _is_comparable(group)), column="train_images")
    if fewest_images is None or fewest_images == cifar10.TRAIN_IMAGES:
        return []
    return [
        f"Published networks were trained on all {cifar10.TRAIN_IMAGES:,} images, some or all of these on only "
        f"{fewest_images:,.0f}."
    ]


def grid(runs: Runs, data: str, measure: str) -> Table | None:
    """One measure of GRIDS: one row per model and setting, one column per depth; None if it wasn't measured."""
    groups = {key: group for key, group in runs.groups[data].items() if group.values(measure)}
    if not groups:
        return None
    name, title, split = GRIDS[measure]
    depths = sorted({depth for _, _, depth in groups})
    seeds = {len(group.values(measure)) for group in groups.values()}
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for (model, setting, depth), group in groups.items():
        row = rows.setdefault(
            (model, setting), {"model": model, "setting": setting} | {f"{one} layers": MISSING for one in depths}
        )
        cell = _mean(group, measure, decimals(group.smallest(split)))
        row[f"{depth} layers"] = cell if len(seeds) == 1 else f"{cell} (n={len(group.values(measure))})"
    frame = _frame(list(rows.values()))
    repeats = f"{count(max(seeds), 'seed').capitalize()} each." if len(seeds) == 1 else "n: number of seeds."
    return Table(name, title, frame, f"{_SEEDS} {repeats}")
