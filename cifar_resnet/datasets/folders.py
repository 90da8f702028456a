"""The classes of an image folder, without reading images and without importing torch."""

from __future__ import annotations

import os
from pathlib import Path

from cifar_resnet.errors import DataError

_EXTENSIONS = (".jpg", ".jpeg", ".png")


def list_classes(root: Path) -> tuple[str, ...]:
    """The class folders of `root`, sorted.

    Raises:
        DataError: train/ or test/ is missing, their classes differ, there are none, or a class has no images.
    """
    splits = [root / "train", root / "test"]
    for folder in splits:
        if not folder.is_dir():
            raise DataError(f"data.root={root}: no folder {folder}; expected train/<class>/* and test/<class>/* images")
    train, test = (
        {item.name for item in os.scandir(folder) if item.is_dir() and item.name[0] != "."} for folder in splits
    )
    if train != test:
        raise DataError(
            f"data.root={root}: class {min(train ^ test)!r} is in only one of train/ and test/; "
            "expected the same classes in both"
        )
    if not train:
        raise DataError(f"data.root={root}: {splits[0]} has no class folders; expected train/<class>/* images")
    classes = tuple(sorted(train))
    for folder in (split / name for split in splits for name in classes):
        with os.scandir(folder) as items:  # stops at the first image
            if not any(is_image(item.name) for item in items):
                raise DataError(f"{folder} has no images; expected .jpg or .png files, or remove the class")
    return classes


def is_image(name: str) -> bool:
    """Whether a file of this name counts as an image; hidden files don't."""
    return name.lower().endswith(_EXTENSIONS) and name[0] != "."
