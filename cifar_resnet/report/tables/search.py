"""The table of a search: the error to expect from a number of trials."""

from __future__ import annotations

from collections import defaultdict
from math import prod

import pandas as pd

from cifar_resnet.report.intervals import decimals, expected_best, mean_and_std
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import Group, compared
from cifar_resnet.report.tables.differences import MEASURES
from cifar_resnet.report.tables.table import MISSING, Table

# Fewer trials than this are no search.
FEWEST = 8
# A diverged trial counts as this error, as it does in the search itself.
_DIVERGED = 100.0


def search(runs: Runs, data: str) -> Table | None:
    """The expected lowest error of 1, 2, 4, … trials, one column per network; None if the runs aren't a search.

    Runs are a search if their settings are only some of the combinations of the values in them, as drawn values are.
    """
    measure = compared(runs.of(data).finished)
    columns, digits = {}, 2
    for groups in _networks(runs, data).values():
        trials = _trials(groups, measure)
        if len(trials) >= FEWEST and _is_drawn(groups):
            columns[groups[0].name] = [expected_best(trials, n) for n in range(1, len(trials) + 1)]
            digits = min(digits, min(decimals(group.smallest(MEASURES[measure].split)) for group in groups))
    if not columns:
        return None
    most = max(map(len, columns.values()))
    shown = sorted({*(2**power for power in range(most.bit_length())), most})
    rows = [{"trials": str(n)} | {head: _cell(found, n, digits) for head, found in columns.items()} for n in shown]
    numbers = pd.DataFrame({head: pd.Series(found) for head, found in columns.items()})
    numbers.insert(0, "trials", range(1, most + 1))
    note = (
        "Expected lowest error if so many trials were drawn at random from those of the search (Dodge et al. 2019). "
        "The search learns from its trials, so it may need fewer. A diverged trial counts as 100 %. The lowest of many "
        "errors is optimistically biased: train its values again with other seeds."
    )
    title = f"{MEASURES[measure].words.capitalize()} (%) to expect from a number of trials"
    return Table("search", title, pd.DataFrame(rows), note, numbers)


def _networks(runs: Runs, data: str) -> dict[tuple[str, int], list[Group]]:
    networks: dict[tuple[str, int], list[Group]] = defaultdict(list)
    for (model, _, depth), group in runs.networks[data].items():
        networks[model, depth].append(group)
    return networks


def _trials(groups: list[Group], measure: str) -> list[float]:
    """The error of each setting, averaged over its seeds."""
    values = [list(group.values(measure).values()) for group in groups]
    lost = sum(not found and group.states["diverged"] > 0 for found, group in zip(values, groups, strict=True))
    return [mean_and_std(found)[0] for found in values if found] + [_DIVERGED] * lost


def _is_drawn(groups: list[Group]) -> bool:
    """Whether there are fewer settings than combinations of their values."""
    values: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        for part in group.setting.split(", "):
            key, _, value = part.partition("=")
            values[key].add(value)
    return len(groups) < prod(map(len, values.values())) / 2


def _cell(found: list[float], trials: int, digits: int) -> str:
    return f"{found[trials - 1]:.{digits}f}" if trials <= len(found) else MISSING
