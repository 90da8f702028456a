"""Opens the arrays of a .npz file or of a folder of .npy files without reading them; pickled objects are refused."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import psutil

from cifar_resnet.errors import DataError

_BLOCK, _MOST_BLOCKS = 1 << 16, 64
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class Stored:
    """An array in a file: of its contents, only type and shape have been read."""

    path: Path
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    member: zipfile.ZipInfo | None  # in a .npz file
    begin: int | None  # where its numbers begin in the file; None if they are compressed

    @property
    def where(self) -> str:
        """The array in words, for error messages."""
        return f"{self.name} in {self.path if self.member else self.path.parent}"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Size of the array in bytes."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def load(self) -> np.ndarray:
        """The array: mapped from the file, copied on write, or read if it is compressed.

        Raises:
            DataError: the file is damaged, or there is not enough memory.
        """
        with _named(self.path):
            if self.begin is None:
                return self._read()
            mapped = np.memmap(self.path, self.dtype, "c", self.begin, self.shape, "F" if self.fortran else "C")
            if self.member is not None:
                self._verify(self.member)
            return mapped

    def _read(self) -> np.ndarray:
        assert self.member is not None
        free = psutil.virtual_memory().available
        if self.nbytes > free:
            raise DataError(
                f"{self.where} needs {self.nbytes / 1e9:.1f} GB of memory, of which {free / 1e9:.1f} GB are free; "
                "save it uncompressed (np.savez), and it is mapped instead"
            )
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):  # at the end, the checksum is compared
                raise ValueError("more bytes than its shape says")
            return np.asarray(array)

    def _verify(self, member: zipfile.ZipInfo) -> None:
        """Compares the checksum of a mapped array, which zipfile does for arrays that it reads."""
        with zipfile.ZipFile(self.path) as archive, archive.open(member) as file:
            while file.read(1 << 20):
                pass

    def sample(self) -> str:
        """Text that differs between arrays of other contents: the checksum in a .npz file, or one of some blocks."""
        if self.member is not None:
            return f"{self.member.CRC:08x}"
        digest, size = hashlib.blake2b(digest_size=8), self.path.stat().st_size
        step = max(_BLOCK, size // _MOST_BLOCKS)
        with _named(self.path), self.path.open("rb") as file:
            for begin in range(0, size, step):
                file.seek(begin)
                digest.update(file.read(_BLOCK))
        return digest.hexdigest()


def open_stored(root: Path) -> dict[str, Stored]:
    """The arrays in `root` by name.

    Raises:
        DataError: there are none, or one is damaged or has pickled objects.
    """
    with _named(root):
        if root.is_dir():
            files = sorted(path for path in root.glob("*.npy") if path.is_file())
            return {path.stem: _open_file(path) for path in files}
        if not root.is_file():
            raise DataError(f"data.root={root}: no such file or folder; expected a .npz file or a folder of .npy files")
        if not zipfile.is_zipfile(root):
            raise DataError(f"data.root={root} is not a .npz file, or it is damaged; save it with np.savez")
        with zipfile.ZipFile(root) as archive:
            return {
                member.filename.removesuffix(".npy"): _open_member(root, archive, member)
                for member in archive.infolist()
            }


def _open_file(path: Path) -> Stored:
    with _named(path), path.open("rb") as file:
        stored = Stored(path, path.stem, *_read_header(file, f"{path.stem} in {path.parent}"), None, file.tell())
        return _checked(stored, path.stat().st_size - file.tell())


def _open_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stored:
    name = member.filename.removesuffix(".npy")
    where = f"{name} in {path}"
    with _named(where):
        with archive.open(member) as file:
            header = _read_header(file, where)
            length = file.tell()
        begin = None
        if member.compress_type == zipfile.ZIP_STORED:
            with path.open("rb") as raw:
                raw.seek(member.header_offset + 26)
                # The member's local header has 30 bytes, its name, and an extra field of its own length.
                names, extra = np.frombuffer(raw.read(4), "<u2").tolist()
            begin = member.header_offset + 30 + names + extra + length
        return _checked(Stored(path, name, *header, member, begin), member.file_size - length)


def _read_header(file: IO[bytes], where: str) -> tuple[np.dtype, tuple[int, ...], bool]:
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"format {version} of .npy")
    shape, fortran, dtype = _READERS[version](file)
    if dtype.hasobject:
        raise DataError(
            f"{where} has pickled Python objects, which are not read; expected numbers, or text for classes"
        )
    return dtype, shape, fortran


def _checked(stored: Stored, available: int) -> Stored:
    if stored.nbytes != available:
        raise DataError(
            f"{stored.where} is damaged: its shape {stored.shape} takes {stored.nbytes:,} bytes, found {available:,}"
        )
    return stored


@contextlib.contextmanager
def _named(place: str | Path) -> Iterator[None]:
    """An error in a damaged file names the file."""
    try:
        yield
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{place} can't be read ({reason})") from error
