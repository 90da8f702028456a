"""Reads a folder of images, decoded once into a cache that later runs map into memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import filelock
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from cifar_resnet.datasets.folders import is_image, list_classes
from cifar_resnet.devices import count_cores
from cifar_resnet.errors import DataError
from cifar_resnet.run.config import DataConfig
from cifar_resnet.training.data.source import Source, Split, channel_statistics, fingerprint

_CACHE_FORMAT = 1
_CHUNK = 250


@dataclass(frozen=True)
class Listing:
    """The image files of one split, sorted by class and name, with their labels and the stamps that reveal changes."""

    files: tuple[str, ...]
    labels: tuple[int, ...]
    stamps: tuple[tuple[int, int], ...]  # size in bytes, modification time in nanoseconds


def read(config: DataConfig, progress: bool) -> Source:
    """The images under `data.root`, from the cache if it matches their names, sizes and modification times.

    Raises:
        DataError: a folder, class or image is missing, empty, broken or has another size; the message names it.
    """
    root = Path(config.root or ".")
    classes = list_classes(root)
    listings = {name: list_images(root / name, classes) for name in ("train", "test")}
    folder = Path(config.cache or root / ".cache").expanduser() / f"{config.name}-{_key(root, listings, config)}"
    if not folder.exists():
        _prepare(folder, root, listings, classes, config.image_size, progress)
    return _open(folder)


def list_images(folder: Path, classes: tuple[str, ...]) -> Listing:
    """The images of a split, without hidden files and files of other types."""
    files, labels, stamps = [], [], []
    for label, name in enumerate(classes):
        images = [item for item in os.scandir(folder / name) if is_image(item.name)]
        for item in sorted(images, key=lambda item: item.name):
            status = item.stat()
            files.append(item.path)  # as text: creating 60,000 Path objects takes a second
            labels.append(label)
            stamps.append((status.st_size, status.st_mtime_ns))
    return Listing(tuple(files), tuple(labels), tuple(stamps))


def _key(root: Path, listings: dict[str, Listing], config: DataConfig) -> str:
    """A hash of what determines the cache: the files' names, sizes and times, and the size they are resized to."""
    digest = hashlib.blake2b(f"{_CACHE_FORMAT} {config.image_size}".encode(), digest_size=8)
    prefix = len(str(root))
    for listing in listings.values():
        for file, stamp in zip(listing.files, listing.stamps, strict=True):
            digest.update(f"{file[prefix:]} {stamp}\n".encode())
    return digest.hexdigest()


def _prepare(
    folder: Path, root: Path, listings: dict[str, Listing], classes: tuple[str, ...], size: int | None, progress: bool
) -> None:
    """Decodes into a temporary folder and renames it, so that a partial cache is never mistaken for a complete one."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.parent / f".{folder.name}.lock"):
            if folder.exists():
                return
            # No other process writes this cache while we hold the lock: these are left over from killed processes.
            for left in folder.parent.glob(f".{folder.name}.tmp*"):
                shutil.rmtree(left)
            temporary = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}.tmp"))
            try:
                _fill(temporary, listings, classes, size, progress)
                temporary.rename(folder)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
    except OSError as error:
        raise DataError(
            f"data.cache={folder.parent} can't be written ({error.strerror or error}); set another with data.cache="
        ) from error


def _fill(
    folder: Path, listings: dict[str, Listing], classes: tuple[str, ...], size: int | None, progress: bool
) -> None:
    with Image.open(listings["train"].files[0]) as first:
        expected = (size, size) if size else first.size
    arrays: list[np.ndarray] = []
    for name, listing in listings.items():
        shape = (len(listing.files), expected[1], expected[0], 3)
        images = np.lib.format.open_memmap(folder / f"{name}-images.npy", mode="w+", dtype=np.uint8, shape=shape)
        for begin, chunk in _decoded(listing.files, expected, size is not None, progress, name):
            images[begin : begin + len(chunk)] = chunk
        images.flush()
        labels = np.array(listing.labels, dtype=np.int64)
        np.save(folder / f"{name}-labels.npy", labels)
        arrays += [images, labels]
    mean, std = channel_statistics(torch.from_numpy(arrays[0]))
    meta = {"classes": classes, "fingerprint": fingerprint(*arrays), "mean": mean, "std": std}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _decoded(
    files: tuple[str, ...], expected: tuple[int, int], resize: bool, progress: bool, name: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Chunks of decoded images with the index of their first image; PIL releases the GIL, so threads are enough."""
    begins = range(0, len(files), _CHUNK)
    with ThreadPoolExecutor(count_cores()) as pool:
        chunks = pool.map(lambda begin: decode(files[begin : begin + _CHUNK], expected, resize), begins)
        shown = track(
            zip(begins, chunks, strict=True),
            f"decoding {len(files):,} {name} images",
            total=len(begins),
            console=Console(stderr=True),
            disable=not progress,
        )
        yield from shown


def decode(files: tuple[str, ...], expected: tuple[int, int], resize: bool) -> np.ndarray:
    """The files as uint8 RGB (N, H, W, 3).

    Args:
        files: JPEG or PNG files.
        expected: width and height.
        resize: resize images of other sizes to `expected` instead of raising an error.
    """
    images = np.empty((len(files), expected[1], expected[0], 3), dtype=np.uint8)
    for index, file in enumerate(files):
        try:
            with Image.open(file) as image:
                pixels: Any = image.convert("RGB")
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else error
            raise DataError(f"{file} can't be decoded ({reason}); repair or remove the file") from error
        if pixels.size != expected:
            if not resize:
                raise DataError(
                    f"{file} is {pixels.width}×{pixels.height} pixels, the first image is {expected[0]}×{expected[1]}; "
                    "expected one size, or data=image_folder data.image_size=<pixels> to resize all"
                )
            pixels = pixels.resize(expected, Image.Resampling.BILINEAR)
        images[index] = pixels
    return images


def _open(folder: Path) -> Source:
    """Maps the cache into memory, so that processes share its pages."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    splits = [
        Split(
            # Copy on write: torch requires writable memory, but nothing is written to the file.
            torch.from_numpy(np.load(folder / f"{name}-images.npy", mmap_mode="c")),
            torch.from_numpy(np.load(folder / f"{name}-labels.npy")),
        )
        for name in ("train", "test")
    ]
    # Caches from earlier versions have no statistics.
    statistics = (tuple(meta["mean"]), tuple(meta["std"])) if "mean" in meta else None
    return Source(splits[0], splits[1], tuple(meta["classes"]), meta["fingerprint"], statistics)
