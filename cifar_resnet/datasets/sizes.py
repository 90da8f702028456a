"""Number and shape of the images in a whole data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Number and shape of the images in a whole data set."""

    train: int
    test: int
    height: int
    width: int
    channels: int
    classes: int
