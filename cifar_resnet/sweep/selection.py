"""Which runs a sweep trains: every combination of the given values, or the trials that a search chooses."""

from __future__ import annotations

from collections.abc import Iterable

from omegaconf import DictConfig

from cifar_resnet.errors import ConfigError
from cifar_resnet.programs import command
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.status.table import count_runs
from cifar_resnet.sweep import compose, search
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.machines import SlurmCluster, ThisMachine
from cifar_resnet.sweep.standing import print_standing


class ListedRuns:
    """Every combination of the given values; all runs are known before the first one starts."""

    failures = (State.FAILED, State.DIVERGED)

    def __init__(self, config: DictConfig) -> None:
        self._retry_failed = bool(config.runtime.retry_failed)
        self.composed = compose.compose_all(config)
        self.size = len(self.composed)
        # Combinations that differ only in, say, runtime.threads are the same run.
        self._by_run = {compose.run_dir(composed): composed for composed in self.composed}

    @property
    def folders(self) -> list[str]:
        """The folders below which the runs are."""
        return list(dict.fromkeys(str(composed.hydra.sweep.dir) for composed in self.composed))

    @property
    def has_runs(self) -> bool:
        """Whether there is anything to show."""
        return bool(self._by_run)

    def print_before_dry_run(self) -> None:
        """The dry run lists the runs themselves."""

    def print_standing(self, machine: ThisMachine | SlurmCluster) -> None:
        """Prints what this command will do with each run."""
        attached = machine.attached(list(self._by_run))
        print_standing(self._by_run, machine.runs_at_a_time, self._retry_failed, attached)

    def depths(self, control: Control) -> dict[RunDir, int]:
        """The runs in order, with the depth of each network."""
        return {run: int(composed.depth) for run, composed in self._by_run.items()}

    def summarize(self, control: Control) -> bool:
        """Whether every run has finished; the table of runs is summary enough."""
        return all_finished(self._by_run)


class SearchedRuns:
    """The trials of a search, each chosen from the results of those before; diverged ones count as trials."""

    has_runs = True
    failures = (State.FAILED,)

    def __init__(self, config: DictConfig) -> None:
        self._config = config
        self.composed = [search.compose_base(config)]
        self.size = int(config.hydra.sweeper.n_trials)
        self.folders = [str(config.hydra.sweep.dir)]

    def print_before_dry_run(self) -> None:
        """Prints that the dry run shows one run of many."""
        print(f"the search trains {count_runs(self.size)} like this one:")

    def print_standing(self, machine: ThisMachine | SlurmCluster) -> None:
        """No run is known yet."""

    def depths(self, control: Control) -> dict[RunDir, int]:
        """The trials chosen so far, with the depth of each network."""
        return control.notes("depth")

    def summarize(self, control: Control) -> bool:
        """Prints the best trial; returns whether the search has all its trials."""
        return search.summarize(self._config)


_SELECTIONS: dict[str, type[ListedRuns | SearchedRuns]] = {
    "BasicSweeper": ListedRuns,
    "TrialsSweeper": SearchedRuns,
}
"""Class of a sweeper → the selection that it makes."""


def choose(config: DictConfig) -> ListedRuns | SearchedRuns:
    """The selection that the composed config's sweeper makes.

    Raises:
        ConfigError: the sweeper is unknown, or the search is impossible.
    """
    return compose.plugin_for(config, "sweeper", _SELECTIONS)(config)


def check_single_run(config: DictConfig) -> None:
    """Raises ConfigError if a run without -m is composed from a sweep's settings, of which it would ignore most."""
    is_listing = compose.plugin_for(config, "sweeper", _SELECTIONS) is ListedRuns
    if config.hydra.sweeper.get("params") or not is_listing:
        name = config.hydra.runtime.choices.get("sweeps")
        described = f"sweeps={name} is a sweep" if name else "hydra.sweeper is for sweeps"
        example = f"{command('train')} -m …"
        raise ConfigError(f"{described}, and this command would train one run: add -m, as in {example}")


def all_finished(runs: Iterable[RunDir]) -> bool:
    """Whether each run has finished."""
    # Another sweep may already be adding diagnostics to a run that this one has finished.
    ended = (State.FINISHED, State.RUNNING)
    return all(run.has_results() and run.recorded_state() in ended for run in runs)
