"""Data sets as NumPy arrays: a .npz file or a folder of .npy files, with x_train, y_train, x_test, y_test and classes.

    x_train, x_test    images, uint8 (N, H, W) or (N, H, W, C) with 1 or 3 channels
    y_train, y_test    labels, integers (N,) from 0 to the number of classes - 1
    classes            optional: names of the classes, text, in the order of the labels

Arrays are mapped into memory where they lie, except those in a compressed .npz file (`np.savez_compressed`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifar_resnet.datasets.npy import Stored, open_stored
from cifar_resnet.datasets.sizes import MOST_CLASSES, Sizes, require_classes
from cifar_resnet.errors import DataError

SPLITS = ("train", "test")
_REQUIRED = tuple(f"{letter}_{split}" for split in SPLITS for letter in "xy")
_NAMES = (*_REQUIRED, "classes")


@dataclass(frozen=True)
class Arrays:
    """A checked data set whose images haven't been read yet."""

    images: dict[str, Stored]
    labels: dict[str, np.ndarray]  # int64 (N,)
    classes: tuple[str, ...]

    def shape(self, split: str) -> tuple[int, ...]:
        """(N, H, W, C) of a split's images."""
        shape = self.images[split].shape
        return shape if len(shape) == 4 else (*shape, 1)

    def load_images(self, split: str) -> np.ndarray:
        """The split's images, uint8 (N, H, W, C), contiguous; mapped from the file if they can be.

        Raises:
            DataError: the file is damaged, or there is not enough memory.
        """
        return np.ascontiguousarray(self.images[split].load().reshape(self.shape(split)))


def open_arrays(root: Path) -> Arrays:
    """Opens and checks the data set in `root`; reads the labels, but of the images only type and shape.

    Raises:
        DataError: an array is missing, unknown, damaged, or has a wrong type, shape or range.
    """
    stored = open_stored(root)
    missing = [name for name in _REQUIRED if name not in stored]
    if missing:
        found = ", ".join(sorted(stored)) or "none"
        raise DataError(f"data.root={root} has no array {missing[0]} (found: {found}); expected {', '.join(_REQUIRED)}")
    unknown = sorted(set(stored) - set(_NAMES))
    if unknown:
        raise DataError(f"data.root={root}: {unknown[0]} would be left out; expected only {', '.join(_NAMES)}")
    images = {split: stored[f"x_{split}"] for split in SPLITS}
    for one in images.values():
        _check_images(one)
    first, other = (images[split] for split in SPLITS)
    if first.shape[1:] != other.shape[1:]:
        raise DataError(
            f"{first.where} has images of shape {first.shape[1:]}, {other.where} of {other.shape[1:]}; "
            "expected one shape"
        )
    labels = {split: _read_labels(stored[f"y_{split}"], len(images[split])) for split in SPLITS}
    names = _read_names(stored["classes"]) if "classes" in stored else _number_classes(stored["y_train"], labels)
    for split in SPLITS:
        if labels[split].max() >= len(names):
            raise DataError(
                f"{stored[f'y_{split}'].where} has labels up to {labels[split].max()}, but there are {len(names)} "
                f"classes; expected 0 to {len(names) - 1}"
            )
    return Arrays(images, labels, names)


def read_sizes(root: Path) -> Sizes:
    """Number and shape of the images; see `open_arrays`.

    Raises:
        DataError: as `open_arrays`, or all training images are of one class.
    """
    arrays = open_arrays(root)
    require_classes(root, len(np.unique(arrays.labels["train"])))
    train, height, width, channels = arrays.shape("train")
    return Sizes(train, arrays.shape("test")[0], height, width, channels, len(arrays.classes))


def identify(root: Path) -> str:
    """16 hexadecimal digits that differ between different data sets: a hash of the arrays' checksums or samples.

    Raises:
        DataError: there is no data set in `root`.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, one in sorted(open_stored(root).items()):
        digest.update(f"{name} {one.dtype} {one.shape} {one.sample()}\n".encode())
    return digest.hexdigest()


def _check_images(one: Stored) -> None:
    shape = one.shape
    if one.dtype != np.uint8:
        raise DataError(f"{one.where} is {one.dtype}; expected uint8, pixels from 0 to 255")
    if len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        raise DataError(
            f"{one.where} has the shape {shape}, which looks like (N, C, H, W); expected (N, H, W, C): "
            "x.transpose(0, 2, 3, 1)"
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise DataError(f"{one.where} has the shape {shape}; expected (N, H, W), or (N, H, W, C) with 1 or 3 channels")
    if 0 in shape:
        raise DataError(f"{one.where} has the shape {shape}, so it has no images")


def _read_labels(one: Stored, images: int) -> np.ndarray:
    if not np.issubdtype(one.dtype, np.integer):
        raise DataError(f"{one.where} is {one.dtype}; expected integers, the numbers of the classes from 0")
    if one.shape != (images,):
        hint = ": y.reshape(-1)" if one.shape == (images, 1) else ""
        raise DataError(f"{one.where} has the shape {one.shape}; expected ({images},), one label per image{hint}")
    labels = one.load()
    if labels.min() < 0:
        raise DataError(f"{one.where} has the label {labels.min()}; expected numbers from 0")
    if labels.max() >= MOST_CLASSES:
        raise DataError(f"{one.where} has the label {labels.max()}; expected less than {MOST_CLASSES:,}")
    return np.array(labels, dtype=np.int64)


def _read_names(one: Stored) -> tuple[str, ...]:
    if one.dtype.kind not in "US" or len(one.shape) != 1 or 0 in one.shape:
        raise DataError(f"{one.where} is {one.dtype} of shape {one.shape}; expected text, one name per class")
    if one.shape[0] > MOST_CLASSES:
        raise DataError(f"{one.where} has {one.shape[0]:,} names; expected at most {MOST_CLASSES:,}")
    try:
        names = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in one.load().tolist())
        "".join(names).encode()
    except UnicodeError as error:
        raise DataError(f"{one.where} has a name that is not valid UTF-8") from error
    if not all(name.strip() for name in names) or len(set(names)) != len(names):
        raise DataError(f"{one.where} has an empty name or the same one twice; expected a name of its own per class")
    return names


def _number_classes(one: Stored, labels: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Numbers as names; without names, a class that has no training images is more likely a mistake in the labels."""
    present = np.unique(labels["train"])
    if len(present) != present[-1] + 1:
        missing = np.flatnonzero(~np.isin(np.arange(len(present)), present))[0]
        raise DataError(
            f"{one.where} goes up to {present[-1]}, but has no {missing}; expected labels from 0 without gaps, or "
            "`classes` with all names"
        )
    return tuple(map(str, present))
