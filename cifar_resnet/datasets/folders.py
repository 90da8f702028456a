"""Lists a folder of images, train/<class>/* and test/<class>/*, without decoding any and without importing torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cifar_resnet.datasets.sizes import Sizes, require_classes
from cifar_resnet.errors import DataError

_EXTENSIONS = (".jpg", ".jpeg", ".png")
# Files that operating systems add to folders of images. Hidden files are never images either.
_NOT_DATA = ("thumbs.db", "desktop.ini")
SPLITS = ("train", "test")
_SAMPLES, _SAMPLE_BYTES = 128, 65536  # files per split, and bytes of each, whose contents identify a data set


@dataclass(frozen=True)
class Listing:
    """The image files of one split, sorted by class and name, with their labels and the stamps that reveal changes."""

    files: tuple[str, ...]
    labels: tuple[int, ...]
    stamps: tuple[tuple[int, int], ...]  # size in bytes, modification time in nanoseconds


def list_classes(root: Path) -> tuple[str, ...]:
    """The class folders of `root`, sorted.

    Raises:
        DataError: train/ or test/ is missing, their classes differ, there are none, a class has no images, or something
            in a class folder would be left out.
    """
    try:
        return _list_classes(root)
    except OSError as error:
        raise DataError(f"data.root={root} can't be read: {error.strerror} ({error.filename})") from error


def _list_classes(root: Path) -> tuple[str, ...]:
    folders = [root / split for split in SPLITS]
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"data.root={root}: no folder {folder}; expected train/<class>/* and test/<class>/* images")
    train, test = (
        {item.name for item in os.scandir(folder) if item.is_dir() and item.name[0] != "."} for folder in folders
    )
    if train != test:
        raise DataError(
            f"data.root={root}: class {min(train ^ test)!r} is in only one of train/ and test/; "
            "expected the same classes in both"
        )
    if not train:
        raise DataError(f"data.root={root}: {folders[0]} has no class folders; expected train/<class>/* images")
    classes = tuple(sorted(train))
    left_out = [item.path for folder in folders for item in os.scandir(folder) if is_image(item)]
    for folder in (folder / name for folder in folders for name in classes):
        items = [item for item in os.scandir(folder) if item.name[0] != "." and item.name.lower() not in _NOT_DATA]
        images = [item for item in items if is_image(item)]
        left_out += [item.path for item in items if not is_image(item)]
        if not images and not left_out:
            raise DataError(f"{folder} has no images; expected .jpg or .png files, or remove the class")
        for path in (str(folder), *(item.path for item in images)):
            _check_name(path)
    if left_out:
        count = "1 entry" if len(left_out) == 1 else f"{len(left_out):,} entries"
        raise DataError(
            f"data.root={root}: {count} would be left out, the first is {_shown(min(left_out))}; expected only "
            ".jpg and .png files in train/<class>/ and test/<class>/: move, convert or remove the others"
        )
    return classes


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"the name of {_shown(path)} is not valid UTF-8; rename it") from error


def _shown(path: str) -> str:
    """A path for a message, whatever bytes it consists of."""
    return os.fsencode(path).decode(errors="replace")


def is_image(item: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is an image by its name; hidden files aren't, nor is what isn't a file."""
    return item.name.lower().endswith(_EXTENSIONS) and item.name[0] != "." and item.is_file()


def list_images(folder: Path, classes: tuple[str, ...]) -> Listing:
    """The images of a split."""
    files, labels, stamps = [], [], []
    for label, name in enumerate(classes):
        images = [item for item in os.scandir(folder / name) if is_image(item)]
        for item in sorted(images, key=lambda item: item.name):
            status = item.stat()
            files.append(item.path)  # as text: creating 60,000 Path objects takes a second
            labels.append(label)
            stamps.append((status.st_size, status.st_mtime_ns))
    return Listing(tuple(files), tuple(labels), tuple(stamps))


def read_sizes(root: Path) -> Sizes:
    """Number and shape of the images; opens only the first one.

    Raises:
        DataError: `root` is not a folder of images, or they are all of one class.
    """
    from cifar_resnet.datasets import image_files  # imported here, because most commands need no image

    classes = list_classes(root)
    require_classes(root, len(classes))
    train, test = (list_images(root / split, classes) for split in SPLITS)
    width, height = image_files.read_size(train.files[0])
    return Sizes(len(train.files), len(test.files), height, width, 3, len(classes))


def identify(root: Path) -> str:
    """16 hexadecimal digits that differ between different sets of images.

    A hash of all files' names and sizes and of some files' contents; in a small folder, of all files' contents.

    Raises:
        DataError: `root` is not a folder of images.
    """
    root = Path(os.path.abspath(root))
    classes, digest, prefix = list_classes(root), hashlib.blake2b(digest_size=8), len(str(root))
    for split in SPLITS:
        listing = list_images(root / split, classes)
        for file, (size, _) in zip(listing.files, listing.stamps, strict=True):
            digest.update(f"{file[prefix:]} {size}\n".encode())
        for content in sample(listing):
            digest.update(content)
    return digest.hexdigest()


def sample(listing: Listing) -> Iterator[bytes]:
    """The contents of some files, evenly spaced; of all files if there are few.

    Raises:
        DataError: a file can't be read.
    """
    for file in listing.files[:: max(1, len(listing.files) // _SAMPLES)]:
        try:
            with Path(file).open("rb") as opened:
                yield opened.read(_SAMPLE_BYTES)
        except OSError as error:
            raise DataError(f"{file} can't be read ({error.strerror}); repair or remove the file") from error
