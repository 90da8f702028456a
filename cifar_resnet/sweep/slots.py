"""Shares the GPUs of a machine out: a run holds a slot of one of them for as long as it trains.

A slot is a locked file in a folder that all sweeps of a user on a machine have in common. The kernel holds the lock
for as long as a process has the file open, and so frees it when that process dies, however it does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from cifar_resnet.devices import Gpu

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Slot:
    """A place on a GPU, held by each process that has `descriptor` open.

    To be inherited by the process that trains: the GPU is busy until that one has ended, too, even where the one that
    took the slot was killed before.
    """

    gpu: Gpu
    descriptor: int

    def release(self) -> None:
        """Gives the slot back, unless another process still holds it."""
        os.close(self.descriptor)


def folder() -> Path:
    """Where this user's slots on this machine are; the temporary folder may be one that several machines share."""
    return Path(tempfile.gettempdir()) / f"cifar-resnet-gpus-{os.getuid()}-{socket.gethostname()}"


def acquire(gpus: Sequence[Gpu], runs_per_gpu: int) -> Slot | None:
    """A slot of the GPU that has the most free ones; None where all are taken.

    Raises:
        OSError: the folder of the slots can't be written to.
    """
    place = folder()
    place.mkdir(mode=0o700, exist_ok=True)
    # One at a time: free slots are locked for a moment to be counted, and must not look taken to another.
    with filelock.FileLock(place / "choice.lock"), contextlib.ExitStack() as others:
        free: dict[Gpu, list[int]] = {}
        for gpu in gpus:
            for number in range(runs_per_gpu):
                descriptor = _lock(place / f"{gpu.uuid}.{number}.lock")
                if descriptor is not None:
                    others.callback(os.close, descriptor)
                    free.setdefault(gpu, []).append(descriptor)
        if not free:
            return None
        gpu = max(free, key=lambda gpu: len(free[gpu]))
        return Slot(gpu, os.dup(free[gpu][0]))


def _lock(path: Path) -> int | None:
    """A descriptor of the file, locked; None where another has it locked."""
    # Not by filelock, whose descriptor can't be handed to a process.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def wait_for(
    gpus: Sequence[Gpu], runs_per_gpu: int, stops: Callable[[], bool], say_waiting: Callable[[], object]
) -> Slot | None:
    """A slot, as soon as there is one; None where `stops` becomes true, or Ctrl-C comes, before.

    `say_waiting` is called once where none is free at first.
    """
    said = False
    with contextlib.suppress(KeyboardInterrupt):
        while not stops():
            slot = acquire(gpus, runs_per_gpu)
            if slot is not None:
                return slot
            if not said:
                say_waiting()
                said = True
            time.sleep(_POLL_SECONDS)
    return None
