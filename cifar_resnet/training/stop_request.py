"""Why a run is to stop before it has finished: a signal, the end of its parent process, or a limit of time."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from cifar_resnet.run.durations import seconds_of
from cifar_resnet.run.states import PARENT_GONE, stopped_by


class StopRequest:
    """Turns SIGTERM, SIGINT, the parent process's death and a limit of time into a request to stop after a step."""

    def __init__(self, parent: int | None = None) -> None:
        self.reason: str | None = None
        self._parent = parent
        self._limit: tuple[float, str] | None = None
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            signal.signal(number, self._receive)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # a sweep's processes block them

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.reason = self.reason or stopped_by(number)  # the first one is the cause
        # A second Ctrl-C stops immediately. Slurm may send SIGTERM several times, so it always stops gracefully.
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)

    def set_limit(self, stop_after: str, begin: float) -> None:
        """Stops the run this long after `begin` on the monotonic clock."""
        self._limit = begin + (seconds_of(stop_after) or 0), f"runtime.stop_after={stop_after} is over"

    @property
    def is_as_planned(self) -> bool:
        """Whether the run stops because its time is over."""
        return self._limit is not None and self.reason == self._limit[1]

    def wanted(self) -> bool:
        """Whether to stop."""
        if self.reason is None and self._parent is not None and os.getppid() != self._parent:
            self.reason = PARENT_GONE
        if self.reason is None and self._limit is not None and time.monotonic() >= self._limit[0]:
            self.reason = self._limit[1]
        return self.reason is not None
