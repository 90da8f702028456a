"""Loads the data set that a configuration describes: its source, subsets, mean and standard deviation."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from cifar_resnet.datasets import DATASETS, cifar10, require_classes
from cifar_resnet.run.config import check_subsets
from cifar_resnet.run.schema import DataConfig
from cifar_resnet.training.data.source import Source, Split, Statistics, channel_statistics, choose_balanced

# Random streams separate from those of the epochs, which are numbered from 0.
_TRAIN_STREAM, _HOLDOUT_STREAM, _TEST_STREAM = 2**32 - 1, 2**32 - 2, 2**32 - 3


@dataclass(frozen=True)
class Dataset:
    """The images that a run is trained and tested on."""

    train: Split
    val: Split | None  # the training images held out, if any
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, for pixels from 0 to 1
    std: tuple[float, ...]
    fingerprint: str  # 16 hexadecimal digits: a hash of all pixels and labels of the whole data set
    is_cifar10: bool = False  # whether the images are CIFAR-10's, at their original size


def load(config: DataConfig, seed: int, progress: bool = False) -> Dataset:
    """The data set that `config` describes; `seed` determines the training subset and the hold-out split.

    Raises:
        DataError: it is missing or damaged, or has only one class.
        ConfigError: it is smaller than the requested subsets.
    """
    source = reader_of(config.kind)(config, progress)
    require_classes(config.root, len(set(source.train.labels.tolist())))
    check_subsets(config, len(source.train.labels), len(source.test.labels))
    train, test, val = resize(source.train, config), resize(source.test, config), None
    if not DATASETS[config.kind].sized_by_config:
        train = subset(train, config.train_size, [seed, _TRAIN_STREAM])
        # The same test images for every seed, so that seeds differ only in their training.
        test = subset(test, config.test_size, [0, _TEST_STREAM])
    if config.holdout:
        chosen = choose_balanced(train.labels.numpy(), config.holdout, [seed, _HOLDOUT_STREAM])
        rest = np.setdiff1d(np.arange(len(train.labels)), chosen)
        train, val = train.pick(rest), train.pick(chosen)
    mean, std = _normalization(config, source, train)
    return Dataset(train, val, test, source.classes, mean, std, source.fingerprint, _is_cifar10(config, source))


def reader_of(kind: str) -> Callable[[DataConfig, bool], Source]:
    """The function that reads this kind of data set: (`data` config, whether to show progress) → `Source`."""
    module, name = DATASETS[kind].reader.split(":")
    # Imported here because a reader may need a library that the other readers don't.
    reader: Callable[[DataConfig, bool], Source] = getattr(
        importlib.import_module(f"cifar_resnet.training.data.{module}"), name
    )
    return reader


def _normalization(config: DataConfig, source: Source, train: Split) -> Statistics:
    known = DATASETS[config.kind].statistics
    if known is not None:
        return known
    return source.statistics_of_train() if train is source.train else channel_statistics(train.images)


def _is_cifar10(config: DataConfig, source: Source) -> bool:
    """Whether the images are CIFAR-10's; those of kind cifar10 were already checked when they were read."""
    if config.image_size not in (None, cifar10.SIZE):
        return False
    return config.kind == "cifar10" or (
        source.train.images.shape[1:] == (cifar10.SIZE, cifar10.SIZE, 3)
        and cifar10.has_layout(source.classes, len(source.train.labels), len(source.test.labels))
        and cifar10.has_statistics(*source.statistics_of_train())
    )


def other_images(config: DataConfig, known: str | None, found: str) -> str:
    """For an error message about changed images: both fingerprints and a likely reason."""
    hint = "; the archive and a folder of images have a different order" if config.kind == "cifar10" else ""
    return f"(fingerprint {known}, now {found}{hint})"


def resize(split: Split, config: DataConfig) -> Split:
    """The split at `data.image_size`; image folders were already resized when they were decoded."""
    size = config.image_size
    if size is None or split.images.shape[1:3] == (size, size):
        return split
    parts = []
    for chunk in torch.split(split.images, 1000):
        pixels = chunk.permute(0, 3, 1, 2).float()
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)
        parts.append(pixels.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1))
    return Split(torch.cat(parts).contiguous(), split.labels)


def subset(split: Split, size: int | None, stream: list[int]) -> Split:
    """A class-balanced subset of `size` images; all of them if `size` is None."""
    if size is None or size == len(split.labels):
        return split
    return split.pick(choose_balanced(split.labels.numpy(), size, stream))
