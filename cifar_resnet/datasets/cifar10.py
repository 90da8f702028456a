"""The properties of CIFAR-10, and whether given images are CIFAR-10; doesn't import torch.

Its images come in two forms: the archive that torchvision downloads, and a folder of PNG files, train/<class>/*.png and
test/<class>/*.png. Both contain the same pixels and classes, in a different order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifar_resnet.datasets import archives
from cifar_resnet.datasets.folders import is_image, list_classes
from cifar_resnet.errors import DataError

# In the order of the original labels, 0 to 9, which is also alphabetical.
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_IMAGES, TEST_IMAGES = 50_000, 10_000
SIZE = 32
# Per channel over the 50,000 training images, for pixels from 0 to 1.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
# Rounding explains up to 0.00005. JPEG copies are off by 0.001 to 0.002 in the standard deviation.
TOLERANCE = 0.0003

# torchvision's names for the archive and the folder that it is unpacked to.
ARCHIVE, UNPACKED = "cifar-10-python.tar.gz", "cifar-10-batches-py"
_ELSE = "use data=image_folder for other images"


def is_cifar10(config: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    """Whether a run used images of CIFAR-10, all of them or a subset.

    Runs record the answer. Older runs on a folder of images don't, and count only if they trained on all images,
    because the statistics of a subset are not precise enough.

    Args:
        config: the `data` group of config.yaml.
        recorded: `data` in run.json; empty if the run hasn't started.
    """
    if config.get("image_size") not in (None, SIZE):
        return False
    if "is_cifar10" in recorded:
        return bool(recorded["is_cifar10"])
    if config["kind"] == "cifar10":
        return True
    counts = recorded.get("train_images"), recorded.get("test_images")
    return (
        config["kind"] == "image_folder"
        and has_layout(recorded.get("class_names") or (), *counts)
        and has_statistics(recorded.get("mean") or (), recorded.get("std") or ())
    )


def has_layout(classes: Sequence[str], train_images: int | None, test_images: int | None) -> bool:
    """Whether a whole data set has CIFAR-10's classes and numbers of images."""
    return tuple(classes) == CLASSES and (train_images, test_images) == (TRAIN_IMAGES, TEST_IMAGES)


def has_statistics(mean: Sequence[float], std: Sequence[float]) -> bool:
    """Whether these are CIFAR-10's mean and standard deviation, within TOLERANCE."""
    return all(
        len(found) == len(expected) and all(abs(a - b) <= TOLERANCE for a, b in zip(found, expected, strict=True))
        for found, expected in ((mean, MEAN), (std, STD))
    )


def check_statistics(root: Path, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raises DataError if a folder's training images don't have CIFAR-10's statistics."""
    if not has_statistics(mean, std):
        raise DataError(
            f"data.root={root}: the training images have {_statistics(mean, std)}, but CIFAR-10 has "
            f"{_statistics(MEAN, STD)}: these are altered copies; {_ELSE}"
        )


def _statistics(mean: Sequence[float], std: Sequence[float]) -> str:
    shown = (", ".join(f"{value:.4f}" for value in values) for values in (mean, std))
    return "mean ({}) and standard deviation ({})".format(*shown)


def is_folder(root: Path) -> bool:
    """Whether `root` contains CIFAR-10 as PNG files; if not, the archive is there or can be downloaded to it.

    If both are there, the archive is used. Lists the files and opens only the first image.

    Raises:
        DataError: there is a folder of images that isn't CIFAR-10, or CIFAR-10 is one folder above or below.
    """
    try:
        if _has_archive(root):
            return False
        if any((root / split).is_dir() for split in ("train", "test")):
            _check_folder(root)
            return True
        _check_place(root)
    except OSError as error:
        raise DataError(f"data.root={root} can't be read: {error}") from error
    return False


def is_absent(root: Path) -> bool:
    """Whether CIFAR-10 is in `root` in neither form, so that the archive has to be downloaded; see `is_folder`."""
    return not _has_archive(root) and not is_folder(root)


def _has_archive(root: Path) -> bool:
    return archives.is_there(root, UNPACKED, ARCHIVE)


def _check_folder(root: Path) -> None:
    classes = list_classes(root)
    if classes != CLASSES:
        named = ", ".join(classes[:10]) + (", …" if len(classes) > 10 else "")
        count = "1 class" if len(classes) == 1 else f"{len(classes)} classes"
        raise DataError(
            f"data.root={root}: found {count} ({named}), expected CIFAR-10's 10 ({', '.join(CLASSES)}); {_ELSE}"
        )
    for split, images in (("train", TRAIN_IMAGES), ("test", TEST_IMAGES)):
        for name in CLASSES:
            files = _list_images(root / split / name)
            others = [file for file in files if not file.lower().endswith(".png")]
            if others:
                _refuse_jpeg(root, f"{split}/{name}/{min(others)}")
            expected = images // len(CLASSES)
            if len(files) != expected:
                raise DataError(
                    f"data.root={root}: expected CIFAR-10's {expected:,} images in {split}/{name}, found "
                    f"{len(files):,}; unpack it again, or {_ELSE}"
                )
    _check_image(root)


def _list_images(folder: Path) -> list[str]:
    with os.scandir(folder) as items:
        return [item.name for item in items if is_image(item)]


def _check_image(root: Path) -> None:
    """Raises DataError unless the first training image is a PNG file of CIFAR-10's size."""
    from cifar_resnet.datasets import image_files  # imported here, because only folders of images need it

    name = min(_list_images(root / "train" / CLASSES[0]))
    file = root / "train" / CLASSES[0] / name
    if image_files.read_format(file) != "PNG":
        _refuse_jpeg(root, f"train/{CLASSES[0]}/{name}")
    width, height = image_files.read_size(file)
    if (width, height) != (SIZE, SIZE):
        raise DataError(
            f"data.root={root}: train/{CLASSES[0]}/{name} is {width}×{height} pixels, but CIFAR-10 is "
            f"{SIZE}×{SIZE}; {_ELSE}"
        )


def _refuse_jpeg(root: Path, file: str) -> None:
    raise DataError(
        f"data.root={root}: {file} is a JPEG file, expected PNG files: JPEG loses detail, so copies in it are not "
        "CIFAR-10; use data=image_folder for them"
    )


def _check_place(root: Path) -> None:
    """Raises DataError if `root` has neither form but a nearby folder does, so that nothing is downloaded."""
    if root.is_file():
        raise DataError(
            f"data.root={root} is a file: expected the folder that contains {ARCHIVE}, or one with train/<class>/*.png "
            "and test/<class>/*.png"
        )
    archives.check_place(root, UNPACKED, "data_batch_1")
    absolute = root.resolve()
    above = {"train": 1, "test": 1, UNPACKED: 1}.get(absolute.name, 2 if absolute.name in CLASSES else 0)
    near = [absolute.parents[above - 1]] if root.is_dir() and 0 < above <= len(absolute.parents) else []
    if root.is_dir() and not near:
        near = [root / item.name for item in sorted(os.scandir(root), key=lambda item: item.name) if item.is_dir()]
    for folder in near:
        if _has_archive(folder) or all((folder / split / CLASSES[0]).is_dir() for split in ("train", "test")):
            raise DataError(f"data.root={root} is not CIFAR-10, but {folder} is: expected data.root={folder}")
