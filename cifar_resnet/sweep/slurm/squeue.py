"""What Slurm reports about jobs, through its own commands; works without accounting storage."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

from cifar_resnet.run.states import State

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

# Ends that are the run's fault, or that of the job's own process.
_FAILED = ("COMPLETED", "FAILED", "OUT_OF_MEMORY")

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


class Ending(NamedTuple):
    """How a run ended whose job is gone without having recorded that."""

    state: State
    reason: str  # for the user
    is_known: bool = True  # whether Slurm reports the end, instead of not knowing the job


def live_jobs() -> dict[str, QueuedJob] | None:
    """This user's jobs that are pending, running or ending, by id; None if Slurm doesn't answer.

    The id of an array's job is `<array>_<number>`.
    """
    done = _ask("squeue", "--me", "--array", "--noheader", "--format=%i %T %r")
    if done is None or done.returncode != 0:
        return None
    lines = (line.split(maxsplit=2) for line in done.stdout.splitlines() if line.strip())
    return {job: QueuedJob(*rest) for job, *rest in lines}


def job_state(job: str) -> str | None:
    """The state of a job that is in the queue or ended a few minutes ago; None if Slurm doesn't know it."""
    return (_details(job) or {}).get("JobState")


def how_it_ended(job: str) -> Ending | None:
    """How the run of a job ended; None if Slurm doesn't report that the job has ended, or doesn't answer.

    A job that Slurm doesn't know has ended some minutes ago, unless it is another user's, which Slurm may hide.
    """
    details = _details(job)
    if details is None:
        return None
    state, code = details.get("JobState"), details.get("ExitCode", "?")
    if state is None:
        return Ending(State.INTERRUPTED, f"job {job} is gone, and Slurm no longer knows how it ended", is_known=False)
    if state in _INTERRUPTED:
        return Ending(State.INTERRUPTED, f"{_INTERRUPTED[state]}; Slurm reports {state} for job {job}")
    if state not in _FAILED:
        return None
    report = f"Slurm reports {state}, exit code {code}, for job {job}"
    if state == "OUT_OF_MEMORY":
        return Ending(State.FAILED, f"out of memory: {report}")
    killed = code.endswith((":9", "137:0"))  # killed directly, or under a shell, which encodes the signal
    early = "was killed: out of memory?" if killed else "ended early:"
    return Ending(State.FAILED, f"its job's own process {early} {report}")


def _details(job: str) -> dict[str, str] | None:
    """A job's state and exit code; empty if Slurm doesn't know the job, None if it doesn't answer."""
    done = _ask("scontrol", "show", "job", job, "--oneliner")
    if done is None or (done.returncode != 0 and "Invalid job id" not in done.stderr):
        return None
    return dict(re.findall(r"(JobState|ExitCode)=(\S+)", done.stdout.partition("\n")[0]))


def _ask(*command: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
