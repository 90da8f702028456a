"""How a process holds a run: by flock, or by a file's existence on disks where flock doesn't reach all nodes.

The choice is in the environment, and not in the config, as all programs that look at a folder must agree on it.
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
    """The run's lock; of a soft one the existence is the lock."""
    return folder / ("run.softlock" if are_soft() else "run.lock")


@contextlib.contextmanager
def hold(folder: Path, timeout: float) -> Iterator[None]:
    """Holds the run for this process, after waiting at most `timeout` seconds for it.

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
            # Up to filelock 4.1, the last for Python 3.10, one try frees a dead holder's lock and the next one has it.
            lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise BusyError(f"{folder}: another process is training this run; left alone") from error
    try:
        yield
    finally:
        lock.release()


def break_soft(folder: Path) -> None:
    """Frees a run whose holder is known to be gone; flock does so by itself."""
    if are_soft():
        file_of(folder).unlink(missing_ok=True)
