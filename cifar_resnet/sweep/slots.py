"""Divides the GPUs of a machine among runs: each run holds a slot on one of them while it is trained.

A slot is a locked file in a folder that all sweeps of a user on a machine share. The kernel keeps the lock while a
process has the file open, and so releases it when that process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import CifarResnetError

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Slot:
    """A share of a GPU, held by every process that has `descriptor` open.

    The worker must inherit the descriptor, so that the GPU stays busy until the worker has ended, even if the process
    that acquired the slot was killed earlier.
    """

    gpu: Gpu
    descriptor: int

    def release(self) -> None:
        """Releases the slot, unless another process still holds it."""
        os.close(self.descriptor)


class NoFolderError(CifarResnetError):
    """The folder of slots isn't this user's own, as when another user created it first."""


def folder() -> Path:
    """The folder of this user's slots on this machine; several machines may share a temporary folder."""
    return Path(tempfile.gettempdir()) / f"cifar-resnet-gpus-{os.getuid()}-{socket.gethostname()}"


def own_folder() -> Path:
    """The folder of slots, created if it doesn't exist.

    Raises:
        NoFolderError: it isn't a folder that only this user can write to.
        OSError: it can't be created.
    """
    directory = folder()
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise NoFolderError(
            f"{directory} records which GPUs are in use, and other users can write to it: expected a folder of your "
            "own; remove it, or set TMPDIR to another folder for all your sweeps on this machine"
        )
    return directory


def acquire(gpus: Sequence[Gpu], runs_per_gpu: int) -> Slot | None:
    """A slot on the GPU with the most free slots; None if all are taken.

    Raises:
        NoFolderError, OSError: the folder of slots can't be used.
    """
    directory = own_folder()
    # One process at a time: counting locks the free slots for a moment, and they must not look taken to others.
    with filelock.FileLock(directory / "choice.lock"), contextlib.ExitStack() as others:
        free: dict[Gpu, list[int]] = {}
        for gpu in gpus:
            for number in range(runs_per_gpu):
                descriptor = _lock(directory / f"{gpu.uuid}.{number}.lock")
                if descriptor is not None:
                    others.callback(os.close, descriptor)
                    free.setdefault(gpu, []).append(descriptor)
        if not free:
            return None
        gpu = max(free, key=lambda gpu: len(free[gpu]))
        return Slot(gpu, os.dup(free[gpu][0]))


def _lock(path: Path) -> int | None:
    """A descriptor of the file, which it locks; None if the file is already locked."""
    # filelock doesn't offer its descriptor, which a process must be able to inherit.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def wait_for(
    gpus: Sequence[Gpu], runs_per_gpu: int, is_stopping: Callable[[], bool], report_waiting: Callable[[], object]
) -> Slot | None:
    """A slot, as soon as one is free; None if `is_stopping` returns true or Ctrl-C is pressed first.

    Calls `report_waiting` once if it has to wait.
    """
    has_reported = False
    with contextlib.suppress(KeyboardInterrupt):
        while not is_stopping():
            slot = acquire(gpus, runs_per_gpu)
            if slot is not None:
                return slot
            if not has_reported:
                report_waiting()
                has_reported = True
            time.sleep(_POLL_SECONDS)
    return None
