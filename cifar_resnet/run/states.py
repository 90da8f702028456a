"""The states of a run, and the reasons for an interruption."""

from __future__ import annotations

import signal
from enum import Enum

PARENT_GONE = "the sweep that started it is gone"  # reason of an interrupted run whose parent process is gone


class State(str, Enum):
    """The state of a run; recorded in run.json with a human-readable reason."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    def __str__(self) -> str:
        return self.value

    @property
    def is_open(self) -> bool:
        """Whether the run isn't over: it is waiting or training, or the same command continues it."""
        return self in (State.PENDING, State.QUEUED, State.RUNNING, State.INTERRUPTED)


STATES = frozenset(State)


def stopped_by(number: int) -> str:
    """The reason of a run that was interrupted by a signal."""
    return f"stopped by {'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name}"


def not_added(reason: str) -> str:
    """The reason of a finished run that still lacks something."""
    return f"it has finished, but adding what it lacks failed: {reason}"
