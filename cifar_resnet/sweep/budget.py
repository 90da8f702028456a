"""The time that a sweep may take (`runtime.stop_after`): stops it when that is over, and tells how far it gets."""

from __future__ import annotations

import heapq
import math
import sys
import threading
import time
from collections.abc import Sequence

from cifar_resnet.errors import ConfigError
from cifar_resnet.run.durations import seconds_of
from cifar_resnet.run.schema import Config
from cifar_resnet.status.table import count_runs
from cifar_resnet.sweep.control import Control


class Budget:
    """The time that a sweep may take, which begins with this object."""

    def __init__(self, text: str | None) -> None:
        self._begun = time.monotonic()
        self._seconds = None if text is None else seconds_of(text)
        self.reason = f"runtime.stop_after={text} is over"
        self._timer: threading.Timer | None = None

    @classmethod
    def of(cls, configs: Sequence[Config]) -> Budget:
        """That of a sweep's runs.

        Raises:
            ConfigError: they differ in it.
        """
        texts = sorted({config.runtime.stop_after for config in configs}, key=str)
        if len(texts) > 1:
            raise ConfigError(f"runtime.stop_after={','.join(map(str, texts))}: expected one time for the whole sweep")
        return cls(texts[0] if texts else None)

    def start(self, control: Control) -> None:
        """Stops the sweep when the time is over, unless it ends earlier."""
        if self._seconds is not None:
            left = self._seconds - (time.monotonic() - self._begun)
            self._timer = threading.Timer(max(0.0, left), self._end, [control])
            self._timer.daemon = True
            self._timer.start()

    def _end(self, control: Control) -> None:
        if control.is_stopping():
            return
        control.stop(self.reason)
        # A live table shows the message itself, and a line in between would break it.
        if not control.live:
            print(f"{self.reason}; {control.on_stop}", file=sys.stderr)

    def has_stopped(self, control: Control) -> bool:
        """Whether the sweep was stopped because its time is over; from now on, it won't be."""
        if self._timer is not None:
            self._timer.cancel()
        return control.why_stopping() == self.reason


def describe(text: str, seconds: Sequence[float], at_a_time: int) -> str:
    """How far a sweep gets in its time.

    >>> describe("2h", [3600, 7200, 7200, 3600], 2)
    'runtime.stop_after=2h: 2 runs finish, 1 run is under way; started 2 times, the command finishes all'

    Args:
        text: the value of runtime.stop_after.
        seconds: time left of each run, in the order in which they start.
        at_a_time: runs in parallel.
    """
    budget = seconds_of(text) or 0
    free = [0.0] * at_a_time  # when each place is free again
    ends = []
    for length in seconds:
        begin = heapq.heappop(free)
        heapq.heappush(free, begin + length)
        ends.append((begin, begin + length))
    finished = sum(end <= budget for _, end in ends)
    if finished == len(ends):
        return f"runtime.stop_after={text}: all runs finish"
    open_runs = sum(begin < budget < end for begin, end in ends)
    under_way = f"{count_runs(open_runs)} {'is' if open_runs == 1 else 'are'} under way"
    done = f"{count_runs(finished)} {'finishes' if finished == 1 else 'finish'}" if finished else "no run finishes"
    times = math.ceil(max(end for _, end in ends) / budget)
    return f"runtime.stop_after={text}: {done}, {under_way}; started {times} times, the command finishes all"
