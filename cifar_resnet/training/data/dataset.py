"""Loads a data set as a configuration asks for it: its source, its subsets, its mean and standard deviation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_resnet.errors import DataError
from cifar_resnet.run.config import DataConfig

# The lab's constants for CIFAR-10, per channel over its 50,000 training images.
CIFAR10_MEAN = (0.4914, 0.4824, 0.4467)
CIFAR10_STD = (0.2471, 0.2435, 0.2616)

# Streams of random numbers beside those of the epochs, which count from 0.
_TRAIN_STREAM, _HOLDOUT_STREAM, _TEST_STREAM = 2**32 - 1, 2**32 - 2, 2**32 - 3


@dataclass(frozen=True)
class Split:
    """Images and labels of one part of a data set."""

    images: Tensor  # uint8 (N, H, W, C), contiguous; may be mapped from a file
    labels: Tensor  # int64 (N,)

    def pick(self, indices: np.ndarray) -> Split:
        """The part at these indices."""
        chosen = torch.from_numpy(indices)
        return Split(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Source:
    """A whole data set as its source has it."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class Dataset:
    """What a run trains on and is measured by."""

    train: Split
    val: Split | None  # the training images held out, if any
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, for pixels of 0 to 1
    std: tuple[float, ...]
    fingerprint: str  # 16 hexadecimal digits over pixels and labels of the whole data set


def load(config: DataConfig, seed: int, progress: bool = False) -> Dataset:
    """The data set that `config` asks for; `seed` chooses the training subset and the hold-out.

    Raises:
        DataError: it is absent, damaged, or smaller than what is asked of it.
    """
    source = _readers()[config.kind](config, progress)
    train, test, val = resize(source.train, config), resize(source.test, config), None
    if config.kind != "synthetic":
        train = subset(train, config.train_size, "data.train_size", [seed, _TRAIN_STREAM])
        # The same test images for every seed: seeds are to differ by their training alone.
        test = subset(test, config.test_size, "data.test_size", [0, _TEST_STREAM])
    if config.holdout:
        count = len(train.labels)
        if config.holdout >= count:
            raise DataError(f"data.holdout={config.holdout}: expected fewer than the {count} training images")
        chosen = choose_balanced(train.labels.numpy(), config.holdout, [seed, _HOLDOUT_STREAM])
        rest = np.setdiff1d(np.arange(count), chosen)
        train, val = train.pick(rest), train.pick(chosen)
    mean, std = (CIFAR10_MEAN, CIFAR10_STD) if config.kind == "cifar10" else channel_statistics(train.images)
    return Dataset(train, val, test, source.classes, mean, std, source.fingerprint)


def _readers() -> dict[str, Callable[[DataConfig, bool], Source]]:
    # Imported here because they import this module's classes.
    from cifar_resnet.training.data import cifar, embedded, image_folder

    return {
        "cifar10": cifar.read,
        "cifar100": cifar.read,
        "image_folder": image_folder.read,
        "digits": embedded.read_digits,
        "synthetic": embedded.make_synthetic,
    }


def fingerprint(*arrays: np.ndarray) -> str:
    """16 hexadecimal digits over the arrays' shapes and contents."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def make_source(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], classes: tuple[str, ...]
) -> Source:
    """A source out of NumPy images (N, H, W, C) and labels (N,)."""
    splits = [
        Split(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))) for images, labels in (train, test)
    ]
    return Source(splits[0], splits[1], classes, fingerprint(*train, *test))


def resize(split: Split, config: DataConfig) -> Split:
    """The split at `data.image_size`; image folders were resized when they were decoded."""
    size = config.image_size
    if size is None or split.images.shape[1:3] == (size, size):
        return split
    parts = []
    for chunk in torch.split(split.images, 1000):
        pixels = chunk.permute(0, 3, 1, 2).float()
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)
        parts.append(pixels.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1))
    return Split(torch.cat(parts).contiguous(), split.labels)


def subset(split: Split, size: int | None, key: str, stream: list[int]) -> Split:
    """A class-balanced part of `size` images; all of them where `size` is None."""
    count = len(split.labels)
    if size is None or size == count:
        return split
    if size > count:
        raise DataError(f"{key}={size}: expected at most the {count} images that there are")
    return split.pick(choose_balanced(split.labels.numpy(), size, stream))


def choose_balanced(labels: np.ndarray, size: int, stream: list[int]) -> np.ndarray:
    """Sorted indices of `size` labels, as many of each class as possible, drawn from the stream of this seed."""
    order = np.random.default_rng(stream).permutation(len(labels))
    shuffled = labels[order]
    by_class = np.argsort(shuffled, kind="stable")
    counts = np.unique(shuffled, return_counts=True)[1]
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.concatenate([np.arange(count) for count in counts])
    # The first of each class, then the second of each, and so on.
    return np.sort(order[np.argsort(rank, kind="stable")[:size]])


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 (N, H, W, C) on a scale of 0 to 1; exact, by counting."""
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[3]):
        counts = np.zeros(256, dtype=np.int64)
        for chunk in torch.split(images[..., channel], 5000):
            counts += np.bincount(chunk.numpy().ravel(), minlength=256)
        mean = float(np.average(values, weights=counts))
        means.append(mean)
        # A channel without any contrast is left as it is. Its computed deviation need not be 0: the mean is rounded.
        contrast = np.count_nonzero(counts) > 1
        deviations.append(float(np.average((values - mean) ** 2, weights=counts) ** 0.5) if contrast else 1.0)
    return tuple(means), tuple(deviations)
