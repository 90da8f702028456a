"""What happens before and after the runs: all are composed and checked before any starts, and counted at the end."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from cifar_resnet.config import from_container
from cifar_resnet.errors import CifarResnetError, ConfigError, ExitCode
from cifar_resnet.run_dir import RunDir, State
from cifar_resnet.sweep.launch import SWEEP_PROCESS, SWEEP_SIZE
from cifar_resnet.sweep.messages import GROUP_OVERRIDE, one_line
from cifar_resnet.sweep.resolvers import plain_config
from cifar_resnet.terminal import make_console


@contextmanager
def user_errors() -> Iterator[None]:
    """Shows a user's mistake as one line and ends with exit code 2.

    Hydra swallows what a callback raises, except SystemExit.
    """
    try:
        yield
    except (CifarResnetError, HydraException, OmegaConfBaseException, ValueError) as error:
        if type(error) is ValueError and not str(error).startswith(GROUP_OVERRIDE):
            raise  # a bug of ours, not a mistake of the user's
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(ExitCode.USER)


class Plan(Callback):
    """Composes and checks every run before the first starts, and shows them all after the last has ended."""

    def __init__(self) -> None:
        self.runs: list[RunDir] = []

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the one run."""
        with user_errors():
            from_container(plain_config(config))
            check_out(config.out)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks all runs of the sweep and says how many there are and how they stand."""
        with user_errors():
            check_launcher(config)
            configs = compose_all(config)
            for run_config in configs:
                from_container(plain_config(run_config))
            for out in {run_config.out for run_config in configs}:
                check_out(out)
            self.runs = [run_dir(run_config) for run_config in configs]
            done = sum(run.state() is State.FINISHED for run in self.runs)
        os.environ[SWEEP_PROCESS] = str(os.getpid())
        os.environ[SWEEP_SIZE] = str(len(self.runs) or "?")
        if self.runs:
            to_train, at_a_time = len(self.runs) - done, config.hydra.launcher.get("n_jobs", 1)
            print(f"{len(self.runs)} runs: {done} finished before, {to_train} to train, {at_a_time} at a time")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Prints all runs; exit code 1 unless all have finished."""
        if not self.runs:
            return
        print_summary(self.runs)
        print(f"tables and figures: python aggregate.py {config.out}")
        if any(run.state() is not State.FINISHED for run in self.runs):
            sys.exit(1)


def check_out(out: str) -> None:
    """Raises ConfigError if run folders can't be made in `out`; makes it if it isn't there."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise ConfigError(f"out={out}: expected a folder that can be written to ({error.strerror})") from error


def check_launcher(config: DictConfig) -> None:
    """Raises ConfigError for a number of parallel runs that can't be."""
    n_jobs = config.hydra.launcher.get("n_jobs", 1)
    if not isinstance(n_jobs, int) or n_jobs == 0 or n_jobs < -1:
        raise ConfigError(f"hydra.launcher.n_jobs={n_jobs}: expected an integer of 1 or more, or -1 for all cores")


def compose_all(config: DictConfig) -> list[DictConfig]:
    """The composed config of every run of a basic sweep, in order; none for other sweepers, which choose as they go."""
    if not str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
        return []
    loader = GlobalHydra.instance().config_loader()
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    arguments = [*params, *config.hydra.overrides.task]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    (batch,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [loader.load_sweep_config(config, list(choice)) for choice in batch]


def run_dir(config: DictConfig) -> RunDir:
    """The folder of a composed run of a sweep."""
    return RunDir(Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir)


def print_summary(runs: list[RunDir]) -> None:
    """A table of all runs with their outcome, or the reason for there being none."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, justify in (("run", "left"), ("state", "left"), ("test error %", "right"), ("time s", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("reason", overflow="fold")
    for run in runs:
        status = run.read_status()
        error = status.get("outcome", {}).get("test_error")
        seconds = status.get("seconds")
        table.add_row(
            f"{run.path.parent.name} {run.path.name}",
            run.state().value,
            "" if error is None else f"{error:.2f}",
            "" if seconds is None else f"{seconds:.0f}",
            status.get("reason") or "",
        )
    make_console().print(table)
