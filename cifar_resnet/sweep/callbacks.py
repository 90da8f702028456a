"""What Hydra calls before and after the runs: checks them all before any starts, shows them, and reports the end."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console, Group, RenderableType

from cifar_resnet.errors import ExitCode
from cifar_resnet.programs import command
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.run.states import State
from cifar_resnet.status.live import LiveTable
from cifar_resnet.status.table import Row, make_summary, make_table, read_row
from cifar_resnet.sweep import checks, compose, download, launch, machines, same_inputs, search_path, selection, warm_up
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.budget import Budget
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.messages import user_errors
from cifar_resnet.sweep.worker_process import import_path
from cifar_resnet.terminal import make_console

_POLL_SECONDS = 1.0


class SweepCallback(Callback):
    """Checks every run before the first one starts; shows a sweep's runs while they are trained and afterwards."""

    def __init__(self) -> None:
        self._sweep: _ShownSweep | None = None

    def __reduce__(self) -> tuple[type[SweepCallback], tuple[()]]:
        # Hydra sends its callbacks to joblib's processes, which don't need the state of the main one.
        return SweepCallback, ()

    # Each method shows its own errors: Hydra turns what a callback raises, except SystemExit, into a warning.

    @user_errors()
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the single run."""
        search_path.print_replaced()
        selection.check_single_run(config)
        machine = machines.choose(config)
        machine.check_single_run()
        checked = checks.check_run(config)
        by_run = {RunDir(Path(config.hydra.run.dir).absolute()): checked}
        checks.check_identities(by_run.items())
        machine.check_runs([checked], by_run)
        same_inputs.check(list(by_run.items()))
        if checked.runtime.dry_run:
            _dry_run(by_run, at_a_time=1)
        created = checks.check_out(config.out, str(config.hydra.run.dir))
        checks.check_folders(by_run)
        download.download(by_run, created)

    @user_errors()
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks all runs of the sweep, prints their states, and begins to show them."""
        search_path.print_replaced()
        machine = machines.choose(config)
        machine.check_launcher()
        selected = selection.choose(config)
        checked = [checks.check_run(composed) for composed in selected.composed]
        runs = [(compose.run_dir(one), values) for one, values in zip(selected.composed, checked, strict=True)]
        checks.check_identities(runs)
        by_run = dict(runs)
        machine.check_runs(checked, by_run)
        same_inputs.check(runs)
        budget = Budget.of(checked)
        if any(one.runtime.dry_run for one in checked):
            selected.print_before_dry_run()
            _dry_run(by_run, machine.runs_at_a_time)
        outs = {(one.out, one.hydra.sweep.dir) for one in selected.composed}
        created = [folder for out, sweep_dir in outs for folder in checks.check_out(out, sweep_dir)]
        checks.check_folders(by_run)
        if machine.trains_here:
            download.download(by_run, created)
        selected.print_standing(machine)
        if machine.trains_here:
            warm_up.compile_kernels(by_run, machine.runs_at_a_time)
        checks.make_way(str(config.hydra.sweep.dir))
        os.environ.update(import_path())  # for joblib's processes and Slurm's jobs
        live = selected.has_runs and config.runtime.progress and sys.stdout.isatty()
        control = Control.begin(selected.size, live, machine.on_stop)
        control.listen()
        budget.start(control)
        self._sweep = _ShownSweep(selected, machine, control, budget)
        if live:
            LiveTable(self._sweep.render).start()

    @user_errors()
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Waits for runs that other processes train and prints all runs; exit code 1 unless every run finished."""
        # Hydra 1.4 also calls this after an error, which must then remain the last output.
        if self._sweep is None or not self._sweep.selected.has_runs or sys.exc_info()[0] is not None:
            return
        wait_for_others(self._sweep.control)
        is_well = self._sweep.end()
        print(f"tables and figures: {command('aggregate')} {shlex.join(self._sweep.selected.folders)}")
        if not is_well:
            sys.exit(ExitCode.FAILED)


class _ShownSweep:
    """A sweep in progress, as the main process shows it."""

    def __init__(
        self,
        selected: selection.ListedRuns | selection.SearchedRuns,
        machine: machines.ThisMachine | machines.SlurmCluster,
        control: Control,
        budget: Budget,
    ) -> None:
        self.selected, self.machine, self.control, self._budget = selected, machine, control, budget
        self._at_a_time = machine.runs_at_a_time

    def render(self, console: Console) -> RenderableType:
        """The live table."""
        table = make_table(self._rows(), console.width, console.height - 1, self._at_a_time)
        return Group(table, self.control.on_stop) if self.control.is_stopping() else table

    def end(self) -> bool:
        """Prints the summary in place of the live table; returns whether the sweep is complete.

        It is if every run finished, or, once the time in `runtime.stop_after` is over, if none failed. A run that
        finished without the weights or diagnostics that it lacked makes it incomplete.
        """
        LiveTable.stop_shown()
        reasons = {str(run.path): reason for run, reason in self.control.notes("reason").items()}
        rows = self._rows()
        if rows:
            make_console().print(make_summary(rows, reasons))
        is_complete = self.selected.summarize(self.control)
        if self._budget.has_stopped(self.control):
            is_complete = not any(row.state in self.selected.failures for row in rows)
        was_stopped = self.control.is_stopping()
        self.control.end()
        if was_stopped:
            print(self.machine.after_stop)
        return is_complete and not reasons

    def _rows(self) -> list[Row]:
        return [read_row(run, depth) for run, depth in self.selected.depths(self.control).items()]


def _dry_run(configs: Mapping[RunDir, Config], at_a_time: int) -> None:
    """Prints what the runs would cost, and ends the program."""
    from cifar_resnet.sweep.dry_run import print_costs

    print_costs(configs, at_a_time)
    sys.exit(0)


def wait_for_others(control: Control) -> None:
    """Waits for the runs that other processes were training, and trains what they left: steps or diagnostics."""
    for index, (run, config) in enumerate(control.notes("busy").items()):
        if run.is_locked() and not control.live:
            print(f"waiting for {run.path}, which another process is training", flush=True)
        while run.is_locked() and not control.is_stopping():
            time.sleep(_POLL_SECONDS)
        assignment = Assignment(run, config, index)
        if assignment.state() in (State.PENDING, State.INTERRUPTED) and not control.is_stopping():
            launch.train(assignment, control)
