"""The tables of results: all measures of each network, and one measure by model and depth."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import pandas as pd

from cifar_resnet.notation import significant
from cifar_resnet.report.intervals import decimals, mean_and_std
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import Group, fewest
from cifar_resnet.report.tables.beside import why_not
from cifar_resnet.report.tables.table import MISSING, Table, identify, named, with_std
from cifar_resnet.report.wording import TimeUnit, count, time_unit
from cifar_resnet.run.states import State

# Measure → name and title of its grid, and the column with the number of images that it was measured on.
GRIDS = {
    "test_error": ("test-error", "Final test error (%), last epoch", "test_images"),
    "val_error": ("validation-error", "Final validation error (%), last epoch", "val_images"),
    "train_error": ("training-error", "Final training error (%), last epoch", "train_images"),
    "best_test_error": (
        "best-test-error",
        "Best epoch's test error (%), selected on the test set and therefore optimistically biased",
        "test_images",
    ),
    "best_val_error": (
        "best-validation-error",
        "Best epoch's validation error (%), on the hold-out split",
        "val_images",
    ),
}
# How runs ended that haven't finished; columns without any are left out.
_LOST = ("diverged", "failed", "other")
_COSTS = ("seconds", "images_per_second")
_SEEDS = "Mean ± sample standard deviation over seeds (no ± for one seed)."


def main(runs: Runs, data: str) -> Table | None:
    """Our errors, one row per model, setting and depth, with or without a finished run; None if no run has finished."""
    groups = list(runs.networks[data].values())
    if not any(group.rows for group in groups):
        return None
    finished = [group for group in groups if group.rows]
    frame = _frame([_main_row(group) for group in groups])
    frame = frame.drop(columns=[head for head in _LOST if frame[head].eq("0").all()])
    notes = [_SEEDS, *_notes_on_digits(finished), *_notes_on_last_epochs(runs, finished), why_not(runs, data)]
    if "other" in frame:
        notes.append("Other runs were interrupted or are still running.")
    title = f"Results on {runs.title(data)}"
    return Table("main", title, frame, " ".join(filter(None, notes)), pd.DataFrame(map(_numbers, groups)))


def cost(runs: Runs, data: str) -> Table | None:
    """What the networks cost, one row per model, setting and depth with a finished run; None if there is none."""
    groups = list(runs.groups[data].values())
    if not groups:
        return None
    times = (_cost(group, "seconds")[0] for group in groups)
    unit = time_unit(max((time for time in times if not math.isnan(time)), default=0.0))
    numbers = [{**identify(group), **_cost_numbers(group)} for group in groups]
    note = (
        "Means over the finished runs; the time covers training and evaluation. Other work on the machine at the same "
        "time makes it longer."
    )
    if any(_is_mixed(group) for group in groups):
        note += " Networks whose runs, or parts of them, were trained on different devices have no time and no speed."
    title = f"Size and cost of the networks on {runs.title(data)}"
    return Table("cost", title, _frame([_cost_row(group, unit) for group in groups]), note, pd.DataFrame(numbers))


def _frame(rows: list[dict[str, str]]) -> pd.DataFrame:
    """The rows as a frame, without columns that are empty in all rows."""
    frame = pd.DataFrame(rows).fillna(MISSING)
    empty = [head for head in frame if frame[head].isin(["", MISSING]).all()]
    return frame.drop(columns=empty)


def _main_row(group: Group) -> dict[str, str]:
    values, test = group.values("test_error"), decimals(group.smallest("test_images"))
    train, val = decimals(group.smallest("train_images")), decimals(group.smallest("val_images"))
    return {
        **named(group),
        "runs finished": f"{group.finished} of {group.started}",
        "final test error (%)": _mean(group, "test_error", test),
        "median (%)": f"{median(values.values()):.{test}f}" if len(values) > 1 else MISSING,
        "best epoch's test error (%), selected on the test set": _mean(group, "best_test_error", test),
        "final validation error (%)": _mean(group, "val_error", val),
        "best epoch's validation error (%)": _mean(group, "best_val_error", val),
        "final training error (%)": _mean(group, "train_error", train),
        **_lost(group),
    }


def _lost(group: Group) -> dict[str, str]:
    """How many of the runs that started haven't finished, and how they ended."""
    counts = {state.value: group.states[state.value] for state in (State.DIVERGED, State.FAILED)}
    counts["other"] = group.started - group.finished - sum(counts.values())
    return {head: str(counts[head]) for head in _LOST}


def _cost_row(group: Group, unit: TimeUnit) -> dict[str, str]:
    parameters = group.smallest("parameters")
    times, speed = (_cost(group, column)[0] for column in _COSTS)
    return {
        **named(group),
        "parameters": MISSING if parameters is None else f"{parameters:,.0f}",
        f"time ({unit.symbol})": MISSING if math.isnan(times) else _three_digits(times / unit.seconds),
        "images/s": MISSING if math.isnan(speed) else _three_digits(speed),
    }


def _cost(group: Group, column: str) -> tuple[float, float]:
    """Mean and standard deviation over the runs; of different devices, they would say nothing about any of them."""
    return (math.nan, math.nan) if _is_mixed(group) else mean_and_std(list(group.values(column).values()))


def _is_mixed(group: Group) -> bool:
    """Whether several devices trained the runs, or parts of them, as far as they are known."""
    devices = {row["device"] for row in group.rows if row["device"]}
    return len(devices) > 1 or any(row["mixed_devices"] for row in group.rows)


def _mean(group: Group, column: str, digits: int) -> str:
    return with_std(*mean_and_std(list(group.values(column).values())), digits)


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent: 0.581, 12.4, 2,130."""
    return f"{float(f'{value:.3g}'):,.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def _numbers(group: Group) -> dict[str, Any]:
    row = identify(group) | {"n": len(group.values("test_error")), "started": group.started, "finished": group.finished}
    row |= {"diverged": group.states["diverged"], "failed": group.states["failed"]}
    for column in (*GRIDS, "train_loss"):
        values = list(group.values(column).values())
        if values:
            row[f"{column}_mean"], row[f"{column}_std"] = mean_and_std(values)
    row["test_error_median"] = median(group.values("test_error").values()) if row["n"] else math.nan
    return row | _cost_numbers(group)


def _cost_numbers(group: Group) -> dict[str, Any]:
    row: dict[str, Any] = {"parameters": group.smallest("parameters")}
    for column in _COSTS:
        row[f"{column}_mean"], row[f"{column}_std"] = _cost(group, column)
    return row


def _notes_on_digits(groups: list[Group]) -> list[str]:
    images = fewest(*groups)
    if images is None or decimals(images) == 2:
        return []
    return [
        f"One of {images:,.0f} test images is {significant(100 / images, 2)} % of them, so errors are shown with no "
        "more digits."
    ]


def _notes_on_last_epochs(runs: Runs, groups: list[Group]) -> list[str]:
    """Says where training errors are means over a part of an epoch, because the length is in iterations."""
    parts = set()
    for row in (row for group in groups for row in group.rows):
        length = runs.configs[row["folder"]]["optim"].get("iterations")
        whole = (runs.statuses[row["folder"]].get("progress") or {}).get("steps_per_epoch")
        if length and whole:
            parts.add((length, length % whole, whole))
    return [
        f"With optim.iterations={length}, the last epoch has only {steps} of {whole} steps, and the final training "
        "error is the mean over these."
        for length, steps, whole in sorted(parts)
        if steps > 0
    ]


def grid(runs: Runs, data: str, measure: str) -> Table | None:
    """One measure of GRIDS: one row per model and setting, one column per depth; None if it wasn't measured."""
    groups = {key: group for key, group in runs.networks[data].items() if group.values(measure) or not group.rows}
    measured = [group for group in groups.values() if group.rows]
    if not measured:
        return None
    name_, title, split = GRIDS[measure]
    depths = sorted({depth for _, _, depth in groups})
    seeds = {len(group.values(measure)) for group in measured}
    complete = len(seeds) == 1 and not any(group.lost for group in groups.values())
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for (model, setting, depth), group in groups.items():
        row = rows.setdefault(
            (model, setting), {"model": model, "setting": setting} | {f"{one} layers": MISSING for one in depths}
        )
        cell = _mean(group, measure, decimals(group.smallest(split)))
        row[f"{depth} layers"] = cell if complete else f"{cell} ({_count(group, measure)})"
    frame = _frame(list(rows.values()))
    repeats = f"{count(max(seeds), 'seed').capitalize()} each."
    if not complete:
        repeats = "n: number of seeds, of those that started where not all have finished."
    return Table(name_, title, frame, f"{_SEEDS} {repeats}")


def _count(group: Group, measure: str) -> str:
    seeds = len(group.values(measure))
    return f"n={seeds} of {group.started}" if group.lost else f"n={seeds}"
