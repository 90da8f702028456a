"""How many images of which shape a data set has, known without downloading or decoding it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cifar_resnet.image_classes import list_classes
from cifar_resnet.run.config import DataConfig
from cifar_resnet.training.data.embedded import DIGITS_TEST_SIZE
from cifar_resnet.training.data.image_folder import list_images


@dataclass(frozen=True)
class Sizes:
    """Numbers of images, and their shape."""

    train: int  # without those held out
    watched: int  # the split that is evaluated each epoch
    height: int
    width: int
    channels: int
    classes: int


def count(config: DataConfig) -> Sizes:
    """The sizes of the data set that `config` asks for.

    Raises:
        DataError: an image folder isn't one.
    """
    if config.kind == "digits":
        whole = Sizes(1797 - DIGITS_TEST_SIZE, DIGITS_TEST_SIZE, 8, 8, 1, 10)
    elif config.kind == "image_folder":
        whole = _count_folder(Path(config.root or "."))
    else:
        whole = Sizes(50_000, 10_000, 32, 32, 3, 100 if config.kind == "cifar100" else 10)
    train = (config.train_size or whole.train) - config.holdout
    watched = config.holdout or config.test_size or whole.watched
    height, width = (config.image_size or size for size in (whole.height, whole.width))
    return Sizes(train, watched, height, width, whole.channels, whole.classes)


def _count_folder(root: Path) -> Sizes:
    classes = list_classes(root)
    train, test = (list_images(root / split, classes) for split in ("train", "test"))
    with Image.open(train.files[0]) as image:
        return Sizes(len(train.files), len(test.files), image.height, image.width, 3, len(classes))
