"""What a claim is, what was found about it, and the runs that claims are judged on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from cifar_resnet.notation import significant
from cifar_resnet.report import reproduce
from cifar_resnet.report.intervals import (
    BETTER,
    MARK,
    PAIRED,
    POWER,
    SAME,
    WORSE,
    Difference,
    decimals,
    seeds_needed,
)
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import Group, fewest
from cifar_resnet.report.tables.differences import difference
from cifar_resnet.report.tables.table import plus
from cifar_resnet.report.wording import join
from cifar_resnet.run.states import State

HOLDS, FAILS, OPEN = "holds", "does not hold", "inconclusive"
# One seed per network shows no spread; three show a rough one.
SEEDS = 3
# No command asks for more seeds than this: it would take weeks.
_MOST_SEEDS = 20
# What counts as a similar error, as a share of the error. The paper calls its plain and residual networks of 18 layers
# on ImageNet "comparably accurate" without giving a margin, so this margin is ours.
SIMILAR = 0.1


@dataclass(frozen=True)
class Finding:
    """What the runs show about a claim.

    Attributes:
        verdict: HOLDS, FAILS or OPEN.
        evidence: the numbers behind the verdict; empty where nothing was measured.
        missing: what would settle the claim or make the verdict more certain; empty where nothing is missing.
        command: the command that provides what is missing; empty likewise.
        in_short: the most important numbers, for the summary; may be empty.
        parts: what the verdict consists of, such as a depth → its verdict, where the parts differ.
        one_seed: whether the verdict rests on a network of one seed.
    """

    verdict: str
    evidence: str = ""
    missing: str = ""
    command: str = ""
    in_short: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    one_seed: bool = False


class Case:
    """The runs of one data set in its main setting; other settings of an ablation are left out."""

    def __init__(self, runs: Runs, data: str) -> None:
        self.runs = runs
        self.setting = runs.main_settings[data]
        self.networks: dict[tuple[str, int], Group] = {
            (model, depth): group
            for (model, setting, depth), group in runs.networks[data].items()
            if setting == self.setting
        }
        self.groups = {key: group for key, group in self.networks.items() if group.rows}
        in_setting = runs.runs[(runs.runs["data"] == data) & (runs.runs["setting"] == self.setting)]
        self.config: dict[str, Any] = runs.configs[in_setting["folder"].iloc[0]]
        self._data = data

    def depths(self, model: str) -> list[int]:
        """The depths at which a run of the model has finished, in ascending order."""
        return sorted(depth for name, depth in self.groups if name == model)

    def shared(self, first: str, second: str) -> list[int]:
        """The depths at which runs of both models have finished, in ascending order."""
        return sorted({*self.depths(first)} & {*self.depths(second)})

    def epochs(self, model: str, depth: int) -> pd.DataFrame:
        """The epochs of all finished runs of a network."""
        return self._pick(self.runs.epochs, model, depth)

    def diagnostics(self, model: str, depth: int, learned: bool | None = None) -> pd.DataFrame:
        """The recorded layers of the finished runs of a network: all, or those that learned, or those that didn't."""
        layers = self._pick(self.runs.diagnostics, model, depth)
        return layers if learned is None else layers[layers["folder"].isin(self._unlearned) != learned]

    @cached_property
    def _unlearned(self) -> set[str]:
        """The folders of the finished runs whose training error is near chance."""
        return {row["folder"] for group in self.groups.values() for row in group.unlearned}

    def _pick(self, frame: pd.DataFrame, model: str, depth: int) -> pd.DataFrame:
        return frame[
            (frame["model"] == model)
            & (frame["depth"] == depth)
            & (frame["setting"] == self.setting)
            & (frame["state"] == State.FINISHED.value)
            & (frame["data"] == self._data)
        ]

    def difference(self, first: Group, second: Group, measure: str) -> Difference:
        """How much higher the second group's error is, before correcting for the number of comparisons."""
        return difference(self.runs, first, second, measure)

    def verdict(self, one: Difference) -> str:
        """Better, worse, no difference worth naming, or inconclusive."""
        return one.verdict(self.runs.smallest)

    def sign(self, one: Difference) -> int:
        """1 if the second is worse, -1 if it is better, 0 for anything else."""
        return {WORSE: 1, BETTER: -1}.get(self.verdict(one), 0)

    def margin(self, error: float) -> float:
        """The difference in points up to which errors count as similar: a tenth of the error."""
        return max(self.runs.smallest, SIMILAR * error)

    def command(
        self,
        models: Sequence[str],
        depths: Sequence[int],
        seeds: int = 1,
        extra: Sequence[str] = (),
        epochs: int | None = None,
    ) -> str:
        """The command that trains these networks in the same way as the others, or for so many epochs."""
        first = self.config["seed"] if seeds == 1 else 0
        numbers = [first] if seeds == 1 else list(range(seeds))
        lists: dict[str, Sequence[Any]] = {"model": models, "depth": depths, "seed": numbers}
        if epochs is not None:
            lists["optim.epochs"] = [epochs]
        return reproduce.command(self.config, extra, **lists)

    def more_seeds(
        self, found: Sequence[Difference], models: Sequence[str], depths: Sequence[int], extra: Sequence[str] = ()
    ) -> tuple[str, str]:
        """What would make the verdict on differences more certain, and the command; both empty if nothing would.

        The number of seeds follows from the spread so far and from the difference to be found, not from the difference
        seen: adding seeds until a difference is significant finds one in noise.
        """
        if any(one.one_seed for one in found):
            # A claim, and therefore its command, may be about only some of the report's networks.
            words = f"{SEEDS} seeds of each of the following networks, which show the spread between trainings"
            return words, self.command(models, depths, SEEDS, extra)
        undecided = [one for one in found if not one.sign and self.verdict(one) != SAME]
        needed = []
        for one in undecided:
            wanted = self.margin(min(one.first, one.second))
            seeds = seeds_needed(one, wanted)
            if seeds is not None and seeds > min(one.n):
                needed.append((seeds, wanted))
        if not needed:
            return "", ""
        seeds, wanted = max(needed)
        command = self.command(models, depths, seeds, extra) if seeds <= _MOST_SEEDS else ""
        names = join(f"{model}-{depth}" for model in models for depth in depths)
        words = (
            f"{seeds:,} seeds of each of {'the following networks' if command else names}. With the spread so far, "
            f"that many find a difference of {significant(wanted, 2)} points with a probability of {100 * POWER:.0f} "
            "%. Train all of them before looking again: adding seeds until a difference is significant finds one in "
            "noise"
        )
        return words, command

    def unfinished(self, *models: str, at: int | None = None) -> str:
        """A sentence on the networks of these models of which some started run hasn't finished; empty without any.

        Args:
            models: their names.
            at: the only depth that matters, if there is one.
        """
        lost = [
            f"{group.finished} of {group.started} {group.name} runs finished ({group.lost})"
            for (model, depth), group in self.networks.items()
            if model in models and group.lost and at in (None, depth)
        ]
        return f" {join(lost)}; only finished runs count." if lost else ""

    def unlearned(self, *models: str) -> str:
        """A sentence on the networks of these models with runs that learned nothing; empty without any."""
        found = [
            group.unlearned_name for (model, _), group in self.groups.items() if model in models and group.unlearned
        ]
        return f" {join(found)} learned nothing: the training error is near chance." if found else ""


@dataclass(frozen=True)
class Claim:
    """A claim of the papers or of the lab; the same for all runs.

    Attributes:
        key: its name in the templates.
        statement: one sentence, or a question.
        models: the models that it is about; a report without runs of all of them doesn't mention it.
        needs: the networks or measurements without which nothing can be found.
        command: the command that provides them, as if the runs of the case had been more.
        judge: what the runs show; None where they lack what the claim needs.
        answers: verdict → its words, for a question.
        figure: the name of the figure that shows it, if there is one.
    """

    key: str
    statement: str
    models: tuple[str, ...]
    needs: str
    command: Callable[[Case], str]
    judge: Callable[[Case], Finding | None]
    answers: Mapping[str, str] = field(default_factory=dict)
    figure: str = ""

    def find(self, case: Case) -> Finding:
        """What the runs show about the claim; where that is nothing, what they lack."""
        return self.judge(case) or Finding(OPEN, missing=self.needs, command=self.command(case))


@dataclass(frozen=True)
class JudgedClaim:
    """A claim and what one data set's runs show about it."""

    claim: Claim
    finding: Finding

    @property
    def verdict(self) -> str:
        """The verdict as it is shown: by part where the parts differ, and marked if it rests on one seed."""
        finding = self.finding
        parts = finding.parts
        words = self.claim.answers.get(finding.verdict, finding.verdict)
        if len(set(parts.values())) > 1:
            grouped = dict.fromkeys(parts.values())
            words = "; ".join(
                f"{verdict} at {' and '.join(name for name in parts if parts[name] == verdict)} layers"
                for verdict in grouped
            )
        decided = finding.verdict != OPEN or {*parts.values()} - {OPEN}
        return f"{words} {MARK}" if finding.one_seed and decided else words


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


def with_interval(one: Difference, digits: int, images: float | None, training: bool = False) -> str:
    """A difference in points with its interval, for running text.

    Args:
        one: the difference.
        digits: decimals to show.
        images: the number of test images, where it is known.
        training: whether the errors are training errors.
    """
    text = f"{plus(one.mean, digits)} points"
    if math.isinf(one.error):
        return f"{text} (one seed: no interval)"
    # Of several comparisons, each one's interval has a higher level, so that it is 95 % for all of them together.
    shown = f"{100 * (1 - one.level):.3g} % interval {plus(one.low, digits)} to {plus(one.high, digits)}"
    if not one.one_seed:
        first, second = one.n
        seeds = f"{first} paired seeds" if one.method == PAIRED else f"{first} and {second} seeds"
        seeds = f"{first} seeds each" if one.method != PAIRED and first == second else seeds
        return f"{text} ({shown}, {seeds})"
    on = "test images" if images is None else f"{images:,.0f} test images"
    if training:
        return f"{text} (one seed; a test error of this size on {on} would have the {shown})"
    return f"{text} (one seed; {shown} over the choice of the {on} only)"


def errors(groups: Sequence[Group], measure: str, split: str) -> str:
    """The mean errors of networks for running text: plain-20 1.1 %, plain-56 88.3 %."""
    return ", ".join(f"{group.name} {error(group, measure, fewest(*groups, column=split))}" for group in groups)


def error(group: Group, measure: str, images: float | None) -> str:
    """The mean error of a network for running text, such as 8.75 %."""
    values = list(group.values(measure).values())
    return f"{sum(values) / len(values):.{decimals(images)}f} %" if values else "unknown"
