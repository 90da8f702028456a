"""The tables of differences: between models, between depths, and between the reference setting and each other one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from cifar_resnet.notation import number
from cifar_resnet.report.intervals import LEVEL, PAIRED, Difference, compare, decimals, holm
from cifar_resnet.report.runs import predictions
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.factors import split_length
from cifar_resnet.report.runs.groups import Group, Key, compared, fewest, seeds_draw_images, with_references
from cifar_resnet.report.tables.table import MISSING, Table, plus
from cifar_resnet.report.wording import count


@dataclass(frozen=True)
class Measure:
    """An error that networks are compared by: its name in tables, and the column with its number of images."""

    words: str
    split: str


MEASURES = {
    "test_error": Measure("final test error", "test_images"),
    "train_error": Measure("final training error", "train_images"),
    "val_error": Measure("final validation error", "val_images"),
}
_COMPARED = ("test_error", "train_error")


@dataclass(frozen=True)
class Comparison:
    """Two networks compared by one measure.

    Attributes:
        measure: one of MEASURES.
        first: the network compared with.
        second: the network compared.
        one: how much higher the second's error is, with the corrected interval; None if either has no finished run.
    """

    measure: str
    first: Group
    second: Group
    one: Difference | None

    @property
    def images(self) -> float | None:
        """The number of images of the error."""
        return fewest(self.first, self.second, column=MEASURES[self.measure].split)


def difference(runs: Runs, first: Group, second: Group, measure: str) -> Difference:
    """How much higher the second group's error is, before correcting for the number of comparisons.

    With one seed, a training error is judged like an error on the test images: its own sampling error, over all
    training images, would be far below the spread between seeds.
    """
    values = first.values(measure), second.values(measure)
    one_seed = min(map(len, values)) < 2
    split = "test_images" if one_seed and measure == "train_error" else MEASURES[measure].split
    wrong = predictions.wrong(first, second, runs.statuses) if one_seed and measure == "test_error" else None
    return compare(*values, fewest(first, second, column=split), wrong, seeds_draw_images(first, second))


def comparisons(runs: Runs, data: str) -> list[Comparison]:
    """Each model compared with the next at the same depth, and each depth with the next of the same model."""
    pairs = list(_pairs(runs.networks[data]))
    made = [_compare(runs, first, second, measure) for measure in _COMPARED for first, second in pairs]
    return _corrected(made)


def ablations(runs: Runs, data: str) -> list[Comparison]:
    """Each setting compared with the reference of the same model and depth, see `groups.with_references`.

    Empty if there is only one setting, or if the settings are those of a search without the defaults of conf/.
    """
    if not runs.has_default(data):
        return []
    measure = compared(runs.of(data).finished)
    pairs = with_references(runs.networks[data].values())
    return _corrected([_compare(runs, reference, other, measure) for reference, others in pairs for other in others])


def _compare(runs: Runs, first: Group, second: Group, measure: str) -> Comparison:
    known = first.values(measure) and second.values(measure)
    return Comparison(measure, first, second, difference(runs, first, second, measure) if known else None)


def _corrected(made: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one table, with intervals corrected for their number."""
    corrected = iter(holm([each.one for each in made if each.one is not None]))
    return [each if each.one is None else replace(each, one=next(corrected)) for each in made]


def _pairs(groups: dict[Key, Group]) -> Iterator[tuple[Group, Group]]:
    """Pairs of neighboring models with the same setting and depth, then of neighboring depths with the same model."""
    models: dict[tuple[str, int], list[Group]] = defaultdict(list)
    depths: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for (model, setting, depth), group in groups.items():
        models[setting, depth].append(group)
        depths[model, setting].append(group)
    for alike in (*models.values(), *depths.values()):
        yield from _neighbors(alike)


def _neighbors(groups: Sequence[Group]) -> Iterator[tuple[Group, Group]]:
    """Neighbors among the networks with finished runs, and each other network with one of those."""
    last: Group | None = None
    for index, group in enumerate(groups):
        if last is not None:
            yield last, group
        elif group.rows:
            yield from ((lost, group) for lost in groups[:index])
        last = group if group.rows else last


def comparison(runs: Runs, data: str) -> Table | None:
    """The comparisons of models and depths; None if no two networks differ in only one of the two."""
    made = comparisons(runs, data)
    labels = [{"from": each.first.name, "to": each.second.name, "setting": each.first.setting} for each in made]
    title = f"Differences between models and between depths on {runs.title(data)}"
    return _table("comparison", title, "", made, labels, runs.smallest)


def ablation(runs: Runs, data: str) -> Table | None:
    """The comparisons of settings; None if there is only one setting."""
    made = ablations(runs, data)
    if not made:
        return None
    several = any(split_length(each.first.setting)[0] != split_length(each.second.setting)[0] for each in made)
    labels = [
        {
            "model": each.first.model,
            "layers": str(each.first.depth),
            "length": split_length(each.first.setting)[1] if several else "",
            "reference": changed(each.first, each.second),
            "changed to": changed(each.second, each.first),
        }
        for each in made
    ]
    words = MEASURES[made[0].measure].words.capitalize()
    note = (
        f"{words} of each setting compared with the reference{' of the same length' * several}, the setting with the "
        "fewest values that differ from conf/. "
    )
    return _table("ablation", f"Ablations on {runs.title(data)}", note, made, labels, runs.smallest)


def changed(group: Group, other: Group) -> str:
    """The values of a setting that the other one doesn't have."""
    parts = [part for part in group.setting.split(", ") if part not in other.setting.split(", ")]
    return ", ".join(parts) or MISSING


def _table(
    name: str, title: str, note: str, made: Sequence[Comparison], labels: Sequence[dict[str, str]], smallest: float
) -> Table | None:
    if not any(each.one for each in made):
        return None
    rows, numbers = [], []
    for each, label in zip(made, labels, strict=True):
        measure = {"measure": each.measure} if name == "comparison" else {}
        shown = {"measure": MEASURES[each.measure].words.removeprefix("final ")} if measure else {}
        rows.append({**shown, **label, **_cells(each, smallest)})
        numbers.append({**measure, **label, **_numbers(each, smallest)})
    frame = pd.DataFrame(rows)
    frame = frame.drop(columns=[head for head in frame if frame[head].eq("").all()])
    return Table(name, title, frame, note + _note(made, smallest), pd.DataFrame(numbers))


def _cells(each: Comparison, smallest: float) -> dict[str, str]:
    digits, one = decimals(each.images), each.one
    cells = {
        "first (%)": _mean(each.first, each.measure, digits),
        "second (%)": _mean(each.second, each.measure, digits),
        "difference (points)": MISSING if one is None else plus(one.mean, digits),
        "corrected interval (points)": MISSING if one is None else interval(one, digits),
        "seeds": _seeds(each),
        "verdict": "no finished run" if one is None else one.words(smallest),
    }
    if one is not None and one.method == PAIRED:
        cells["seeds"] += " pairs"
    return cells


def _seeds(each: Comparison) -> str:
    """The seeds of both networks, of those that started where not all have finished."""
    pair = each.first, each.second
    shown = [str(len(group.values(each.measure))) for group in pair]
    if any(group.lost for group in pair):
        return " and ".join(f"{seeds} of {group.started}" for seeds, group in zip(shown, pair, strict=True))
    return " and ".join(dict.fromkeys(shown))


def _mean(group: Group, measure: str, digits: int) -> str:
    values = list(group.values(measure).values())
    return f"{math.fsum(values) / len(values):.{digits}f}" if values else MISSING


def interval(one: Difference, digits: int) -> str:
    """The interval as a table shows it."""
    if math.isinf(one.error):
        return "unknown"
    return f"{plus(one.low, digits)} to {plus(one.high, digits)}{' *' * one.one_seed}"


def _numbers(each: Comparison, smallest: float) -> dict[str, Any]:
    one = each.one
    counts = {
        f"{name}_{side}": amount
        for side, group in (("first", each.first), ("second", each.second))
        for name, amount in (
            ("n", len(group.values(each.measure))),
            ("started", group.started),
            ("diverged", group.states["diverged"]),
            ("failed", group.states["failed"]),
        )
    }
    if one is None:
        return counts
    return {
        "first": one.first,
        "second": one.second,
        "difference": one.mean,
        "low": one.low,
        "high": one.high,
        "p": one.p,
        "level": one.level,
        "method": one.method,
        "verdict": one.words(smallest),
        **counts,
    }


def _note(made: Sequence[Comparison], smallest: float) -> str:
    found = [each.one for each in made if each.one is not None]
    tests = sum(math.isfinite(one.error) for one in found)
    note = (
        "Errors are those of the last epoch, differences in percentage points, second minus first, before rounding. "
        f"This table makes {count(tests, 'comparison')}; the "
        f"intervals are corrected for their number (Holm), so that the chance of any false “better” or “worse” is "
        f"{number(100 * LEVEL)} % in the whole table. “Better” and “worse”: the interval excludes zero and the "
        f"difference is at least {number(smallest)} points. “No difference worth naming”: the whole interval lies "
        f"within ±{number(smallest)} points."
    )
    if any(one.one_seed for one in found):
        note += (
            " * One seed: the interval covers only the choice of test images (for a training error, that of a "
            "test error of the same size). A verdict of one seed says nothing about another training."
        )
    return note
