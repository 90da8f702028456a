"""Number and shape of the images in a whole data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cifar_resnet.errors import DataError


@dataclass(frozen=True)
class Sizes:
    """Number and shape of the images in a whole data set."""

    train: int
    test: int
    height: int
    width: int
    channels: int
    classes: int


def require_classes(root: str | Path | None, count: int) -> None:
    """Raises DataError if there is nothing to learn in `root` because all training images have one label.

    Args:
        root: `data.root`.
        count: number of classes that have training images.
    """
    if count < 2:
        raise DataError(f"data.root={root}: all training images are of one class; expected at least 2 classes")
