"""The parent's side of a run: starts its worker process, waits for it, and says how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cifar_resnet.devices import count_cores, gpu_of_run
from cifar_resnet.errors import ExitCode
from cifar_resnet.run_dir import RunDir, State, now
from cifar_resnet.sweep.resolvers import REPO_ROOT, plain_config

# What only works before a process starts: glibc gives freed memory back to the system after each batch unless told
# not to, and asking for it anew costs 13–35 % of a step on the CPU in page faults.
_MALLOC = {
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
SWEEP_PROCESS = "CIFAR_RESNET_SWEEP_PID"
SWEEP_SIZE = "CIFAR_RESNET_SWEEP_SIZE"
_POLL_SECONDS = 1.0


def launch(config: DictConfig) -> str:
    """Brings the composed run to its end, in a process of its own; returns its state.

    A run's failure is returned, not raised, so that it can't stop the others of a sweep. Without a sweep the program
    ends with the worker's exit code.
    """
    hydra = HydraConfig.get()
    run = RunDir(Path(hydra.runtime.output_dir))
    in_sweep = hydra.mode == RunMode.MULTIRUN
    if run.state() is State.FINISHED:
        _say(run, "finished before; skipped", in_sweep)
        return State.FINISHED.value
    if run.is_locked():
        _say(run, "another process is training this run; left alone", in_sweep)
        return State.RUNNING.value
    values = _worker_config(plain_config(config), n_jobs=hydra.launcher.get("n_jobs", 1) if in_sweep else 1)
    run.write_config(values)
    if in_sweep:
        _say(run, "started", in_sweep)
    code = _run_worker(run, values, index=hydra.job.num if in_sweep else 0, quiet=in_sweep)
    _note_death(run, code)
    if in_sweep:
        _say(run, _ending(run), in_sweep)
    elif code != 0:
        sys.exit(code if code > 0 else ExitCode.FAILED)
    return run.state().value


def _worker_config(values: dict[str, Any], n_jobs: int) -> dict[str, Any]:
    """The config as the folder keeps it: paths that hold from anywhere, and this machine's share of threads."""
    data, runtime = dict(values["data"]), dict(values["runtime"])
    for key in ("root", "cache"):
        if data[key]:
            data[key] = os.path.abspath(os.path.expanduser(data[key]))
    if runtime["threads"] is None:
        cores = count_cores()
        runtime["threads"] = max(1, cores // (n_jobs if n_jobs > 0 else cores))
    return {**values, "out": os.path.abspath(values["out"]), "data": data, "runtime": runtime}


def worker_environment(values: dict[str, Any], index: int) -> dict[str, str]:
    """The worker's environment: its threads, its GPU, glibc's memory settings (unless the user has set them)."""
    environment = {**_MALLOC, **os.environ}
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(values["runtime"]["threads"])))
    # The package is found from any folder, installed or not.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO_ROOT), os.environ.get("PYTHONPATH")]))
    gpu = gpu_of_run(index) if values["runtime"]["device"] != "cpu" else None
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    return environment


def _run_worker(run: RunDir, values: dict[str, Any], index: int, quiet: bool) -> int:
    """Starts the worker and waits for it; in a sweep what it says goes to run.log alone."""
    command = [sys.executable, "-m", "cifar_resnet.training.worker", str(run.path), *(["--quiet"] if quiet else [])]
    environment = worker_environment(values, index)
    if not quiet:
        return _wait(subprocess.Popen(command, env=environment))
    with run.log.open("ab") as log:
        return _wait(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log))


def _wait(worker: subprocess.Popen[bytes]) -> int:
    """Waits for the worker; ends it when the sweep's main process is gone, so that nothing trains unseen."""
    main_process = int(os.environ.get(SWEEP_PROCESS, "0"))
    while True:
        try:
            return worker.wait(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if main_process and not _is_alive(main_process):
                worker.terminate()
                worker.wait()
                os._exit(1)
        except KeyboardInterrupt:
            # The terminal has sent the worker its own Ctrl-C; it writes its checkpoint and ends.
            return worker.wait()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _note_death(run: RunDir, code: int) -> None:
    """Writes the state of a run whose worker could not: it was killed, or died before it began."""
    state = State(run.read_status()["state"])
    if code < 0:
        name = signal.Signals(-code).name
        hint = ": out of memory?" if name == "SIGKILL" else ""
        run.update_status(state=State.FAILED, reason=f"killed by {name}{hint}", finished=now())
    elif code not in (ExitCode.FINISHED, ExitCode.BUSY) and state in (State.PENDING, State.RUNNING):
        run.update_status(state=State.FAILED, reason=f"ended with exit code {code}; see {run.log}", finished=now())


def _ending(run: RunDir) -> str:
    status = run.read_status()
    if status["state"] == State.FINISHED:
        return f"finished: final test error {status['outcome']['test_error']:.2f} %, {status['seconds']:.0f} s"
    return f"{status['state']}: {status.get('reason')}"


def _say(run: RunDir, text: str, in_sweep: bool) -> None:
    """One line about a run; in a sweep with its number."""
    number = f"[{HydraConfig.get().job.num + 1}/{os.environ.get(SWEEP_SIZE, '?')}] " if in_sweep else ""
    model, seed = run.path.parent.name, run.path.name
    print(f"{number}{model} {seed}: {text}", flush=True)
