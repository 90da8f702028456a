"""What a claim is, how verdicts add up, and the runs that claims are judged on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cifar_resnet.report import reproduce
from cifar_resnet.report.groups import Group, fewest
from cifar_resnet.report.load import Runs
from cifar_resnet.report.statistics import ONE_SEED, PAIRED, Difference, decimals
from cifar_resnet.report.tables.table import plus
from cifar_resnet.run.folder import State

HOLDS, FAILS, OPEN = "holds", "does not hold", "can't be told"
# A claim about differences is worth this many seeds at least.
_SEEDS = 3


@dataclass(frozen=True)
class Claim:
    """A claim of the papers or the lab, judged on the runs at hand.

    evidence: the numbers that the verdict rests on; missing, command: what would settle it, or make it surer, and how
    to get it. All three are empty where there is nothing to say.
    """

    number: int
    key: str
    statement: str
    verdict: str
    evidence: str = ""
    missing: str = ""
    command: str = ""


def combine(signs: Iterable[int]) -> str:
    """One verdict of several findings: 1 speaks for the claim, -1 against it, 0 for neither.

    It holds where all speak for it, doesn't where any speaks against it, and can't be told otherwise.

    >>> [combine(signs) for signs in ([1, 1], [1, -1, 0], [1, 0], [])]
    ['holds', 'does not hold', "can't be told", "can't be told"]
    """
    signs = list(signs)
    if -1 in signs:
        return FAILS
    return HOLDS if signs and all(sign == 1 for sign in signs) else OPEN


class Case:
    """The finished runs of one data set in its main setting; settings of an ablation don't mix."""

    def __init__(self, runs: Runs, data: str) -> None:
        self.setting = runs.main_settings[data]
        self.groups: dict[tuple[str, int], Group] = {
            (model, depth): group
            for (model, setting, depth), group in runs.groups[data].items()
            if setting == self.setting
        }
        in_setting = runs.runs[(runs.runs["data"] == data) & (runs.runs["setting"] == self.setting)]
        self.config: dict[str, Any] = runs.configs[in_setting["folder"].iloc[0]]
        self.kind = str(in_setting["kind"].iloc[0])
        self._epochs, self._diagnostics = runs.epochs, runs.diagnostics
        self._data = data

    def depths(self, model: str) -> list[int]:
        """The depths of which a run has finished, from the shallowest."""
        return sorted(depth for name, depth in self.groups if name == model)

    def epochs(self, model: str, depth: int) -> pd.DataFrame:
        """The rows of all finished runs of a network."""
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
        """The line that trains these networks as the others were."""
        first = self.config["seed"] if seeds == 1 else 0
        numbers = [first] if seeds == 1 else list(range(seeds))
        return reproduce.command(self.config, extra, model=list(models), depth=list(depths), seed=numbers)

    def more_seeds(self, one: Difference, models: Sequence[str], depths: Sequence[int]) -> tuple[str, str]:
        """What is missing for a surer verdict on a difference, and the command; both empty where it is sure enough."""
        have = min(one.n)
        if have >= _SEEDS and one.sign:
            return "", ""
        wanted = max(_SEEDS, 2 * have)
        return f"more seeds: {wanted} rather than {have}", self.command(models, depths, wanted)


def name(group: Group) -> str:
    """The network as readers call it.

    >>> name(Group("resnet", "", 56, 0))
    'resnet-56'
    """
    return f"{group.model}-{group.depth}"


def with_interval(one: Difference, digits: int, images: float | None) -> str:
    """A difference in points, with what it can be trusted for; `images`: that its errors are of."""
    text = f"{plus(one.mean, digits)} points"
    if one.method != ONE_SEED:
        count = f"the {one.n[0]} seeds that both have" if one.method == PAIRED else f"{one.n[0]} and {one.n[1]} seeds"
        return f"{text} (95 % interval {plus(one.low, digits)} to {plus(one.high, digits)}, {count})"
    if images is None:
        return f"{text} (one seed: no interval)"
    width = (one.high - one.low) / 2
    return (
        f"{text} (one seed: no interval; the choice of {images:,.0f} images alone explains up to {width:.{digits}f} "
        "points either way)"
    )


def errors(case: Case, groups: Sequence[Group], measure: str, split: str) -> str:
    """The mean errors of networks in words: plain-20 1.1 %, plain-56 88.3 %."""
    digits = decimals(fewest(*groups, column=split))
    means = [(group, list(group.values(measure).values())) for group in groups]
    return ", ".join(f"{name(group)} {sum(values) / len(values):.{digits}f} %" for group, values in means if values)
