"""The table of a search: the error to expect from a number of trials."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from cifar_resnet.report.intervals import decimals, expected_best, mean_and_std
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import Group, compared
from cifar_resnet.report.tables.differences import MEASURES
from cifar_resnet.report.tables.table import MISSING, Table

# A diverged trial counts as this error, as it does in the search itself.
_DIVERGED = 100.0


def search(runs: Runs, data: str) -> Table | None:
    """The expected lowest error of 1, 2, 4, … trials, one column per network; None if the runs aren't a search.

    If the search also draws the network, which then has settings of its own, a column has the trials of all networks.
    """
    if not runs.is_search(data):
        return None
    measure, groups = compared(runs.of(data).finished), list(runs.networks[data].values())
    kinds = {group.name: [other for other in groups if other.name == group.name] for group in groups}
    if len(kinds) > 1 and len({group.setting for group in groups}) == len(groups):
        kinds = {"all": groups} | kinds
    trials = {name: _trials(some, measure) for name, some in kinds.items()}
    columns = {name: [expected_best(one, n) for n in range(1, len(one) + 1)] for name, one in trials.items() if one}
    if not columns:
        return None
    digits = min((decimals(group.smallest(MEASURES[measure].split)) for group in groups if group.rows), default=2)
    most = max(map(len, columns.values()))
    shown = sorted({*(2**power for power in range(most.bit_length())), most})
    rows = [{"trials": str(n)} | {head: _cell(found, n, digits) for head, found in columns.items()} for n in shown]
    numbers = pd.DataFrame({head: pd.Series(found) for head, found in columns.items()})
    numbers.insert(0, "trials", range(1, most + 1))
    note = (
        "Expected lowest error if so many trials were drawn at random from those of the search (Dodge et al. 2019). "
        "The search learns from its trials, so it may need fewer. A diverged trial counts as 100 %"
        f"{_left_out(groups, measure)}. The lowest of many errors is optimistically biased: train its values again "
        "with other seeds."
    )
    title = f"{MEASURES[measure].words.capitalize()} (%) to expect from a number of trials"
    return Table("search", title, pd.DataFrame(rows), note, numbers)


def _trials(groups: list[Group], measure: str) -> list[float]:
    """The error of each setting, averaged over its seeds."""
    values = [list(group.values(measure).values()) for group in groups]
    lost = sum(not found and group.states["diverged"] > 0 for found, group in zip(values, groups, strict=True))
    return [mean_and_std(found)[0] for found in values if found] + [_DIVERGED] * lost


def _left_out(groups: list[Group], measure: str) -> str:
    """How many trials have no value, by their states; empty if all have one."""
    states = sum((group.states for group in groups if not group.values(measure)), Counter[str]())
    left = [f"{amount} {state}" for state, amount in sorted(states.items()) if state != "diverged"]
    return f"; without a value: {', '.join(left)}" if left else ""


def _cell(found: list[float], trials: int, digits: int) -> str:
    return f"{found[trials - 1]:.{digits}f}" if trials <= len(found) else MISSING
