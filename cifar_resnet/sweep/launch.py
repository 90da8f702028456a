"""The parent's side of a run: starts its worker process, waits for it, and says how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cifar_resnet.devices import Gpu, count_cores, visible_gpus
from cifar_resnet.errors import BusyError, ExitCode, RunError
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir, State, now
from cifar_resnet.sweep import slots
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.resolvers import plain_config

# What only works before a process starts: glibc gives freed memory back to the system after each batch unless told
# not to, and asking for it anew costs 13–35 % of a step on the CPU in page faults.
MALLOC = {
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_POLL_SECONDS = 0.2
ADDED = "its diagnostics are added"
WORST = 100.0
"""What a run that diverged counts as in a search, in percent: every image wrong."""


def launch(config: DictConfig) -> float | None:
    """Brings the composed run to its end, in a process of its own; returns what a search goes by, see `objective`.

    A run's failure is not raised, so that it can't stop the others of a sweep. Without a sweep the program
    ends with the worker's exit code.
    """
    hydra = HydraConfig.get()
    run = RunDir(Path(hydra.runtime.output_dir))
    in_sweep = hydra.mode == RunMode.MULTIRUN
    control = Control.current() if in_sweep else None
    n_jobs = hydra.launcher.get("n_jobs", 1) if in_sweep else 1
    values = worker_config(plain_config(config), n_jobs)
    code = train(run, values, control, hydra.job.num if in_sweep else 0)
    if code != ExitCode.FINISHED and not in_sweep:
        sys.exit(code if code > 0 else ExitCode.FAILED)
    return objective(run)


def objective(run: RunDir) -> float | None:
    """The final validation error in percent, which a search minimises.

    None where there is none: the run isn't finished, has failed, or holds nothing out. A run that diverged has the
    worst, so that a search leaves the values that do it.
    """
    state = run.verified_state()
    if state is State.DIVERGED:
        return WORST
    error = run.read_status()["outcome"].get("val_error") if state is State.FINISHED else None
    return None if error is None else float(error)


def train(run: RunDir, values: dict[str, Any], control: Control | None, index: int, patience: float = 0) -> int:
    """Trains one run unless it is finished, left or busy for `patience` seconds.

    Returns the worker's exit code, 0 where none was started.
    """
    if control is not None:
        if os.getpid() != control.main:
            # Ctrl-C reaches every process of the terminal; the main one alone says what it means.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not control.main_is_alive():
            os._exit(ExitCode.INTERRUPTED)
        if control.stops():
            return ExitCode.FINISHED
    passed = _pass_over(run, values, control, index, patience)
    if passed is not None:
        return passed
    try:
        with _gpu_slot(run, values, control, index) as slot:
            # Whoever had the GPU before may have trained this very run on it.
            passed = None if slot is None else _pass_over(run, values, control, index, patience)
            if passed is not None:
                return passed
            code = _run_worker(run, values, control, index, slot)
    except _StoppedWaiting:
        return ExitCode.INTERRUPTED if control is None else ExitCode.FINISHED
    except OSError as error:
        reason = f"{error.strerror or error} while writing {Path(str(error.filename or run.path)).name}"
        if control is None:
            raise RunError(f"{run.path}: {reason}") from error
        control.note(run, reason=reason)
        _say(run, f"failed: {reason}", control, index)
        return ExitCode.FAILED
    if code == ExitCode.BUSY:
        return _busy(run, values, control, index)
    code = _note_death(run, code, control)
    if control is not None:
        _say(run, _ending(run), control, index)
    return code


def _pass_over(run: RunDir, values: dict[str, Any], control: Control | None, index: int, patience: float) -> int | None:
    """The exit code of a run that is finished, left or busy, which is said; None where it is to be trained."""
    left = why_left(run, run.verified_state(values), values["runtime"]["retry_failed"])
    if left is not None:
        _say(run, left, control, index)
        return ExitCode.FINISHED
    return _busy(run, values, control, index) if run.is_locked(patience) else None


class _StoppedWaiting(Exception):
    """The sweep is stopped before a GPU became free for the run."""


@contextlib.contextmanager
def _gpu_slot(run: RunDir, values: dict[str, Any], control: Control | None, index: int) -> Iterator[slots.Slot | None]:
    """Holds a slot of a GPU for the run, once one is free; None where the run needs none.

    Raises:
        _StoppedWaiting: there won't be one for it.
    """
    runtime = values["runtime"]
    gpus = visible_gpus() if runtime["device"] != "cpu" else []
    if not gpus:
        yield None
        return

    def stops() -> bool:
        return control is not None and (control.stops() or not control.main_is_alive())

    waiting = f"waits: no GPU is free (runtime.runs_per_gpu={runtime['runs_per_gpu']})"
    slot = slots.wait_for(gpus, runtime["runs_per_gpu"], stops, lambda: _say(run, waiting, control, index))
    if slot is None:
        raise _StoppedWaiting
    try:
        yield slot
    finally:
        slot.release()


def why_left(run: RunDir, state: State, retry_failed: bool) -> str | None:
    """Why a run isn't trained (again), as a line for the user; None where it is."""
    if state is State.FINISHED:
        return "finished before; skipped"
    if state is State.DIVERGED:
        return f"diverged before, and the same config would again; left (delete {run.path} to train it anew)"
    if state is State.FAILED and not retry_failed:
        return "failed before; left, as runtime.retry_failed=false"
    return None


def lacks_diagnostics_alone(run: RunDir, state: State) -> bool:
    """Whether a run in this state, as `verified_state` gives it for the config asked for, has no step left to train."""
    return state is State.INTERRUPTED and run.verified_state() is State.FINISHED


def _busy(run: RunDir, values: dict[str, Any], control: Control | None, index: int) -> int:
    _say(run, "another process is training this run; left alone", control, index)
    if control is not None:
        control.note(run, busy=values)
    return ExitCode.FINISHED if control is not None else ExitCode.BUSY


def worker_config(values: dict[str, Any], n_jobs: int) -> dict[str, Any]:
    """The config as the folder keeps it: paths that hold from anywhere, and this machine's share of threads."""
    data, runtime = dict(values["data"]), dict(values["runtime"])
    for key in ("root", "cache"):
        if data[key]:
            data[key] = os.path.abspath(os.path.expanduser(data[key]))
    if runtime["threads"] is None:
        cores = count_cores()
        runtime["threads"] = max(1, cores // (n_jobs if n_jobs > 0 else cores))
    return {**values, "out": os.path.abspath(values["out"]), "data": data, "runtime": runtime}


def worker_environment(values: dict[str, Any], gpu: Gpu | None = None) -> dict[str, str]:
    """The worker's environment: its threads, its GPU, glibc's memory settings (unless the user has set them)."""
    environment = {**MALLOC, **os.environ}
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(values["runtime"]["threads"])))
    # The package is found from any folder, installed or not.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO_ROOT), os.environ.get("PYTHONPATH")]))
    if values["runtime"]["deterministic"]:
        environment.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu.name
    return environment


def _run_worker(
    run: RunDir, values: dict[str, Any], control: Control | None, index: int, slot: slots.Slot | None
) -> int:
    """Starts the worker and waits for it; in a sweep what it says goes to run.log alone."""
    state = run.verified_state(values)
    begun = state not in (State.PENDING, State.QUEUED) or run.checkpoint.exists()
    goes_on = f"finished before; {ADDED}" if lacks_diagnostics_alone(run, state) else f"{state} before; continues"
    _say(run, goes_on if begun else "started", control, index)
    run.write_config(values)
    command = [sys.executable, "-m", "cifar_resnet.training.worker", str(run.path), "--parent", str(os.getpid())]
    environment = worker_environment(values, None if slot is None else slot.gpu)
    inherited = () if slot is None else (slot.descriptor,)
    if control is None:
        return _wait_alone(subprocess.Popen(command, env=environment, pass_fds=inherited))
    with run.log.open("ab") as log:
        # A session of its own: of Ctrl-C it hears from this process, and not from the terminal.
        worker = subprocess.Popen(
            [*command, "--quiet"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=inherited,
        )
        return _wait(worker, control)


def _wait_alone(worker: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return worker.wait()
        except KeyboardInterrupt:
            # The terminal has sent the worker its own Ctrl-C; it writes its checkpoint and ends.
            continue


def _wait(worker: subprocess.Popen[bytes], control: Control) -> int:
    """Waits for the worker; hands on the wish to stop, and ends with it when the sweep's main process is gone."""
    told = False
    while True:
        try:
            return worker.wait(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            alive = control.main_is_alive()
            if not told and (control.stops() or not alive):
                worker.terminate()
                told = True
            if control.stops_now():
                worker.kill()
            if not alive:
                worker.wait()
                os._exit(ExitCode.INTERRUPTED)


def _note_death(run: RunDir, code: int, control: Control | None) -> int:
    """Writes the state of a run whose worker could not: it was killed, or died before it began.

    Returns the exit code that the run's end deserves: a worker that is killed while it takes down what it used, after
    it has written its results, has finished its run.
    """
    ended = run.verified_state()
    if ended is State.FINISHED:
        return ExitCode.FINISHED
    said = not ended.is_open or ended is State.RUNNING
    if said or code in (ExitCode.INTERRUPTED, ExitCode.FINISHED):
        return code
    state, reason = State.FAILED, f"ended with exit code {code}"
    if code < 0:
        reason = f"killed by signal {-code} ({signal.Signals(-code).name})"
        if -code in (signal.SIGTERM, signal.SIGINT) or (control is not None and control.stops()):
            state = State.INTERRUPTED
        elif -code == signal.SIGKILL:
            reason = "killed by signal 9: out of memory?"
    try:
        with run.lock(timeout=2):
            run.update_status(state=state, reason=reason, finished=now())
    except BusyError:
        pass  # somebody else has taken the run up already
    except OSError:
        if control is not None:
            control.note(run, reason=reason)
    return code


def _ending(run: RunDir) -> str:
    status = run.read_status()
    if status["state"] == State.FINISHED:
        watched = "val" if "val_error" in status["outcome"] else "test"
        named = {"val": "validation", "test": "test"}[watched]
        return f"finished: final {named} error {status['outcome'][f'{watched}_error']:.2f} %, {status['seconds']:.0f} s"
    return f"{run.verified_state()}: {status.get('reason')}"


def _say(run: RunDir, text: str, control: Control | None, index: int) -> None:
    """One line about a run; in a sweep with its number, and only where no live table shows it."""
    if control is None and text == "started":
        return
    if control is None or not control.live:
        number = "" if control is None else f"[{index + 1}/{control.size or '?'}] "
        print(f"{number}{run.path.parent.name} {run.path.name}: {text}", flush=True)
