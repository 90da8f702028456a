"""Number and shape of a data set's images, without downloading or decoding them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cifar_resnet.datasets import DATASETS, Sizes
from cifar_resnet.datasets.folders import list_classes
from cifar_resnet.run.config import DataConfig
from cifar_resnet.training.data.image_folder import list_images


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
        DataError: `data.root` is not a folder of images.
    """
    whole = DATASETS[config.kind].sizes or _count_folder(Path(config.root or "."))
    train = (config.train_size or whole.train) - config.holdout
    watched = config.holdout or config.test_size or whole.test
    height, width = (config.image_size or size for size in (whole.height, whole.width))
    return Workload(train, watched, height, width, whole.channels, whole.classes)


def _count_folder(root: Path) -> Sizes:
    classes = list_classes(root)
    train, test = (list_images(root / split, classes) for split in ("train", "test"))
    with Image.open(train.files[0]) as image:
        return Sizes(len(train.files), len(test.files), image.height, image.width, 3, len(classes))
