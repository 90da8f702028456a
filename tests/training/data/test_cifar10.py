"""CIFAR-10 as a folder of PNG files is read like the original, and its images are the published ones."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cifar_resnet.datasets import DATASETS, cifar10
from cifar_resnet.errors import DataError
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.training.data import load, other_images
from cifar_resnet.training.data.source import channel_statistics
from tests.test_cifar10 import pngs
from tests.training.data.test_dataset import config

__all__ = ["pngs"]  # a fixture


@pytest.fixture
def original(pngs, monkeypatch):
    """The folder `pngs`, with its statistics patched in as CIFAR-10's."""
    images = [np.asarray(Image.open(file)) for file in sorted((pngs / "train").glob("*/*.png"))]
    mean, std = channel_statistics(torch.from_numpy(np.stack(images)))
    monkeypatch.setattr(cifar10, "MEAN", mean)
    monkeypatch.setattr(cifar10, "STD", std)
    return pngs


def read(root, kind="cifar10", **changes):
    return load(config(kind, root=str(root), cache=str(root.parent / "cache"), **changes), seed=0)


def test_a_folder_is_normalized_like_the_archive_and_has_its_classes(original):
    data = read(original)
    assert (data.mean, data.std) == DATASETS["cifar10"].statistics
    assert data.classes == cifar10.CLASSES
    assert data.train.labels.tolist() == sorted([*range(10), *range(10)])
    assert data.is_cifar10


@pytest.mark.parametrize("changes", [{}, {"holdout": 5}, {"train_size": 10}, {"test_size": 5}])
@pytest.mark.parametrize("kind", ["cifar10", "image_folder"])
def test_either_kind_knows_it_whatever_part_a_run_takes(original, kind, changes):
    assert read(original, kind, **changes).is_cifar10


@pytest.mark.parametrize("kind", ["cifar10", "image_folder"])
def test_resized_images_are_no_longer_cifar10(original, kind):
    data = read(original, kind, image_size=16)
    assert data.train.images.shape == (20, 16, 16, 3)
    assert not data.is_cifar10


@pytest.mark.parametrize(("size", "is_cifar10"), [(None, True), (32, True), (16, False)])
def test_arrays_are_cifar10_unless_they_are_resized(original, size, is_cifar10):
    whole = read(original)
    arrays = {
        f"{name}_{part}": values.numpy()
        for part, split in (("train", whole.train), ("test", whole.test))
        for name, values in (("x", split.images), ("y", split.labels))
    }
    root = original.parent / "cifar10.npz"
    np.savez(root, classes=np.array(cifar10.CLASSES), **arrays)
    data = read(root, "arrays", image_size=size)
    assert data.is_cifar10 is is_cifar10


@pytest.mark.parametrize("wrong", ["TRAIN_IMAGES", "TEST_IMAGES", "MEAN", "STD"])
def test_a_folder_that_differs_is_read_as_images_of_ones_own(original, monkeypatch, wrong):
    value = getattr(cifar10, wrong)
    monkeypatch.setattr(cifar10, wrong, value + 10 if isinstance(value, int) else (*value[:2], value[2] + 0.001))
    assert not read(original, "image_folder").is_cifar10
    with pytest.raises(DataError, match="use data=image_folder") as error:
        read(original)
    assert "\n" not in str(error.value)


def test_altered_copies_are_refused_with_both_statistics(pngs):
    with pytest.raises(DataError, match=r"have mean \(0\.\d{4}, .*but CIFAR-10 has mean \(0\.4914, .*altered copies"):
        read(pngs)


def test_statistics_are_the_same_from_a_cache_that_does_not_keep_them(original):
    first = read(original, "image_folder")
    for meta in (original.parent / "cache").glob("*/meta.json"):
        meta.write_text(meta.read_text().partition(', "mean"')[0] + "}")
    again = read(original, "image_folder")
    assert (again.mean, again.std, again.is_cifar10) == (first.mean, first.std, True)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [("cifar10", "; the archive and a folder of images have a different order"), ("image_folder", "")],
)
def test_other_images_of_cifar10_may_be_its_other_form(kind, hint):
    assert other_images(config(kind), "aaaa", "bbbb") == f"(fingerprint aaaa, now bbbb{hint})"


def where_it_is() -> Path | None:
    """CIFAR-10 as PNG files: a folder, or a zip of it."""
    named = os.environ.get("CIFAR10_PNG")
    usual = [REPO_ROOT.parent / place for place in ("cifar10-png", "shared/data/cifar10-png.zip")]
    places = [Path(named)] if named else usual
    return next((place for place in places if place.exists()), None)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The PNG files of the real CIFAR-10."""
    place = where_it_is()
    if place is None:
        pytest.skip("no CIFAR-10 as PNG files; CIFAR10_PNG=<folder or zip> names it")
    if place.is_dir():
        return place
    folder = tmp_path_factory.mktemp("cifar10")
    with zipfile.ZipFile(place) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.integration  # reading 60,000 files takes long
def test_the_png_files_are_the_published_images(real, tmp_path):
    assert cifar10.is_folder(real)
    data = load(config("image_folder", root=str(real), cache=str(tmp_path)), seed=0)
    assert data.mean == pytest.approx(cifar10.MEAN, abs=cifar10.TOLERANCE)
    assert data.std == pytest.approx(cifar10.STD, abs=cifar10.TOLERANCE)
    assert data.is_cifar10
    assert data.train.labels.bincount().tolist() == [5_000] * 10
    assert data.test.labels.bincount().tolist() == [1_000] * 10


@pytest.mark.parametrize(("split", "first"), [("train", [6, 9, 9, 4, 1]), ("test", [3, 8, 8, 0, 6])])
def test_in_the_original_order_the_labels_are_the_original_ones(real, split, first):
    order = real / f"order-{split}.txt"
    if not order.exists():
        pytest.skip(f"the archive has no {order.name}")
    files = order.read_text().split()
    assert [cifar10.CLASSES.index(Path(file).parent.name) for file in files[:5]] == first
    assert all((real / file).is_file() for file in files[:5])
