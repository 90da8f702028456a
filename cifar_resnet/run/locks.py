"""Locks runs, by flock or by a file's existence where flock doesn't work across nodes, and folders of data.

The environment makes the choice, not the config, because all programs that use a folder must agree on it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import psutil

from cifar_resnet.errors import BusyError
from cifar_resnet.run.files import umask

VARIABLE = "CIFAR_RESNET_LOCK"
_POLL_SECONDS = 0.05


def are_soft() -> bool:
    """Whether a run is locked by a file's existence, which may outlive the process that made it."""
    return os.environ.get(VARIABLE) == "soft"


def file_of(folder: Path) -> Path:
    """The run's lock file; a soft lock is held while its file exists."""
    return folder / ("run.softlock" if are_soft() else "run.lock")


def _mode() -> int:
    """The mode of a new lock file: only who may write it may read it, since flock takes any file that can be read.

    With umask 002, the group can train the run; with 022, nobody else can keep it from being trained.
    """
    writable = 0o222 & ~umask()
    return writable | writable << 1


@contextlib.contextmanager
def hold(folder: Path, timeout: float) -> Iterator[None]:
    """Holds the run for this process; waits at most `timeout` seconds for it.

    Raises:
        BusyError: another process holds it.
    """
    file = file_of(folder)
    lock = (
        filelock.SoftFileLock(file, timeout=timeout) if are_soft() else filelock.FileLock(file, timeout, mode=_mode())
    )
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


@contextlib.contextmanager
def fill_alone(folder: Path, name: str) -> Iterator[None]:
    """Creates a folder of data that processes share, and lets them fill it one after another; waits without a limit.

    Afterwards removes the lock file, and the folders that it has created if nothing was put there.

    Args:
        folder: the folder of data.
        name: of the lock: what is put there.

    Raises:
        OSError: the folder or the lock file can't be created.
    """
    file = folder / f".{name}.lock"
    lock, created = filelock.FileLock(file), list[Path]()
    try:
        while not lock.is_locked:
            created += [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            try:
                # One attempt at a time, because the process that has the lock may remove the folder.
                lock.acquire(timeout=0)
            except (filelock.Timeout, FileNotFoundError):
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        if lock.is_locked:
            # Before the release: filelock notices if it gets the lock of a file that is gone, and creates another.
            with contextlib.suppress(OSError):
                file.unlink()
            lock.release()
        for path in created:
            with contextlib.suppress(OSError):  # it isn't empty
                path.rmdir()


def break_soft(folder: Path, only_own: bool = False) -> None:
    """Releases the soft lock of a run whose process is known to be gone; flock is released automatically.

    Args:
        folder: the run's folder.
        only_own: leave a lock that another user holds.
    """
    file = file_of(folder)
    with contextlib.suppress(FileNotFoundError):
        if are_soft() and not (only_own and file.lstat().st_uid != os.getuid()):
            file.unlink()


def is_gone(host: object, pid: object) -> bool:
    """Whether the process with these values in run.json has certainly ended: it was one of this machine."""
    if host != socket.gethostname() or not isinstance(pid, int):
        return False
    with contextlib.suppress(OverflowError):  # no process has such a number
        return not psutil.pid_exists(pid)
    return True
