"""Where torchvision's archives of CIFAR-10 and CIFAR-100 must be, and whether they are there."""

from __future__ import annotations

from pathlib import Path

from cifar_resnet.errors import DataError


def is_there(root: Path, unpacked: str, archive: str) -> bool:
    """Whether `root` contains the archive or the folder that it was unpacked to, whole or damaged."""
    return (root / unpacked).is_dir() or (root / archive).is_file()


def check_place(root: Path, unpacked: str, member: str) -> None:
    """Raises DataError if `root` is a file, or the folder of the unpacked archive instead of the one that contains it.

    Args:
        root: `data.root`.
        unpacked: the folder in the archive.
        member: a file in that folder.
    """
    if root.is_file():
        raise DataError(f"data.root={root} is a file: expected the folder that contains it")
    if (root / member).is_file():
        folder = root.resolve()
        rename = "" if folder.name == unpacked else f" rename it to {unpacked}, and"
        raise DataError(
            f"data.root={root} is the unpacked archive itself, but data.root is the folder that contains {unpacked}:"
            f"{rename} set data.root={folder.parent}"
        )
