"""Locks a run: by flock, or by a file's existence on disks where flock doesn't work across nodes.

The environment makes the choice, not the config, because all programs that use a folder must agree on it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from cifar_resnet.errors import BusyError

VARIABLE = "CIFAR_RESNET_LOCK"


def are_soft() -> bool:
    """Whether a run is locked by a file's existence, which may outlive the process that made it."""
    return os.environ.get(VARIABLE) == "soft"


def file_of(folder: Path) -> Path:
    """The run's lock file; a soft lock is held while its file exists."""
    return folder / ("run.softlock" if are_soft() else "run.lock")


@contextlib.contextmanager
def hold(folder: Path, timeout: float) -> Iterator[None]:
    """Holds the run for this process; waits at most `timeout` seconds for it.

    Raises:
        BusyError: another process holds it.
    """
    kind = filelock.SoftFileLock if are_soft() else filelock.FileLock
    lock = kind(file_of(folder), timeout=timeout)
    try:
        try:
            lock.acquire()
        except filelock.Timeout:
            if not are_soft():
                raise
            # In filelock up to 4.1 (the last for Python 3.10), one attempt breaks a dead process's lock and the next
            # one gets it.
            lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise BusyError(f"{folder}: another process is training this run; skipped") from error
    try:
        yield
    finally:
        lock.release()


def break_soft(folder: Path) -> None:
    """Releases the soft lock of a run whose process is known to be gone; flock is released automatically."""
    if are_soft():
        file_of(folder).unlink(missing_ok=True)
