"""Reads a data set in NumPy arrays."""

from __future__ import annotations

from pathlib import Path

from cifar_resnet.datasets.arrays import SPLITS, open_arrays
from cifar_resnet.run.schema import DataConfig
from cifar_resnet.training.data.source import Source, make_source


def read(config: DataConfig, progress: bool) -> Source:
    """The arrays in `data.root`, mapped into memory unless they are compressed.

    Raises:
        DataError: an array is missing, damaged, or has a wrong type, shape or range.
    """
    arrays = open_arrays(Path(config.root or "."))
    train, test = ((arrays.load_images(split), arrays.labels[split]) for split in SPLITS)
    return make_source(train, test, arrays.classes)
