"""The job's side of a sweep on Slurm: trains the job's runs as one machine would, and has the job queued again.

Submitit starts it on a node. Of signals that end the job before its runs have ended, each run hears in time to write
its checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import DelayedSubmission, UncompletedJobError

from cifar_resnet.devices import default_n_jobs
from cifar_resnet.errors import BusyError, RunError
from cifar_resnet.run.folder import JOB_VARIABLE, RunDir, State
from cifar_resnet.sweep import queue
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.launch import train, worker_config

# Submitit's signal for a time limit that nears; Slurm sends it to all processes of the job.
_NEAR_THE_END = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
_WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Assignment:
    """A run as a job gets it: its folder, its resolved config and its number in the sweep."""

    folder: Path
    values: dict[str, Any]
    index: int


class Allocation:
    """What submitit calls in a job."""

    def __call__(self, runs: Sequence[Assignment]) -> list[str]:
        """Trains the runs, as many at a time as fit on the job's GPUs or cores; returns their states."""
        job = JobEnvironment().job_id
        os.environ[JOB_VARIABLE] = job
        # Where Slurm doesn't bind a job to its cores, all of the node's would be counted.
        cores = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
        if cores:
            os.environ["LOKY_MAX_CPU_COUNT"] = cores
        queue_again = signal.getsignal(_NEAR_THE_END)
        sweep = Control.current()  # the submitter's, whose environment Slurm hands on
        control = Control.begin(sweep.size if sweep else len(runs), live=False)
        _listen(control)
        runtime = runs[0].values["runtime"]
        at_a_time = min(len(runs), default_n_jobs(runtime["device"], runtime["runs_per_gpu"]))

        def bring(run: Assignment) -> None:
            mark_queued(run, job)
            train(RunDir(run.folder), worker_config(run.values, at_a_time), control, run.index, _WAIT_SECONDS)

        # Workers inherit what their thread blocks: the signal alone would end them.
        with ThreadPoolExecutor(at_a_time, initializer=_block, initargs=(_NEAR_THE_END,)) as pool:
            list(pool.map(bring, runs))
        folders = [RunDir(run.folder) for run in runs]
        unfinished = [folder for folder in folders if folder.verified_state().is_open]
        stopped = control.stops()
        control.end()
        # After `scancel`, a requeue or a preemption the job ends in any case, and Slurm knows whether it comes back.
        if stopped and unfinished and callable(queue_again) and queue.job_state(job) == "RUNNING":
            _queue_again(unfinished, queue_again)
        return [folder.verified_state().value for folder in folders]

    def checkpoint(self, runs: Sequence[Assignment]) -> DelayedSubmission:
        """What submitit has the job do when it is queued again: the same; the folders know how far they are."""
        return DelayedSubmission(self, runs)


def mark_queued(run: Assignment, job: str) -> None:
    """Notes that the job will train the run, unless it has begun to; whoever comes first, submitter or job, does it."""
    folder = RunDir(run.folder)
    if _is_known(folder, job, run.values):
        return
    with contextlib.suppress(BusyError), folder.lock(timeout=_WAIT_SECONDS):
        if not _is_known(folder, job, run.values):
            folder.write_config(run.values)
            folder.update_status(state=State.QUEUED, job=job, reason=None)


def _is_known(run: RunDir, job: str, values: Mapping[str, Any]) -> bool:
    """Whether the run's folder tells of the job already, or of an end that nothing comes after."""
    with contextlib.suppress(RunError):
        return run.read_status().get("job") == job or run.verified_state(values) in (State.FINISHED, State.DIVERGED)
    return False


def _queue_again(runs: Sequence[RunDir], queue_again: Any) -> None:
    """Has Slurm queue this job again, which ends this process, or says why not."""
    for run in runs:
        run.update_status(state=State.QUEUED, reason="its job was stopped and is queued again; it continues then")
    try:
        queue_again(_NEAR_THE_END, None)
    except UncompletedJobError as error:
        for run in runs:
            run.update_status(state=State.INTERRUPTED, reason=f"{error} (hydra.launcher.max_num_timeout)")


def _listen(control: Control) -> None:
    """Signals, however often they come, ask for a checkpoint; what wants the job gone at once kills it."""
    for number in (signal.SIGTERM, signal.SIGINT, _NEAR_THE_END):
        signal.signal(number, lambda number, frame: control.stop())


def _block(number: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
