"""Writes and checks files so that each is complete or absent, whatever happens to the process or the disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets `write` fill a temporary file and renames it to `path` once it is safely on disk."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _named(path, write, file)
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Replaces `path` with UTF-8 text, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def _named(path: Path, write: Callable[[BinaryIO], object], file: BinaryIO) -> None:
    """Calls `write`; an OSError names the final file instead of the temporary one."""
    try:
        write(file)
        file.flush()
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def umask() -> int:
    """The process's umask: the permissions that new files don't get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def digest(path: Path) -> str | None:
    """16 hexadecimal digits: a hash of a file's contents; None if the file can't be read."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError:
        return None
