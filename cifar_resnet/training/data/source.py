"""Whole data sets as readers return them: images, labels, classes, and values computed from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel, for pixels from 0 to 1."""


@dataclass(frozen=True)
class Split:
    """Images and labels of one part of a data set."""

    images: Tensor  # uint8 (N, H, W, C), contiguous; may be mapped from a file
    labels: Tensor  # int64 (N,)

    def pick(self, indices: np.ndarray) -> Split:
        """The images and labels at these indices."""
        chosen = torch.from_numpy(indices)
        return Split(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Source:
    """A whole data set, before any subset is chosen."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    fingerprint: str
    statistics: Statistics | None = None  # of all training images, if the source stores them

    def statistics_of_train(self) -> Statistics:
        """Mean and standard deviation of each channel of all training images."""
        return self.statistics or channel_statistics(self.train.images)


def fingerprint(*arrays: np.ndarray) -> str:
    """16 hexadecimal digits: a hash of the arrays' shapes and contents."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def make_source(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], classes: tuple[str, ...]
) -> Source:
    """Makes a source from arrays.

    Args:
        train: images, uint8 (N, H, W, C) with 1 or 3 channels, and labels, integers (N,) from 0 to classes - 1.
        test: the same for the test images.
        classes: names of the classes, in the order of the labels.

    Raises:
        ValueError: an array has the wrong type, shape or range.
    """
    for name, (images, labels) in (("train", train), ("test", test)):
        _check(name, images, labels, len(classes))
    if train[0].shape[1:] != test[0].shape[1:]:
        raise ValueError(f"train images are {train[0].shape[1:]}, test images {test[0].shape[1:]}: expected one shape")
    splits = [
        Split(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))) for images, labels in (train, test)
    ]
    return Source(splits[0], splits[1], classes, fingerprint(*train, *test))


def _check(name: str, images: np.ndarray, labels: np.ndarray, classes: int) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"{name} images are {images.dtype} {images.shape}: expected uint8 (N, H, W, C) with 1 or 3 channels"
        )
    if not images.size:
        raise ValueError(f"{name} images are {images.shape}: expected at least one image")
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name} labels are {labels.dtype} {labels.shape}: expected integers ({len(images)},)")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"{name} labels go from {labels.min()} to {labels.max()}: expected 0 to {classes - 1}, one per class"
        )


def choose_balanced(labels: np.ndarray, size: int, stream: list[int]) -> np.ndarray:
    """Sorted indices of `size` labels, balanced over the classes as far as possible, drawn with the seed `stream`."""
    order = np.random.default_rng(stream).permutation(len(labels))
    shuffled = labels[order]
    by_class = np.argsort(shuffled, kind="stable")
    counts = np.unique(shuffled, return_counts=True)[1]
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.concatenate([np.arange(count) for count in counts])
    # Take the first image of each class, then the second of each, and so on.
    return np.sort(order[np.argsort(rank, kind="stable")[:size]])


def channel_statistics(images: Tensor) -> Statistics:
    """Mean and standard deviation per channel of uint8 (N, H, W, C), scaled to 0 to 1; exact, from a histogram."""
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[3]):
        counts = np.zeros(256, dtype=np.int64)
        for chunk in torch.split(images[..., channel], 5000):
            counts += np.bincount(chunk.numpy().ravel(), minlength=256)
        mean = float(np.average(values, weights=counts))
        means.append(mean)
        # A constant channel isn't scaled. Its computed deviation may differ from 0 because the mean is rounded.
        contrast = np.count_nonzero(counts) > 1
        deviations.append(float(np.average((values - mean) ** 2, weights=counts) ** 0.5) if contrast else 1.0)
    return tuple(means), tuple(deviations)
