"""What Slurm says of jobs, through its own commands; works without accounting storage."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

from cifar_resnet.run.folder import State

# Ends that are nobody's fault: the same command goes on from the checkpoint.
_INTERRUPTED = {
    "CANCELLED": "its job was cancelled (scancel)",
    "PREEMPTED": "its job was preempted",
    "NODE_FAIL": "its job's node failed",
    "BOOT_FAIL": "its job's node failed to start",
    "TIMEOUT": "its job was ended at its time limit, before it had written its checkpoint (signal_delay_s)",
    "DEADLINE": "its job was ended at its deadline",
    "REVOKED": "its job was moved to another cluster",
}

# Why jobs wait that will begin by themselves.
_ORDINARY = {"None", "Resources", "Priority", "BeginTime", "JobArrayTaskLimit", "Dependency", "Cleaning", "Prolog"}


class Job(NamedTuple):
    """A job in the queue."""

    state: str
    reason: str = "None"

    @property
    def may_be_stuck(self) -> bool:
        """Whether it waits for something that time alone doesn't bring, such as a longer limit of the partition."""
        return self.state == "PENDING" and self.reason not in _ORDINARY


def live_jobs() -> dict[str, Job] | None:
    """This user's jobs that wait, run or are about to end, by id; None where Slurm doesn't answer.

    A job of an array is `<array>_<number>`.
    """
    said = _ask("squeue", "--me", "--array", "--noheader", "--format=%i %T %r")
    if said is None:
        return None
    return {job: Job(*rest) for job, *rest in (line.split(maxsplit=2) for line in said.splitlines() if line.strip())}


def job_state(job: str) -> str | None:
    """The state of a job that is in the queue or has ended some minutes ago; None where Slurm doesn't know it."""
    return _details(job).get("JobState")


def how_it_ended(job: str) -> tuple[State, str]:
    """The state of a run whose job has ended without having said how its run stands, and why, for a person."""
    details = _details(job)
    state, code = details.get("JobState"), details.get("ExitCode", "?")
    if state in _INTERRUPTED:
        return State.INTERRUPTED, f"{_INTERRUPTED[state]}; Slurm says {state} of job {job}"
    if state is None:
        return State.INTERRUPTED, f"job {job} is gone, and Slurm no longer knows how it ended"
    said = f"Slurm says {state}, exit code {code}, of job {job}"
    if state == "OUT_OF_MEMORY":
        return State.FAILED, f"out of memory: {said}"
    killed = code.endswith((":9", "137:0"))  # by the signal itself, or as the shell above says it
    return State.FAILED, f"its job's own process {'was killed: out of memory?' if killed else 'ended early:'} {said}"


def _details(job: str) -> dict[str, str]:
    said = _ask("scontrol", "show", "job", job, "--oneliner") or ""
    return dict(re.findall(r"(JobState|ExitCode)=(\S+)", said.partition("\n")[0]))


def _ask(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
