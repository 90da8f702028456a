"""Keeps decoded images in a folder of arrays that processes map into memory, and rebuilds it when it is damaged."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch

from cifar_resnet.datasets.folders import SPLITS
from cifar_resnet.errors import DataError
from cifar_resnet.run import locks
from cifar_resnet.run.files import umask, write_text
from cifar_resnet.training.data.source import Source, Split, channel_statistics, fingerprint

log = logging.getLogger("cifar_resnet")
_META, _VERIFIED = "meta.json", "verified.json"
_FILES = (*(f"{split}-{part}.npy" for split in SPLITS for part in ("images", "labels")), _META)


def open_or_fill(folder: Path, classes: tuple[str, ...], fill: Callable[[Path], None]) -> Source:
    """The cache in `folder`; if there is none or it is damaged, it is filled first.

    Args:
        folder: the cache.
        classes: names of the classes, in the order of the labels.
        fill: writes the arrays into a folder, see `create`, and calls `describe`.

    Raises:
        DataError: the cache can't be read or written.
    """
    try:
        return _open(folder, classes) or _fill(folder, classes, fill)
    except OSError as error:
        raise DataError(
            f"data.cache={folder.parent} can't be used ({error.strerror or error}); set another with data.cache="
        ) from error


def _fill(folder: Path, classes: tuple[str, ...], fill: Callable[[Path], None]) -> Source:
    """Fills a temporary folder and renames it, so that a partial cache is never mistaken for a complete one."""
    with locks.fill_alone(folder.parent, folder.name):
        # While this process waited for the lock, another one may have filled the cache.
        source = _open(folder, classes)
        if source is not None:
            return source
        # No other process writes this cache while we hold the lock: these are damaged or left by killed processes.
        for left in (*folder.parent.glob(f".{folder.name}.tmp*"), folder):
            if left.exists():
                shutil.rmtree(left)
        temporary = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}.tmp"))
        try:
            temporary.chmod(0o777 & ~umask())  # mkdtemp lets nobody else in, but users may share a cache
            fill(temporary)
            _record_verified(temporary)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    source = _open(folder, classes)
    if source is None:
        raise DataError(f"data.cache={folder.parent}: {folder.name} was damaged at once; set another with data.cache=")
    return source


def create(folder: Path, split: str, shape: tuple[int, int, int, int]) -> np.memmap:
    """An array for a split's images, uint8 (N, H, W, C), mapped to its file.

    Raises:
        OSError: there is no space for it.
    """
    path = folder / f"{split}-images.npy"
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    # Without reserved space, a full disk would kill the process while it writes to the mapped memory.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return images


def describe(folder: Path, *arrays: np.ndarray) -> None:
    """Completes a cache with the fingerprint and statistics of its arrays: train and test, images and labels each."""
    mean, std = channel_statistics(torch.from_numpy(arrays[0]))
    meta = {"fingerprint": fingerprint(*arrays), "mean": mean, "std": std}
    (folder / _META).write_text(json.dumps(meta), encoding="utf-8")


def _open(folder: Path, classes: tuple[str, ...]) -> Source | None:
    """Maps the cache into memory; None if it is absent or damaged.

    Raises:
        PermissionError: this user may not read it.
    """
    if not folder.exists():
        return None
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        # Copy on write: torch requires writable memory, but nothing is written to the file.
        images = [np.load(folder / f"{split}-images.npy", mmap_mode="c") for split in SPLITS]
        labels = [np.load(folder / f"{split}-labels.npy") for split in SPLITS]
        arrays = [images[0], labels[0], images[1], labels[1]]
        statistics = (tuple(meta["mean"]), tuple(meta["std"]))
        if not _is_verified(folder):
            # Reading all images takes seconds, so this is done only after a file has changed.
            now = fingerprint(*arrays), channel_statistics(torch.from_numpy(images[0]))
            if now != (meta["fingerprint"], statistics):
                raise ValueError("other contents than it was filled with")
            with contextlib.suppress(OSError):  # another user's cache
                _record_verified(folder)
        splits = [Split(*map(torch.from_numpy, pair)) for pair in zip(images, labels, strict=True)]
        return Source(splits[0], splits[1], classes, meta["fingerprint"], statistics)
    except PermissionError:
        raise
    except (OSError, ValueError, LookupError, TypeError, EOFError) as error:
        log.warning("the decoded images in %s are damaged (%s); decoding them again", folder, error)
        return None


def _stamps(folder: Path) -> dict[str, list[int]]:
    """Size, modification and change time of each file; no write to a file leaves all of them as they were."""
    stats = {name: (folder / name).stat() for name in _FILES}
    return {name: [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in stats.items()}


def _is_verified(folder: Path) -> bool:
    """Whether the files haven't changed since their contents were last compared with their fingerprint."""
    try:
        return bool(json.loads((folder / _VERIFIED).read_text(encoding="utf-8")) == _stamps(folder))
    except (OSError, ValueError):
        return False


def _record_verified(folder: Path) -> None:
    write_text(folder / _VERIFIED, json.dumps(_stamps(folder)))
