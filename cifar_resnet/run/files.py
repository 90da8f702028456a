"""Writes and checks files so that each is complete or absent, whatever happens to the process or the disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
MOST_BYTES = 2**26
"""The largest file that is read into memory, unless another limit is given: 64 MB."""
_DIGEST_BYTES, _PART_BYTES = 8, 2**20


def read(path: Path, most: int = MOST_BYTES) -> bytes:
    """The contents of a regular file of at most `most` bytes; a link to one is followed.

    Raises:
        OSError: it can't be read, it is a pipe, a device or a folder, or it is too large.
    """
    with open_to_read(path) as file:
        # One byte more than there are or may be, to notice more. Python reserves as much memory as it is asked to read.
        content = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
    if len(content) > most:
        raise OSError(f"{path} has more than {most:,} bytes")
    return content


def open_to_read(path: Path) -> BinaryIO:
    """Opens a regular file; a link to one is followed.

    Raises:
        OSError: it can't be read, or it is a pipe, a device or a folder.
    """
    # Without O_NONBLOCK, opening a named pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_end(path: Path, most: int = 2**16) -> bytes:
    """The last bytes of a regular file, at most `most`.

    Raises:
        OSError: as `open_to_read`.
    """
    with open_to_read(path) as file:
        file.seek(-min(most, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return file.read()


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The UTF-8 text of a regular file of at most `most` bytes.

    Raises:
        OSError: as `read`.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read(path, most).decode()


def open_to_append(path: Path) -> BinaryIO:
    """Opens a regular file for appending, and creates it if necessary.

    Raises:
        OSError: it can't be written to, or it is a link, a pipe or a device, which would lead the text elsewhere.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise OSError(error.errno, "it is a link or a pipe, not a regular file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a regular file", str(path))
    return os.fdopen(descriptor, "ab")


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


def overwrite(path: Path, text: str) -> None:
    """Replaces the contents of an existing file in place, which needs no space on a full disk; not atomic.

    Raises:
        OSError: it can't be written to, or the text needs more space than there is; then the file is as before.
    """
    content = text.encode()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW), "wb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            # First what the old contents have no space for.
            _write_at(file, size, content[size:])
        except OSError:
            file.truncate(size)
            raise
        _write_at(file, 0, content[:size])
        file.truncate(len(content))


def _write_at(file: FileIO, position: int, content: bytes) -> None:
    file.seek(position)
    while content:  # a nearly full disk takes only a part at first
        content = content[file.write(content) :]
    os.fsync(file.fileno())


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


def folders_with(name: str, top: Path) -> Iterator[Path]:
    """The folders at and below `top` that contain a file of this name, without hidden ones.

    Links to folders are followed, after all real folders. Each folder comes once, even if links form a loop.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [top]
    while waiting:
        links: list[Path] = []
        for start in waiting:
            for path, subfolders, files in os.walk(start):
                folder = Path(path)
                found = folder.stat()
                if (found.st_dev, found.st_ino) in seen:
                    subfolders.clear()
                    continue
                seen.add((found.st_dev, found.st_ino))
                subfolders[:] = [subfolder for subfolder in subfolders if not subfolder.startswith(".")]
                # os.walk doesn't enter links by itself.
                links += [folder / subfolder for subfolder in subfolders if (folder / subfolder).is_symlink()]
                if name in files:
                    yield folder
        waiting = links


def digest(path: Path) -> str | None:
    """16 hexadecimal digits: a hash of a file's contents; None if it can't be read or has more than `MOST_BYTES`."""
    try:
        return digest_of(read(path))
    except OSError:
        return None


def digest_of_any_size(path: Path) -> str | None:
    """The same hash, read in parts, so that the file may be larger than the memory; None if it can't be read."""
    hashed = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    try:
        with open_to_read(path) as file:
            while part := file.read(_PART_BYTES):
                hashed.update(part)
    except OSError:
        return None
    return hashed.hexdigest()


def digest_of(content: bytes | memoryview) -> str:
    """The same hash of contents that have been read."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()
