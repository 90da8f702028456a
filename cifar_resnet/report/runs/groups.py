"""Groups the runs of a data set that differ only in their seeds."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cifar_resnet.report.runs.factors import are_drawn, split_length
from cifar_resnet.report.wording import count
from cifar_resnet.run.states import State

_WAITING = (State.PENDING.value, State.QUEUED.value)
# A training error from this share of the error of guessing on counts as chance: 81 % with ten classes.
NEAR_CHANCE = 0.9
# Means that are nearer than this are the same, and differ only by rounding.
TIE = 1e-9


@dataclass
class Group:
    """The runs of one model, setting and depth, which differ only in their seeds.

    Attributes:
        model: as in `ARCHITECTURES`.
        setting: as in `Runs.runs`.
        depth: layers.
        off_default: how many factors have a value other than the default of conf/.
        rows: the finished runs.
        states: how many runs there are of each state.
    """

    model: str
    setting: str
    depth: int
    off_default: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The network's usual name.

        >>> Group("resnet", "", 56, 0).name
        'resnet-56'
        """
        return f"{self.model}-{self.depth}"

    @property
    def started(self) -> int:
        """The number of runs that have started, whatever became of them."""
        return self.states.total() - sum(self.states[state] for state in _WAITING)

    @property
    def finished(self) -> int:
        """The number of runs that have finished."""
        return self.states[State.FINISHED.value]

    @property
    def lost(self) -> str:
        """What became of the other runs that have started; empty if all have finished.

        >>> Group("resnet", "", 56, 0, [], Counter(finished=2, diverged=1, queued=1)).lost
        '1 diverged'
        """
        ends = [state.value for state in State if state is not State.FINISHED and state.value not in _WAITING]
        return ", ".join(f"{self.states[state]} {state}" for state in ends if self.states[state])

    @property
    def share(self) -> str:
        """How many of the runs that have started have finished, in words; empty if all have.

        >>> Group("resnet", "", 56, 0, [], Counter(finished=2, diverged=1, queued=1)).share
        '2 of 3 runs finished'
        """
        return f"{self.finished} of {count(self.started, 'run')} finished" if self.lost else ""

    @property
    def unlearned(self) -> list[dict[str, Any]]:
        """The finished runs that learned nothing, see `near_chance`."""
        return [row for row in self.rows if near_chance(row)]

    @property
    def unlearned_name(self) -> str:
        """The network's name, or how many of its runs if only some of them learned nothing.

        >>> rows = [{"classes": 10, "train_error": error} for error in (90.0, 5.0)]
        >>> Group("plain", "", 56, 0, rows).unlearned_name, Group("plain", "", 56, 0, rows[:1]).unlearned_name
        ('1 of 2 finished runs of plain-56', 'plain-56')
        """
        dead, count = len(self.unlearned), len(self.rows)
        return self.name if dead == count else f"{dead} of {count} finished runs of {self.name}"

    @property
    def seed_draws_images(self) -> bool:
        """Whether the seed also draws which images the runs are trained on."""
        return bool(self.rows) and all(row.get("seed_draws_images") for row in self.rows)

    def values(self, column: str) -> dict[int, float]:
        """Seed → value of a column, for the runs in which it was measured."""
        pairs = ((row["seed"], row.get(column)) for row in self.rows)
        return {seed: float(value) for seed, value in pairs if value is not None and not math.isnan(value)}

    def smallest(self, column: str) -> float | None:
        """The smallest value of a column, such as a number of images; None if no run has one."""
        return min(self.values(column).values(), default=None)


Key = tuple[str, str, int]


def collect(runs: pd.DataFrame) -> dict[str, dict[Key, Group]]:
    """Data set → (model, setting, depth) → its runs, in the order of the table."""
    groups: dict[str, dict[Key, Group]] = defaultdict(dict)
    names = [str(name) for name in runs]
    for values in runs.itertuples(index=False, name=None):
        row = dict(zip(names, values, strict=True))
        key = row["model"], row["setting"], row["depth"]
        group = groups[row["data"]].setdefault(key, Group(*key, row["off_default"]))
        group.states[row["state"]] += 1
        if row["state"] == State.FINISHED.value:
            group.rows.append(row)
    return groups


def has_default(runs: pd.DataFrame) -> bool:
    """Whether the settings of these runs can be compared with a default one.

    The drawn values of a search can't, unless a run has the values of conf/: the nearest ones are nobody's choice.
    """
    return bool((runs["off_default"] == 0).any()) or not are_drawn(map(str, runs["setting"].unique()))


def with_references(groups: Iterable[Group]) -> list[tuple[Group, list[Group]]]:
    """The reference of each network, and the other settings, which are compared with it.

    If settings differ in more than the length of training, each length has its own reference, and only settings of that
    length are compared with it. The reference is the setting with the fewest values that differ from conf/; among
    several, the one with the most runs. Runs of all networks count, whatever their state, so that networks share a
    reference where they can. A setting without finished runs is the reference only where no other one has any.
    """
    groups = list(groups)
    distances: dict[str, int] = {}
    sizes: Counter[str] = Counter()
    for group in groups:
        distances[group.setting] = min(group.off_default, distances.get(group.setting, group.off_default))
        sizes[group.setting] += group.states.total()
    lengths = {setting: split_length(setting) for setting in sizes}
    several = len({rest for rest, _ in lengths.values()}) > 1
    networks: dict[tuple[str, int, str], list[Group]] = defaultdict(list)
    for group in groups:
        networks[group.model, group.depth, lengths[group.setting][1] if several else ""].append(group)
    pairs = []
    for alike in networks.values():
        done = [group for group in alike if group.rows] or alike
        reference = min(done, key=lambda group: (distances[group.setting], -sizes[group.setting]))
        pairs.append((reference, [group for group in alike if group is not reference]))
    return pairs


def near_chance(run: Mapping[str, Any]) -> bool:
    """Whether a finished run learned nothing: its final training error is near that of guessing.

    >>> [near_chance({"classes": 10, "train_error": error}) for error in (5.0, 80.9, 81.0, 90.0)]
    [False, False, True, True]
    """
    classes, error = run.get("classes"), run.get("train_error")
    if not classes or pd.isna(classes) or pd.isna(error):
        return False
    return bool(error >= NEAR_CHANCE * chance_error(int(classes)))


def chance_error(classes: int) -> float:
    """The expected error of guessing among this many classes, in percent.

    >>> chance_error(10)
    90.0
    """
    return 100 * (classes - 1) / classes


def compared(finished: pd.DataFrame) -> str:
    """The column of the error that settings are compared by.

    It is the validation error if all runs have one, so that choosing a setting is not choosing on the test set.
    """
    held_out = "val_error" in finished and bool(finished["val_error"].notna().all())
    return "val_error" if held_out else "test_error"


def lowest(groups: Iterable[Group], column: str) -> list[Group]:
    """The groups with the lowest mean of a column: several if they share it, and none if it was measured in none."""
    means = [(sum(values) / len(values), group) for group in groups if (values := group.values(column).values())]
    least = min((mean for mean, _ in means), default=0.0)
    return [group for mean, group in means if mean - least < TIE]


def seeds_draw_images(*groups: Group) -> bool:
    """Whether the seed draws the images of all of these networks, so that their runs of the same seed belong together.

    `intervals.compare` calls this `drawn`.
    """
    return all(group.seed_draws_images for group in groups)


def fewest(*groups: Group, column: str = "test_images") -> float | None:
    """The smallest number of images that an error in any of the groups was measured on."""
    return min((count for group in groups if (count := group.smallest(column)) is not None), default=None)
