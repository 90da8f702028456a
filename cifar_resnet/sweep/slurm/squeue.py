"""What Slurm reports about jobs, through its own commands; works without accounting storage."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

from cifar_resnet.run.folder import State

# Ends that are not the run's fault: the same command continues from the checkpoint.
_INTERRUPTED = {
    "CANCELLED": "its job was canceled (scancel)",
    "PREEMPTED": "its job was preempted",
    "NODE_FAIL": "its job's node failed",
    "BOOT_FAIL": "its job's node failed to start",
    "TIMEOUT": "its job reached its time limit before the checkpoint was written (signal_delay_s)",
    "DEADLINE": "its job reached its deadline",
    "REVOKED": "its job was moved to another cluster",
}

# Reasons for which a pending job starts by itself sooner or later.
_ORDINARY = {"None", "Resources", "Priority", "BeginTime", "JobArrayTaskLimit", "Dependency", "Cleaning", "Prolog"}


class QueuedJob(NamedTuple):
    """A job in Slurm's queue, pending or running."""

    state: str
    reason: str = "None"

    @property
    def may_be_stuck(self) -> bool:
        """Whether the job waits for something that needs action, such as a longer time limit of the partition."""
        return self.state == "PENDING" and self.reason not in _ORDINARY


def live_jobs() -> dict[str, QueuedJob] | None:
    """This user's jobs that are pending, running or ending, by id; None if Slurm doesn't answer.

    The id of an array's job is `<array>_<number>`.
    """
    output = _ask("squeue", "--me", "--array", "--noheader", "--format=%i %T %r")
    if output is None:
        return None
    lines = (line.split(maxsplit=2) for line in output.splitlines() if line.strip())
    return {job: QueuedJob(*rest) for job, *rest in lines}


def job_state(job: str) -> str | None:
    """The state of a job that is in the queue or ended a few minutes ago; None if Slurm doesn't know it."""
    return _details(job).get("JobState")


def how_it_ended(job: str) -> tuple[State, str]:
    """State and reason, for the user, of a run whose job ended without recording them."""
    details = _details(job)
    state, code = details.get("JobState"), details.get("ExitCode", "?")
    if state in _INTERRUPTED:
        return State.INTERRUPTED, f"{_INTERRUPTED[state]}; Slurm reports {state} for job {job}"
    if state is None:
        return State.INTERRUPTED, f"job {job} is gone, and Slurm no longer knows how it ended"
    report = f"Slurm reports {state}, exit code {code}, for job {job}"
    if state == "OUT_OF_MEMORY":
        return State.FAILED, f"out of memory: {report}"
    killed = code.endswith((":9", "137:0"))  # killed directly, or under a shell, which encodes the signal
    return State.FAILED, f"its job's own process {'was killed: out of memory?' if killed else 'ended early:'} {report}"


def _details(job: str) -> dict[str, str]:
    output = _ask("scontrol", "show", "job", job, "--oneliner") or ""
    return dict(re.findall(r"(JobState|ExitCode)=(\S+)", output.partition("\n")[0]))


def _ask(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
