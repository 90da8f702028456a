"""Reads CIFAR-10 and CIFAR-100 from torchvision's archives, downloaded once and checked, and CIFAR-10 from PNG."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from cifar_resnet.datasets import cifar10
from cifar_resnet.errors import DataError
from cifar_resnet.run import locks
from cifar_resnet.run.schema import DataConfig
from cifar_resnet.training.data import image_folder
from cifar_resnet.training.data.source import Source, make_source

_OTHER_FORM = {"cifar10": "or PNG files (train/<class>/*.png, test/<class>/*.png) "}
"""Value of `data.kind` → what `data.root` may contain instead of the archive, for an error message."""


def import_torchvision() -> Any:
    """Imports torchvision even if its compiled operators don't load.

    The torchvision on PyPI is built for CUDA. With a CPU build of torch, its operators fail to load, and the import
    fails because two of them are missing. No data set needs these two, so declaring them without code is enough.
    """
    import importlib.util
    import sys

    import torch

    if "torchvision" in sys.modules:
        return sys.modules["torchvision"]

    spec = importlib.util.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for library in Path(folder).glob("_C*.so"):
            try:
                torch.ops.load_library(library)  # type: ignore[no-untyped-call]
            except OSError:
                for name in ("nms", "qnms"):
                    torch.library.define(
                        f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor"
                    )
    import torchvision

    return torchvision


def read_cifar10(config: DataConfig, progress: bool) -> Source:
    """CIFAR-10 in `data.root`: the archive, or a folder of PNG files, sorted by class and name.

    Raises:
        DataError: it is missing and can't be downloaded, it is damaged, or the folder's images aren't CIFAR-10.
    """
    root = Path(config.root or ".")
    if not cifar10.is_folder(root):
        return read(config, progress)
    # Not resized here: `load` resizes both forms in the same way.
    source = image_folder.read(dataclasses.replace(config, image_size=None), progress)
    cifar10.check_statistics(root, *source.statistics_of_train())
    return source


def read(config: DataConfig, progress: bool) -> Source:
    """The archive in `data.root`, downloaded if it isn't there.

    Args:
        config: the data set.
        progress: unused.

    Raises:
        DataError: it is damaged, or it is missing and can't be downloaded.
    """
    kind, root = _class_of(config.kind), Path(config.root or ".")
    try:
        try:
            train = kind(root, train=True)
        except RuntimeError:
            download(config.kind, root)
            train = kind(root, train=True)
        test = kind(root, train=False)
    except PermissionError as error:
        raise DataError(f"data.root={root} can't be read: {error.strerror} ({error.filename})") from error
    return make_source(
        (train.data, np.array(train.targets)), (test.data, np.array(test.targets)), tuple(map(str, train.classes))
    )


def _class_of(name: str) -> Any:
    """The class in torchvision for this value of `data.kind`."""
    datasets = import_torchvision().datasets
    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]


def download(name: str, root: Path) -> None:
    """Downloads the archive once and unpacks it; other processes wait and then use the same files.

    Args:
        name: cifar10 or cifar100.
        root: the folder for it, created if necessary.

    Raises:
        DataError: that isn't possible, or what is there is damaged and can't be replaced.
    """
    kind = _class_of(name)
    damaged, was_there = None, (root / kind.filename).exists()
    try:
        with locks.fill_alone(root, name):
            damaged = _find_damage(kind, root)  # before the download, which may leave a part of the archive
            kind(root, train=True, download=True)
    except (OSError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if damaged is not None:
            raise DataError(
                f"{name} is in data.root={root}, but damaged: {damaged}; delete that, and copy {kind.filename} there "
                f"again or let it be downloaded from {kind.url} (which failed now: {reason})"
            ) from error
        if was_there:
            raise DataError(
                f"{kind.filename} can't be unpacked in data.root={root} ({reason}); unpack it there, or copy it to a "
                "folder that you can write to"
            ) from error
        raise DataError(
            f"{name} is not in data.root={root} and can't be downloaded from {kind.url} ({reason}); copy "
            f"{kind.filename} {_OTHER_FORM.get(name, '')}there, or use data=digits"
        ) from error


def _find_damage(kind: Any, root: Path) -> str | None:
    """What is wrong with the archive or the folder that it was unpacked to; None if nothing is, or both are absent."""
    from torchvision.datasets.utils import check_integrity

    archive, unpacked = root / kind.filename, root / kind.base_folder
    if archive.exists() and not check_integrity(archive, kind.tgz_md5):
        return f"{archive.name} has {archive.stat().st_size:,} bytes and another checksum than the published one"
    if unpacked.exists():
        for file, checksum in (*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])):
            if not check_integrity(unpacked / file, checksum):
                return f"{unpacked.name}/{file} is missing or has another checksum than the published one"
    return None
