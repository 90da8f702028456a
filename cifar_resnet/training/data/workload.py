"""Number and shape of a data set's images, without downloading or decoding them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cifar_resnet.datasets import sizes_of
from cifar_resnet.run.config import check_subsets
from cifar_resnet.run.schema import DataConfig


@dataclass(frozen=True)
class Workload:
    """Number and shape of the images in an epoch."""

    train: int  # without the hold-out split
    watched: int  # the split that is evaluated each epoch
    height: int
    width: int
    channels: int
    classes: int


def count(config: DataConfig) -> Workload:
    """The number and shape of the images in each epoch, according to `config`.

    Raises:
        DataError: `data.root` is not such a data set.
        ConfigError: it is smaller than the requested subsets.
    """
    whole = sizes_of(config.kind, Path(config.root or "."))
    check_subsets(config, whole.train, whole.test)
    train = (config.train_size or whole.train) - config.holdout
    watched = config.holdout or config.test_size or whole.test
    height, width = (config.image_size or size for size in (whole.height, whole.width))
    return Workload(train, watched, height, width, whole.channels, whole.classes)
