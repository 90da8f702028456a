"""What happens before and after the runs: all are composed and checked before any starts, shown, and counted."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console, Group, RenderableType

from cifar_resnet.datasets import cifar10
from cifar_resnet.datasets.folders import list_classes
from cifar_resnet.devices import count_cores, count_slots
from cifar_resnet.errors import ConfigError, ExitCode
from cifar_resnet.run.config import Config
from cifar_resnet.run.folder import RunDir, State
from cifar_resnet.status.live import LiveTable
from cifar_resnet.status.table import Row, count_runs, labels, make_summary, make_table, read_row
from cifar_resnet.sweep import compose, launch, search, slurm
from cifar_resnet.sweep.control import LEAVING, STOPPING, Control
from cifar_resnet.sweep.messages import is_users, one_line
from cifar_resnet.terminal import make_console

_WAIT_SECONDS = 1.0
# Kind of data → what raises DataError where `data.root` can't be that, by listing files.
_CHECKS: dict[str, Callable[[Path], object]] = {"cifar10": cifar10.is_folder, "image_folder": list_classes}


@contextmanager
def user_errors() -> Iterator[None]:
    """Shows a user's mistake as one line and ends with exit code 2, and a fault of ours with a traceback and 1.

    Hydra makes a warning of what a callback raises, except SystemExit, and would go on to train what wasn't checked.
    """
    try:
        yield
    except Exception as error:
        LiveTable.stop_shown()
        if is_users(error):
            print(f"error: {one_line(error)}", file=sys.stderr)
            sys.exit(ExitCode.USER)
        traceback.print_exc()
        sys.exit(ExitCode.FAILED)


class Plan(Callback):
    """Composes and checks every run before the first starts, and shows them all while they run and after."""

    def __init__(self) -> None:
        self.runs: list[RunDir] = []
        self.depths: list[int] = []
        self.at_a_time = 1

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the one run."""
        with user_errors():
            if slurm.is_chosen(config):
                raise ConfigError("hydra/launcher=slurm submits the runs of a sweep: expected -m, also for one run")
            checked = compose.check_run(config)
            compose.check_device(checked)
            compose.check_extras(checked)
            by_run = {RunDir(Path(config.hydra.run.dir).absolute()): checked}
            _check_images(by_run)
            if checked.runtime.dry_run:
                self._dry_run(by_run)
            compose.check_out(config.out)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks all runs of the sweep, says how they stand, and begins to show them."""
        with user_errors():
            compose.check_launcher(config)
            on_slurm = slurm.is_chosen(config)
            self.at_a_time = slurm.runs_at_a_time(config) if on_slurm else _runs_at_a_time(config)
            searches = search.is_chosen(config)
            configs = [search.compose_base(config)] if searches else compose.compose_all(config)
            checked = [compose.check_run(run_config) for run_config in configs]
            for one in [] if on_slurm else checked[:1]:  # a login node needn't have a GPU
                compose.check_device(one)
                compose.check_extras(one)
            # By folder: values that aren't the run's own, as of runtime.threads, name one run twice.
            folders = [compose.run_dir(run_config) for run_config in configs]
            planned, by_run = dict(zip(folders, configs, strict=True)), dict(zip(folders, checked, strict=True))
            self.runs, self.depths = list(by_run), [one.depth for one in by_run.values()]
            if not on_slurm:  # nor see the images
                _check_images(by_run)
            if any(one.runtime.dry_run for one in checked):
                if searches:
                    print(f"the search trains {config.hydra.sweeper.n_trials} runs like this one:")
                self._dry_run(by_run)
            for out in {run_config.out for run_config in configs}:
                compose.check_out(out)
            if searches:
                planned, self.runs, self.depths = {}, search.runs, search.depths
        attached = slurm.attached(self.runs) if on_slurm else {}
        _print_standing(planned, self.at_a_time, config.runtime.retry_failed, attached)
        shown = (searches or bool(self.runs)) and config.runtime.progress and sys.stdout.isatty()
        size = config.hydra.sweeper.n_trials if searches else len(configs)
        control = Control.begin(size, live=shown, on_stop=LEAVING if on_slurm else STOPPING)
        control.listen()
        if shown:
            LiveTable(lambda console: self._render(console, control)).start()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Waits for runs that others train, prints all runs; exit code 1 unless all have finished.

        A search's is 1 unless it has all its trials: ones that diverged are among them.
        """
        control, searches = Control.current(), search.is_chosen(config)
        # Hydra 1.4 calls this after an error, too, which is then what is to be seen.
        if control is None or not (self.runs or searches) or sys.exc_info()[0] is not None:
            return
        _await_others(control)
        LiveTable.stop_shown()
        reasons = {str(run.path): fields["reason"] for run, fields in control.notes() if "reason" in fields}
        if self.runs:
            make_console().print(make_summary(self._rows(), reasons))
        with user_errors():
            complete = search.summarise(config) if searches else self._all_finished()
        stopped = control.stops()
        control.end()
        if stopped:
            left = control.on_stop == LEAVING
            print("the jobs go on; the same command waits for them" if left else "stopped; the same command continues")
        print(f"tables and figures: python aggregate.py {config.out}")
        if not complete:
            sys.exit(ExitCode.FAILED)

    def _all_finished(self) -> bool:
        # Another sweep that adds diagnostics may have taken up what this one has finished.
        ended = (State.FINISHED, State.RUNNING)
        return all(run.has_results() and run.recorded_state() in ended for run in self.runs)

    def _render(self, console: Console, control: Control) -> RenderableType:
        table = make_table(self._rows(), console.width, console.height - 1, self.at_a_time)
        return Group(table, control.on_stop) if control.stops() else table

    def _rows(self) -> list[Row]:
        return [read_row(run, depth) for run, depth in zip(self.runs, self.depths, strict=False)]

    def _dry_run(self, configs: dict[RunDir, Config]) -> None:
        from cifar_resnet.sweep.plan import print_plan

        print_plan(configs, self.at_a_time)
        sys.exit(0)


def _check_images(configs: dict[RunDir, Config]) -> None:
    """Raises DataError where the images of a run that is to be trained are wrong; finished ones do without."""
    needed = {
        (config.data.kind, str(config.data.root))
        for run, config in configs.items()
        if config.data.kind in _CHECKS
        and launch.why_left(run, run.verified_state(), config.runtime.retry_failed) is None
    }
    for kind, root in sorted(needed):
        _CHECKS[kind](Path(root).expanduser())


def _runs_at_a_time(config: DictConfig) -> int:
    n_jobs = config.hydra.launcher.get("n_jobs", 1)
    at_a_time = count_cores() if n_jobs == -1 else int(n_jobs)
    slots = count_slots(config.runtime.device, config.runtime.runs_per_gpu)
    return min(at_a_time, slots) if slots else at_a_time


def _print_standing(
    planned: dict[RunDir, DictConfig], at_a_time: int, retry_failed: bool, attached: dict[Path, str]
) -> None:
    """What this command will do with which run; `attached` has those that are with a cluster's job."""
    runs = list(planned)
    states = {run.path: run.verified_state({"diagnostics": config.diagnostics}) for run, config in planned.items()}
    looked_into = {run.path for run in runs if launch.lacks_diagnostics_alone(run, states[run.path])}
    for run, name in zip(runs, labels(runs), strict=True):
        state = states[run.path]
        left = launch.why_left(run, state, retry_failed) or attached.get(run.path)
        goes_on = f"finished; {launch.ADDED}" if run.path in looked_into else f"{state}; continues"
        if state is not State.PENDING:
            print(f"  {name}: {left or goes_on}")
    counts = Counter(state for path, state in states.items() if path not in {*attached, *looked_into})
    parts = [
        f"{counts[State.FINISHED]} finished before",
        f"{len(looked_into)} finished without diagnostics",
        f"{counts[State.INTERRUPTED]} interrupted",
        f"{counts[State.FAILED] + counts[State.DIVERGED]} failed",
        f"{counts[State.RUNNING]} trained by another process",
        f"{len(attached)} with their jobs",
    ]
    waiting = sum(
        launch.why_left(run, states[run.path], retry_failed) is None and run.path not in attached for run in runs
    )
    waiting -= counts[State.RUNNING] + len(looked_into)
    named = [part for part in parts if not part.startswith("0 ")]
    if runs:
        standing = ", ".join([*named, f"{waiting} to train"])
        print(f"{count_runs(len(runs))}: {standing}, {at_a_time} at a time", flush=True)


def _await_others(control: Control) -> None:
    """Waits for the runs that other processes were at, and does what they left to do: steps, or our diagnostics."""
    busy = {run: fields["busy"] for run, fields in control.notes() if "busy" in fields}
    for index, (run, values) in enumerate(busy.items()):
        if run.is_locked() and not control.live:
            print(f"waiting for {run.path}, which another process trains", flush=True)
        while run.is_locked() and not control.stops():
            time.sleep(_WAIT_SECONDS)
        if run.verified_state(values) in (State.PENDING, State.INTERRUPTED) and not control.stops():
            launch.train(run, values, control, index)
