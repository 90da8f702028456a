"""What a claim is, what was found about it, and the runs that claims are judged on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cifar_resnet.report import reproduce
from cifar_resnet.report.intervals import PAIRED, Difference, decimals
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import Group, fewest
from cifar_resnet.report.tables.table import plus
from cifar_resnet.run.folder import State

HOLDS, FAILS, OPEN = "holds", "does not hold", "inconclusive"
# Fewer seeds than this ask for more, whatever the verdict.
_SEEDS = 3


@dataclass(frozen=True)
class Finding:
    """What the runs show about a claim.

    Attributes:
        verdict: HOLDS, FAILS or OPEN.
        evidence: the numbers behind the verdict; empty where nothing was measured.
        missing: what would settle the claim or make the verdict more certain; empty where nothing is missing.
        command: the command that provides what is missing; empty likewise.
    """

    verdict: str
    evidence: str = ""
    missing: str = ""
    command: str = ""


class Case:
    """The finished runs of one data set in its main setting; other settings of an ablation are left out."""

    def __init__(self, runs: Runs, data: str) -> None:
        self.runs = runs
        self.setting = runs.main_settings[data]
        self.groups: dict[tuple[str, int], Group] = {
            (model, depth): group
            for (model, setting, depth), group in runs.groups[data].items()
            if setting == self.setting
        }
        in_setting = runs.runs[(runs.runs["data"] == data) & (runs.runs["setting"] == self.setting)]
        self.config: dict[str, Any] = runs.configs[in_setting["folder"].iloc[0]]
        self._epochs, self._diagnostics = runs.epochs, runs.diagnostics
        self._data = data

    def depths(self, model: str) -> list[int]:
        """The depths at which a run of the model has finished, in ascending order."""
        return sorted(depth for name, depth in self.groups if name == model)

    def epochs(self, model: str, depth: int) -> pd.DataFrame:
        """The epochs of all finished runs of a network."""
        return self._pick(self._epochs, model, depth)

    def diagnostics(self, model: str, depth: int) -> pd.DataFrame:
        """The recorded layers of all finished runs of a network."""
        return self._pick(self._diagnostics, model, depth)

    def _pick(self, frame: pd.DataFrame, model: str, depth: int) -> pd.DataFrame:
        return frame[
            (frame["model"] == model)
            & (frame["depth"] == depth)
            & (frame["setting"] == self.setting)
            & (frame["state"] == State.FINISHED.value)
            & (frame["data"] == self._data)
        ]

    def command(self, models: Sequence[str], depths: Sequence[int], seeds: int = 1, extra: Sequence[str] = ()) -> str:
        """The command that trains these networks in the same way as the others."""
        first = self.config["seed"] if seeds == 1 else 0
        numbers = [first] if seeds == 1 else list(range(seeds))
        return reproduce.command(self.config, extra, model=list(models), depth=list(depths), seed=numbers)

    def more_seeds(self, one: Difference, models: Sequence[str], depths: Sequence[int]) -> tuple[str, str]:
        """What would make the verdict on a difference more certain, and the command; both empty if nothing would."""
        have = min(one.n)
        if have >= _SEEDS and one.sign:
            return "", ""
        wanted = max(_SEEDS, 2 * have)
        return f"more seeds: {wanted} rather than {have}", self.command(models, depths, wanted)


@dataclass(frozen=True)
class Claim:
    """A claim of the papers or of the lab; the same for all runs.

    Attributes:
        key: its name in the templates.
        statement: one sentence.
        models: the models that it is about; a report without runs of all of them doesn't mention it.
        needs: the networks or measurements without which nothing can be found.
        command: the command that provides them, as if the runs of the case had been more.
        judge: what the runs show; None where they lack what the claim needs.
    """

    key: str
    statement: str
    models: tuple[str, ...]
    needs: str
    command: Callable[[Case], str]
    judge: Callable[[Case], Finding | None]

    def find(self, case: Case) -> Finding:
        """What the runs show about the claim; where that is nothing, what they lack."""
        return self.judge(case) or Finding(OPEN, missing=self.needs, command=self.command(case))


@dataclass(frozen=True)
class JudgedClaim:
    """A claim and what one data set's runs show about it."""

    claim: Claim
    finding: Finding


def combine(signs: Iterable[int]) -> str:
    """One verdict from several results: 1 supports the claim, -1 contradicts it, 0 does neither.

    The claim holds if all results support it, does not hold if any contradicts it, and is otherwise inconclusive.

    >>> [combine(signs) for signs in ([1, 1], [1, -1, 0], [1, 0], [])]
    ['holds', 'does not hold', 'inconclusive', 'inconclusive']
    """
    signs = list(signs)
    if -1 in signs:
        return FAILS
    return HOLDS if signs and all(sign == 1 for sign in signs) else OPEN


def name(group: Group) -> str:
    """The network's usual name.

    >>> name(Group("resnet", "", 56, 0))
    'resnet-56'
    """
    return f"{group.model}-{group.depth}"


def with_interval(one: Difference, digits: int, images: float | None) -> str:
    """A difference in points with its interval, for running text.

    Args:
        one: the difference.
        digits: decimals to show.
        images: the number of images that the errors were measured on, where it is known.
    """
    text = f"{plus(one.mean, digits)} points"
    if math.isinf(one.error):
        return f"{text} (one seed: no interval)"
    shown = f"95 % interval {plus(one.low, digits)} to {plus(one.high, digits)}"
    if one.one_seed:
        on = "test images" if images is None else f"{images:,.0f} test images"
        return f"{text} (one seed; {shown} over the choice of {on} only)"
    count = f"{one.n[0]} paired seeds" if one.method == PAIRED else f"{one.n[0]} and {one.n[1]} seeds"
    return f"{text} ({shown}, {count})"


def errors(case: Case, groups: Sequence[Group], measure: str, split: str) -> str:
    """The mean errors of networks for running text: plain-20 1.1 %, plain-56 88.3 %."""
    digits = decimals(fewest(*groups, column=split))
    means = [(group, list(group.values(measure).values())) for group in groups]
    return ", ".join(f"{name(group)} {sum(values) / len(values):.{digits}f} %" for group, values in means if values)
