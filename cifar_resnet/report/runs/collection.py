"""All runs of a report: tables of runs, epochs and layers, and what belongs to each data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from cifar_resnet.report.intervals import SMALLEST
from cifar_resnet.report.runs import confusion, factors
from cifar_resnet.report.runs.confusion import Confusion
from cifar_resnet.report.runs.copies import Counted
from cifar_resnet.report.runs.groups import Group, Key, collect, has_default
from cifar_resnet.run.states import State

NAMES = ("data", "model", "depth", "setting", "seed", "state", "folder")
"""The columns that say which run a row of a long table belongs to."""


@dataclass(frozen=True)
class Source:
    """Where the runs of a report come from.

    Attributes:
        paths: the folders that were read.
        where: the filters, `KEY=VALUE`, as they were given.
        found: the number of runs that were read, including copies.
        excluded: the number of those that the filters left out.
    """

    paths: tuple[Path, ...] = ()
    where: tuple[str, ...] = ()
    found: int = 0
    excluded: int = 0


@dataclass(frozen=True)
class Runs:
    """All runs that were found.

    Attributes:
        runs: one row per run, whatever its state. Errors are in percent and from the last epoch, `seconds` covers
            training and evaluation, `images_per_second` is the median over epochs, and `off_default` counts the
            factors whose value isn't the default of conf/.
        epochs: one row per run and epoch, with the columns NAMES of the run.
        diagnostics: one row per run, epoch and 3×3 layer, with the same columns; empty where no run recorded any.
        configs: folder → resolved config.yaml, with the folder that the runs are in now as `out`, see `locations`.
        statuses: folder → run.json.
        factors: data set → the keys that differ between its runs, apart from model, depth and seed; the column
            `setting` gives their values.
        main_settings: data set → the setting that claims are judged on.
        unreadable: folder → reason, for what couldn't be read.
        copies: folder → the instance of the same run (config, seed and inputs) that is counted in its place.
        source: the folders and filters that they come from, for all data sets together.
        smallest: the smallest difference between errors that the report names, in percentage points.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    diagnostics: pd.DataFrame
    configs: dict[str, dict[str, Any]]
    statuses: dict[str, dict[str, Any]]
    factors: dict[str, list[str]]
    main_settings: dict[str, str]
    unreadable: dict[str, str]
    copies: dict[str, Counted]
    source: Source = Source()
    smallest: float = SMALLEST

    @property
    def finished(self) -> pd.DataFrame:
        """The runs that all results come from."""
        return self.runs[self.runs["state"] == State.FINISHED.value]

    @property
    def unfinished(self) -> pd.DataFrame:
        """The runs that are listed but not part of any result."""
        return self.runs[self.runs["state"] != State.FINISHED.value]

    @property
    def shown(self) -> pd.DataFrame:
        """The runs that describe the setup: the finished ones, or all where none has finished."""
        finished = self.finished
        return self.runs if finished.empty else finished

    @cached_property
    def networks(self) -> dict[str, dict[Key, Group]]:
        """Data set → (model, setting, depth) → the runs, which differ only in their seeds."""
        return collect(self.runs)

    @cached_property
    def groups(self) -> dict[str, dict[Key, Group]]:
        """The same for the networks of which a run has finished."""
        return {
            data: {key: group for key, group in found.items() if group.rows} for data, found in self.networks.items()
        }

    def differing(self, data: str) -> list[str]:
        """The keys that differ between the finished runs of a data set; `factors` also counts the unfinished ones."""
        folders = self.finished["folder"][self.finished["data"] == data]
        flats = [factors.describe(self.configs[folder]) for folder in folders]
        return factors.find(factors.with_one_recipe(flats)) if flats else []

    def has_default(self, data: str) -> bool:
        """Whether the settings of a data set can be compared with a default one, see `groups.has_default`."""
        return has_default(self.runs[self.runs["data"] == data])

    def is_search(self, data: str) -> bool:
        """Whether the settings of a data set are drawn values, see `factors.are_drawn`."""
        return factors.are_drawn(setting for _, setting, _ in self.networks[data])

    @cached_property
    def confusions(self) -> dict[str, list[Confusion]]:
        """Data set → confusion matrices of the final networks of its main setting; read on first use."""
        finished = self.finished
        return {
            data: confusion.collect(
                finished[(finished["data"] == data) & (finished["setting"] == setting)], self.statuses
            )
            for data, setting in self.main_settings.items()
        }

    @property
    def datasets(self) -> list[str]:
        """The data sets' names, in order."""
        return list(self.runs["data"].unique())

    def title(self, data: str) -> str:
        """The data set's name in titles and text: CIFAR-10 where all of its runs used that, else its own name."""
        if not self.on_cifar10(data):
            return data
        return "CIFAR-10" if data == "cifar10" else f"CIFAR-10 ({data})"

    def on_cifar10(self, data: str) -> bool:
        """Whether all runs that describe the setup used the images of CIFAR-10."""
        part = self.runs[self.runs["data"] == data]
        finished = part[part["state"] == State.FINISHED.value]
        return bool((part if finished.empty else finished)["is_cifar10"].all())

    def of(self, data: str) -> Runs:
        """The runs of one data set. Unreadable folders belong to no data set, so each keeps all of them."""
        if self.datasets == [data]:
            return self
        runs = self.runs[self.runs["data"] == data].reset_index(drop=True)
        folders = set(runs["folder"])
        return replace(
            self,
            runs=runs,
            epochs=self.epochs[self.epochs["data"] == data].reset_index(drop=True),
            diagnostics=self.diagnostics[self.diagnostics["data"] == data].reset_index(drop=True),
            configs={folder: config for folder, config in self.configs.items() if folder in folders},
            statuses={folder: status for folder, status in self.statuses.items() if folder in folders},
            factors={data: self.factors[data]},
            main_settings={data: self.main_settings[data]},
            copies={copy: counted for copy, counted in self.copies.items() if counted.folder in folders},
        )
