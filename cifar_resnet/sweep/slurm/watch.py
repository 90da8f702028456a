"""Waits for the runs of jobs, and records how a run ended whose job is gone.

The jobs don't depend on the waiting process. It may end at any time, and the same command waits for them again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cifar_resnet.errors import BusyError, RunError
from cifar_resnet.run import locks
from cifar_resnet.run.folder import RunDir, now
from cifar_resnet.run.states import PARENT_GONE, State
from cifar_resnet.sweep.control import Control
from cifar_resnet.sweep.slurm import squeue

QUEUED_AGAIN = "its job was stopped and is queued again; the run will continue"
_POLL_SECONDS = 2.0
_SQUEUE_SECONDS = 15.0  # asking more often would burden the cluster


def wait(runs: Sequence[RunDir]) -> None:
    """Waits until each run or its job has ended; returns early if the user stops the sweep.

    Notes the runs that finished but could not be given the diagnostics or weights that they lack, so that the sweep
    fails. Their jobs know of it, but their notes don't reach this process.
    """
    control = Control.current()
    waiting = {run.path: run for run in runs}
    asked = -_SQUEUE_SECONDS
    while waiting and not control.is_stopping():
        live = None
        if time.monotonic() - asked >= _SQUEUE_SECONDS:
            # Asked before the folders are read, which then hold all that a job that is gone has written.
            live, asked = squeue.live_jobs(), time.monotonic()
        waiting = {path: run for path, run in waiting.items() if not has_ended(run, live)}
        if waiting:
            time.sleep(_POLL_SECONDS)
    for run in runs:
        with contextlib.suppress(RunError):
            state, reason = run.verify()
            if state is State.FINISHED and reason is not None:
                control.note(run, reason=reason)


def has_ended(run: RunDir, live: Mapping[str, squeue.QueuedJob] | None) -> bool:
    """Whether the run has ended; if its job is gone without having recorded why, records that too.

    Args:
        run: the run.
        live: the user's jobs; None if unknown, in which case only the run folder counts.
    """
    try:
        status = run.read_status()
    except RunError:
        status = {"state": State.INTERRUPTED.value}
    if not State(status["state"]).is_open:
        return True
    if live is None:
        return False
    job = str(status.get("job"))
    if job not in live:
        return _settle(run, status.get("job"))
    if live[job].state == "PENDING":
        _note_waiting(run, status, live[job])
    return False


def _note_waiting(run: RunDir, status: Mapping[str, Any], job: squeue.QueuedJob) -> None:
    """Records that a run whose job is pending is queued, and the reason if the job may wait forever."""
    reason = status.get("reason")
    if status["state"] != State.QUEUED:
        reason = QUEUED_AGAIN
    if job.may_be_stuck:
        reason = f"its job may wait forever; reason reported by Slurm: {job.reason}"
    if reason == status.get("reason"):
        return
    with contextlib.suppress(BusyError), run.lock():
        run.update_status(state=State.QUEUED, reason=reason)
        if job.may_be_stuck and not Control.current().live:
            print(f"{run.path.parent.name} {run.path.name}: {reason}", flush=True)


def _settle(run: RunDir, job: str | None) -> bool:
    """Records how a run ended whose job is not among this user's; returns False if the run hasn't ended."""
    ending = None if job is None else squeue.how_it_ended(job)
    if job is not None and ending is None:
        return False  # for example, the job of a colleague
    # On a shared disk, this makes what another machine wrote visible.
    with contextlib.suppress(OSError):
        os.utime(run.path)
    if ending is not None:
        locks.break_soft(run.path, only_own=not ending.is_known)
    try:
        with run.lock():
            status = run.read_status()
            is_unrecorded = status["state"] in (State.QUEUED, State.RUNNING) or status.get("reason") == PARENT_GONE
            if is_unrecorded and ending is not None:
                run.update_status(state=ending.state, reason=ending.reason, finished=now())
    except BusyError:
        return False
    except RunError:
        return True
    return True
