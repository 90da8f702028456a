"""Number and shape of the images in a whole data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cifar_resnet.errors import DataError

MOST_CLASSES = 2**16
"""As many classes as a data set may have: more are a mistake in its labels, and would exhaust what reads the runs."""


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
    """Raises DataError if all training images in `root` have one label, or more different ones than are supported.

    Args:
        root: `data.root`.
        count: number of classes that have training images.
    """
    if count < 2:
        raise DataError(f"data.root={root}: all training images are of one class; expected at least 2 classes")
    if count > MOST_CLASSES:
        raise DataError(f"data.root={root}: {count:,} classes; expected at most {MOST_CLASSES:,}")
