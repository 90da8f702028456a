"""The temporary folder that the processes of a sweep share, and which a killed sweep can't remove itself.

Its main process locks it. The kernel releases the lock when that process ends, however it ends, so the next sweep can
tell the folder of a killed sweep from that of a live one, and removes it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import glob
import os
import shutil
import socket
import tempfile
from pathlib import Path

_locks: dict[Path, int] = {}
"""The descriptors with which this process locks its folders."""


def create() -> Path:
    """A new folder, which this process removes when it ends; removes what killed sweeps left."""
    _remove_abandoned()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix()))
        # Until it is locked, another sweep may take it for an abandoned one and remove it.
        try:
            descriptor = _open(folder)
        except FileNotFoundError:
            continue
        # It fails where folders can't be locked, as on NFS; then no other sweep can lock this one to remove it.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink > 0:
            _locks[folder] = descriptor
            atexit.register(remove, folder)
            return folder
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Removes a folder that this process created, unless that has happened."""
    shutil.rmtree(folder, ignore_errors=True)
    descriptor = _locks.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


def _prefix() -> str:
    """How the names of this machine's folders start; several machines may share a temporary folder, but not locks."""
    return f"cifar-resnet-sweep-{socket.gethostname()}-"


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _remove_abandoned() -> None:
    """Removes this user's folders that no process has locked."""
    for folder in Path(tempfile.gettempdir()).glob(glob.escape(_prefix()) + "*"):
        with contextlib.suppress(OSError):  # not a folder, another user's, gone already, or locked
            descriptor = _open(folder)
            try:
                if os.fstat(descriptor).st_uid == os.getuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
