"""The registry of data sets: what is known about each before it is read.

To add a data set, write a reader in `training/data/`, add an entry here, and a file in conf/data/.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cifar_resnet.datasets import archives, cifar10, folders
from cifar_resnet.datasets.sizes import Sizes

DIGITS_TEST_IMAGES = 360
_CIFAR100 = "cifar-100-python"  # torchvision's name for the folder in the archive, and for the archive itself


@dataclass(frozen=True)
class DataSet:
    """One value of `data.kind`.

    Attributes:
        title: its name in running text and headings.
        description: one sentence about its images, for the report's set-up.
        reader: "module:function" in `cifar_resnet.training.data`; the function returns a `Source`.
        sizes: sizes of the whole data set; None if they are known only from its files, see `read_sizes`.
        read_sizes: sizes of the data set in `data.root`, from the files' headers; raises DataError if it can't be one.
        needs_root: whether `data.root` must name a folder.
        usual_root: the default of `data.root` in conf/.
        check_root: raises DataError if `data.root` can't be this data set; only lists files. None with `read_sizes`.
        is_absent: whether it has to be downloaded to `data.root`; None if it can't be downloaded or needs no files.
        identify: text that differs between different data sets of this kind in `data.root`, found without reading all
            of the images; None if there is only one data set of this kind.
        named_by_root: whether `data.name` defaults to the folder's name.
        statistics: mean and standard deviation per channel for normalization, for pixels from 0 to 1; None means those
            of the training images.
        sized_by_config: whether `data.train_size` and `data.test_size` set how many images are made, rather than
            choosing a subset.
    """

    title: str
    description: str
    reader: str
    sizes: Sizes | None
    needs_root: bool = False
    usual_root: str | None = None
    read_sizes: Callable[[Path], Sizes] | None = None
    check_root: Callable[[Path], object] | None = None
    is_absent: Callable[[Path], bool] | None = None
    identify: Callable[[Path], str] | None = None
    named_by_root: bool = False
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    sized_by_config: bool = False


def _from_arrays(name: str) -> Callable[[Path], Any]:
    """A function of the module `arrays`, which is imported when it is called, because numpy takes long."""
    return lambda root: getattr(importlib.import_module("cifar_resnet.datasets.arrays"), name)(root)


DATASETS: dict[str, DataSet] = {
    "cifar10": DataSet(
        title="CIFAR-10",
        description="CIFAR-10: color images of 32×32 pixels in 10 classes.",
        reader="cifar:read_cifar10",
        sizes=Sizes(cifar10.TRAIN_IMAGES, cifar10.TEST_IMAGES, cifar10.SIZE, cifar10.SIZE, 3, 10),
        needs_root=True,
        usual_root="data",
        check_root=cifar10.is_folder,
        is_absent=cifar10.is_absent,
        # The lab's values; the exact ones, `cifar10.MEAN` and `cifar10.STD`, differ by up to 0.0002.
        statistics=((0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2616)),
    ),
    "cifar100": DataSet(
        title="CIFAR-100",
        description="CIFAR-100: color images of 32×32 pixels in 100 classes.",
        reader="cifar:read",
        sizes=Sizes(50_000, 10_000, 32, 32, 3, 100),
        needs_root=True,
        usual_root="data",
        check_root=partial(archives.check_place, unpacked=_CIFAR100, member="meta"),
        is_absent=lambda root: not archives.is_there(root, _CIFAR100, f"{_CIFAR100}.tar.gz"),
    ),
    "image_folder": DataSet(
        title="a folder of images",
        description="Images read from a folder of JPEG or PNG files.",
        reader="image_folder:read",
        sizes=None,
        needs_root=True,
        read_sizes=folders.read_sizes,
        identify=folders.identify,
        named_by_root=True,
    ),
    "arrays": DataSet(
        title="arrays",
        description="Images read from NumPy arrays.",
        reader="arrays:read",
        sizes=None,
        needs_root=True,
        read_sizes=_from_arrays("read_sizes"),
        identify=_from_arrays("identify"),
        named_by_root=True,
    ),
    "digits": DataSet(
        title="digits",
        description="The handwritten digits of scikit-learn: grayscale images of 8×8 pixels in 10 classes.",
        reader="embedded:read_digits",
        sizes=Sizes(1797 - DIGITS_TEST_IMAGES, DIGITS_TEST_IMAGES, 8, 8, 1, 10),
    ),
    "synthetic": DataSet(
        title="synthetic images",
        description="Synthetic images, made from a seed: a faint pattern for each class under noise. They allow no "
        "conclusion about real images.",
        reader="embedded:make_synthetic",
        sizes=Sizes(50_000, 10_000, 32, 32, 3, 10),
        sized_by_config=True,
    ),
}
"""Value of `data.kind` → what is known about it."""


def sizes_of(kind: str, root: Path) -> Sizes:
    """The sizes of the whole data set, which is in `root` if it needs a folder.

    Raises:
        DataError: `root` is not such a data set.
    """
    known = DATASETS[kind]
    if known.sizes is not None:
        return known.sizes
    assert known.read_sizes is not None, f"the entry of {kind} has neither sizes nor read_sizes"
    return known.read_sizes(root)
