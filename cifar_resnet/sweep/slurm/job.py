"""The job's side of a sweep on Slurm: trains the job's runs as a single machine would, and requeues the job.

Submitit starts it on a node. A signal that ends the job early is passed on to each run, in time for its checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import DelayedSubmission, UncompletedJobError

from cifar_resnet.devices import default_n_jobs
from cifar_resnet.errors import RunError
from cifar_resnet.run.folder import JOB_VARIABLE, RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.launch import train
from cifar_resnet.sweep.slurm import squeue
from cifar_resnet.sweep.slurm.watch import QUEUED_AGAIN
from cifar_resnet.sweep.worker_process import worker_config
from cifar_resnet.terminal import never_fail

# Submitit's signal before the time limit; Slurm sends it to all processes of the job.
_BEFORE_TIME_LIMIT = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
_WAIT_SECONDS = 10.0


class Job:
    """What submitit calls in a job."""

    def __call__(self, assignments: Sequence[Assignment]) -> list[str]:
        """Trains the runs, as many in parallel as fit on the job's GPUs or cores; returns their states."""
        never_fail()
        job = JobEnvironment().job_id
        os.environ[JOB_VARIABLE] = job
        # If Slurm doesn't bind a job to its cores, all cores of the node would be counted.
        cores = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
        if cores:
            os.environ["LOKY_MAX_CPU_COUNT"] = cores
        requeue = signal.getsignal(_BEFORE_TIME_LIMIT)
        size = Control.current().size  # that of the submitter, whose environment Slurm passes on
        control = Control.begin(len(assignments) if size is None else size, live=False)
        _listen(control)
        runtime = assignments[0].config["runtime"]
        at_a_time = min(len(assignments), default_n_jobs(runtime["device"], runtime["runs_per_gpu"]))

        def train_one(assignment: Assignment) -> None:
            mark_queued(assignment, job)
            config = worker_config(assignment.config, at_a_time)
            train(replace(assignment, config=config), control, _WAIT_SECONDS)

        # Workers inherit the blocked signals of their thread; unblocked, this one would end them.
        with ThreadPoolExecutor(at_a_time, initializer=_block, initargs=(_BEFORE_TIME_LIMIT,)) as pool:
            list(pool.map(train_one, assignments))
        runs = [assignment.run for assignment in assignments]
        unfinished = [run for run in runs if _state(run).is_open]
        was_stopped = control.is_stopping()
        control.end()
        # After scancel, a requeue or a preemption the job ends in any case, and Slurm decides whether it is requeued.
        if was_stopped and unfinished and callable(requeue) and squeue.job_state(job) == "RUNNING":
            _requeue(unfinished, requeue)
        return [_state(run).value for run in runs]

    def checkpoint(self, assignments: Sequence[Assignment]) -> DelayedSubmission:
        """What the requeued job does: the same again, since the run folders hold the progress."""
        return DelayedSubmission(self, assignments)


def _state(run: RunDir) -> State:
    try:
        return run.verified_state()
    except RunError:
        return State.FAILED  # `train` has reported why the folder can't be used


def mark_queued(assignment: Assignment, job: str) -> None:
    """Records that the run is queued in the job; submitter and job both call it, and the first one writes."""
    if _is_recorded(assignment, job):
        return
    run = assignment.run
    # Of a folder that holds another run, `train` reports it.
    with contextlib.suppress(RunError), run.lock(timeout=_WAIT_SECONDS):
        if not _is_recorded(assignment, job):
            run.claim(assignment.config)
            run.update_status(state=State.QUEUED, job=job, reason=None)


def _is_recorded(assignment: Assignment, job: str) -> bool:
    """Whether the run folder already names the job, or the run needs no job because it has finished or diverged."""
    with contextlib.suppress(RunError):
        names_job = assignment.run.read_status().get("job") == job
        return names_job or assignment.state() in (State.FINISHED, State.DIVERGED)
    return False


def _requeue(runs: Sequence[RunDir], requeue: Any) -> None:
    """Has Slurm requeue this job, which ends this process; records the reason if Slurm may not."""
    for run in runs:
        run.update_status(state=State.QUEUED, reason=QUEUED_AGAIN)
    try:
        requeue(_BEFORE_TIME_LIMIT, None)
    except UncompletedJobError as error:
        for run in runs:
            run.update_status(state=State.INTERRUPTED, reason=f"{error} (hydra.launcher.max_num_timeout)")


def _listen(control: Control) -> None:
    """Makes each signal ask for a checkpoint, however often it arrives; only SIGKILL ends the job at once."""
    for number in (signal.SIGTERM, signal.SIGINT, _BEFORE_TIME_LIMIT):
        signal.signal(number, lambda number, frame: control.stop())


def _block(number: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
