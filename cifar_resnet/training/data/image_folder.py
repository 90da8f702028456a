"""Reads a folder of images, decoded once into a cache that later runs map into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from cifar_resnet.datasets import image_files
from cifar_resnet.datasets.folders import SPLITS, Listing, list_classes, list_images, sample
from cifar_resnet.devices import count_cores
from cifar_resnet.run.schema import DataConfig
from cifar_resnet.training.data import image_cache
from cifar_resnet.training.data.source import Source

# Increased when the same files are decoded to other pixels.
_CACHE_FORMAT = 2
_CHUNK = 250


def read(config: DataConfig, progress: bool) -> Source:
    """The images under `data.root`, from the cache if it matches their names, sizes and modification times.

    Raises:
        DataError: a folder, class or image is missing, empty, broken or has another size; the message names it.
    """
    root = Path(config.root or ".")
    classes = list_classes(root)
    listings = {split: list_images(root / split, classes) for split in SPLITS}
    folder = Path(config.cache or root / ".cache").expanduser() / f"{config.name}-{_key(root, listings, config)}"
    return image_cache.open_or_fill(folder, classes, partial(_fill, listings, config.image_size, progress))


def _key(root: Path, listings: dict[str, Listing], config: DataConfig) -> str:
    """A hash of what determines the cache: the files, and the size that they are resized to.

    Names, sizes and times reveal changes. Contents are sampled, because two data sets may agree in all of these.
    """
    digest = hashlib.blake2b(f"{_CACHE_FORMAT} {config.image_size}".encode(), digest_size=8)
    prefix = len(str(root))
    for listing in listings.values():
        for file, stamp in zip(listing.files, listing.stamps, strict=True):
            digest.update(f"{file[prefix:]} {stamp}\n".encode())
        for content in sample(listing):
            digest.update(content)
    return digest.hexdigest()


def _fill(listings: dict[str, Listing], size: int | None, progress: bool, folder: Path) -> None:
    """Decodes all images into a new cache."""
    expected = (size, size) if size else image_files.read_size(listings["train"].files[0])
    arrays: list[np.ndarray] = []
    for split, listing in listings.items():
        images = image_cache.create(folder, split, (len(listing.files), expected[1], expected[0], 3))
        for begin, chunk in _decoded(listing.files, expected, size is not None, progress, split):
            images[begin : begin + len(chunk)] = chunk
        images.flush()
        labels = np.array(listing.labels, dtype=np.int64)
        np.save(folder / f"{split}-labels.npy", labels)
        arrays += [images, labels]
    image_cache.describe(folder, *arrays)


def _decoded(
    files: tuple[str, ...], expected: tuple[int, int], resize: bool, progress: bool, split: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Chunks of decoded images with the index of their first image; PIL releases the GIL, so threads are enough."""
    begins = range(0, len(files), _CHUNK)
    with ThreadPoolExecutor(count_cores()) as pool:
        chunks = pool.map(lambda begin: decode(files[begin : begin + _CHUNK], expected, resize), begins)
        shown = track(
            zip(begins, chunks, strict=True),
            f"decoding {len(files):,} {split} images",
            total=len(begins),
            console=Console(stderr=True),
            disable=not progress,
        )
        yield from shown


def decode(files: tuple[str, ...], expected: tuple[int, int], resize: bool) -> np.ndarray:
    """The files as uint8 RGB (N, H, W, 3); see `image_files.read_rgb`."""
    images = np.empty((len(files), expected[1], expected[0], 3), dtype=np.uint8)
    for index, file in enumerate(files):
        images[index] = image_files.read_rgb(file, expected, resize)
    return images
