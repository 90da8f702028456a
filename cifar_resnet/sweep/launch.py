"""The parent's side of a run: starts its worker process, waits for it, and records how it ended."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cifar_resnet.devices import visible_gpus
from cifar_resnet.errors import BusyError, ExitCode, RunError
from cifar_resnet.run.folder import RunDir, now
from cifar_resnet.run.states import State, not_added
from cifar_resnet.sweep import slots
from cifar_resnet.sweep.assignment import Assignment, lacking, why_interrupted
from cifar_resnet.sweep.control import Control, SingleRun
from cifar_resnet.sweep.resolvers import plain_config
from cifar_resnet.sweep.worker_process import worker_command, worker_config, worker_environment

WORST_ERROR = 100.0
"""The objective of a run that diverged, in percent: every image misclassified."""


def launch(config: DictConfig) -> float | None:
    """Trains the composed run in a process of its own; returns the objective of a search, see `objective`.

    A run's failure is not raised, so that it can't stop the other runs of a sweep. Without a sweep, the program exits
    with the worker's exit code.
    """
    hydra = HydraConfig.get()
    run = RunDir(Path(hydra.runtime.output_dir))
    if hydra.mode == RunMode.MULTIRUN:
        n_jobs = hydra.launcher.get("n_jobs", 1)
        train(Assignment(run, worker_config(plain_config(config), n_jobs), hydra.job.num), Control.current())
        return objective(run)
    code = train(Assignment(run, worker_config(plain_config(config), n_jobs=1)), SingleRun())
    if code != ExitCode.FINISHED:
        sys.exit(code if code > 0 else ExitCode.FAILED)
    return objective(run)


def objective(run: RunDir) -> float | None:
    """The final validation error in percent, which a search minimizes.

    None if the run is not finished, has failed, or has no validation split. A run that diverged has `WORST_ERROR`, so
    that a search avoids its values.
    """
    try:
        state = run.verified_state()
    except RunError:
        return None  # the folder can't be used, which `train` has reported
    if state is State.DIVERGED:
        return WORST_ERROR
    error = run.read_status()["outcome"].get("val_error") if state is State.FINISHED else None
    return None if error is None else float(error)


def train(assignment: Assignment, control: Control | SingleRun, patience: float = 0) -> int:
    """Trains one run, unless it needs no training or another process is training it.

    Args:
        assignment: the run.
        control: the sweep that it belongs to.
        patience: seconds to wait for another process to release the run.

    Returns:
        The worker's exit code; 0 if none was started.

    Raises:
        RunError: the run folder of a single run can't be written to, or contains another run.
    """
    if not control.join():
        return ExitCode.FINISHED
    try:
        return _train(assignment, control, patience)
    except BusyError:
        return _skip_busy(assignment, control)
    except RunError as error:
        return control.fail(assignment, str(error))


def _train(assignment: Assignment, control: Control | SingleRun, patience: float) -> int:
    try:
        skipped = _skip(assignment, control, patience)
        if skipped is not None:
            return skipped
        with _gpu_slot(assignment, control) as slot:
            # Another sweep may have trained this run on the GPU that this process was waiting for.
            skipped = None if slot is None else _skip(assignment, control, patience)
            if skipped is not None:
                return skipped
            code = _run_worker(assignment, control, slot)
    except _NoSlotError:
        return control.code_if_untrained(ExitCode.INTERRUPTED)
    except slots.NoFolderError as error:
        return control.fail(assignment, str(error))
    except OSError as error:
        file = Path(str(error.filename or assignment.run.path)).name
        return control.fail(assignment, f"{error.strerror or error} while writing {file}")
    if code == ExitCode.BUSY:
        return _skip_busy(assignment, control)
    code = _record_death(assignment.run, code, control)
    control.report_end(assignment)
    return code


def _skip(assignment: Assignment, control: Control | SingleRun, patience: float) -> int | None:
    """Reports a run that needs no training or is busy and returns its exit code; None if it is to be trained."""
    reason = assignment.reason_to_skip()
    if reason is not None:
        control.report(assignment, reason)
        return ExitCode.FINISHED
    return _skip_busy(assignment, control) if assignment.run.is_locked(patience) else None


def _skip_busy(assignment: Assignment, control: Control | SingleRun) -> int:
    control.report(assignment, "another process is training this run; skipped")
    control.note(assignment.run, busy=assignment.config)
    return control.code_if_untrained(ExitCode.BUSY)


class _NoSlotError(Exception):
    """The sweep was stopped before a GPU became free for the run."""


@contextlib.contextmanager
def _gpu_slot(assignment: Assignment, control: Control | SingleRun) -> Iterator[slots.Slot | None]:
    """Holds a slot on a GPU for the run, as soon as one is free; None if the run needs none.

    Raises:
        _NoSlotError: the sweep was stopped first.
    """
    runtime = assignment.config["runtime"]
    gpus = visible_gpus() if runtime["device"] != "cpu" else []
    if not gpus:
        yield None
        return
    slot = slots.wait_for(
        gpus,
        runtime["runs_per_gpu"],
        lambda: control.is_stopping() or not control.main_is_alive(),
        lambda: control.report(assignment, f"waiting for a free GPU (runtime.runs_per_gpu={runtime['runs_per_gpu']})"),
    )
    if slot is None:
        raise _NoSlotError
    try:
        yield slot
    finally:
        slot.release()


def _run_worker(assignment: Assignment, control: Control | SingleRun, slot: slots.Slot | None) -> int:
    """Starts the worker and waits for its exit code."""
    run, config = assignment.run, assignment.config
    state, reason = run.verify(config)
    missing = lacking(run, state, config)
    if state in (State.PENDING, State.QUEUED) and not run.checkpoint.exists():
        control.report_start(assignment)
    elif missing is not None:
        control.report(assignment, f"finished before; adding its {missing}")
    else:
        control.report(assignment, f"{state} before{why_interrupted(state, reason)}; continuing")
    with run.lock():
        run.claim(config)
    return control.run_worker(
        worker_command(run),
        run.log,
        env=worker_environment(config, None if slot is None else slot.gpu),
        pass_fds=() if slot is None else (slot.descriptor,),
    )


def _is_lacking(run: RunDir) -> bool:
    """Whether a finished run lacks something that its config asks for."""
    return run.config.exists() and run.lacking(run.checked_config()) is not None


def _record_death(run: RunDir, code: int, control: Control | SingleRun) -> int:
    """Records the state of a run whose worker could not, because it was killed or died early.

    Also records why the sweep stopped a run; its worker knows only that it was told to end.

    Returns:
        The run's exit code. It is 0 for a worker that was killed after it had written its results, but not for one that
        couldn't add to them what they lack.
    """
    ended, recorded = run.verify()
    was_added_to = ended is State.FINISHED and recorded is None and _is_lacking(run)
    if ended is State.FINISHED and not was_added_to:
        if recorded is not None:
            control.note(run, reason=recorded)
        return ExitCode.FINISHED if recorded is None else code
    why = control.why_stopping()
    is_recorded = not ended.is_open or ended is State.RUNNING or (code == ExitCode.INTERRUPTED and why is None)
    if (is_recorded and not was_added_to) or code == ExitCode.FINISHED:
        return code
    state, reason = State.FAILED, f"ended with exit code {code}"
    if code == ExitCode.INTERRUPTED:
        state, reason = State.INTERRUPTED, str(why)
    elif code < 0:
        reason = f"killed by signal {-code} ({signal.Signals(-code).name})"
        if -code in (signal.SIGTERM, signal.SIGINT) or control.is_stopping():
            state, reason = State.INTERRUPTED, why or reason
        elif -code == signal.SIGKILL:
            reason = "killed by signal 9: out of memory?"
    if was_added_to:
        state, reason = State.FINISHED, not_added(reason)
        control.note(run, reason=reason)
    try:
        with run.lock(timeout=2):
            run.update_status(state=state, reason=reason, finished=now())
    except BusyError:
        pass  # another process is already training the run again
    except OSError:
        control.note(run, reason=reason)
    return code
