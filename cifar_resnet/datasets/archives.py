"""Where torchvision's archives of CIFAR-10 and CIFAR-100 must be."""

from __future__ import annotations

from pathlib import Path

from cifar_resnet.errors import DataError


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
