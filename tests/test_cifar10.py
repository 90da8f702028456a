"""CIFAR-10 is recognized by its content, in either form, and nothing else is mistaken for it."""

import itertools
import shutil

import numpy as np
import pytest
from PIL import Image

from cifar_resnet.datasets import DATASETS, cifar10
from cifar_resnet.errors import DataError

RECORDED = {
    "class_names": list(cifar10.CLASSES),
    "train_images": 50_000,
    "test_images": 10_000,
    "mean": [0.49139966, 0.48215827, 0.44653080],
    "std": [0.24702950, 0.24348449, 0.26158695],
}
FOLDER, ORIGINAL = {"kind": "image_folder", "image_size": None}, {"kind": "cifar10", "image_size": None}


def test_the_classes_are_in_the_order_of_the_original_labels():
    assert list(cifar10.CLASSES) == sorted(cifar10.CLASSES)
    assert [cifar10.CLASSES[label] for label in (6, 9, 4, 1)] == ["frog", "truck", "deer", "automobile"]


@pytest.mark.parametrize("config", [FOLDER, ORIGINAL, {"kind": "image_folder"}, FOLDER | {"image_size": 32}])
def test_the_originals_images_are_recognized(config):
    assert cifar10.is_cifar10(config, RECORDED)


def shifted(key, by):
    return {key: [RECORDED[key][0], RECORDED[key][1] + by, RECORDED[key][2]]}


@pytest.mark.parametrize(
    ("config", "recorded"),
    [
        (FOLDER, {"class_names": list(reversed(cifar10.CLASSES))}),
        (FOLDER, {"class_names": [*cifar10.CLASSES[:9], "lorry"]}),
        (FOLDER, {"class_names": list(cifar10.CLASSES[:9])}),
        (FOLDER, {"train_images": 49_999}),
        (FOLDER, {"train_images": 45_000, "val_images": 5_000}),
        (FOLDER, {"test_images": 1_000}),
        (FOLDER, shifted("mean", 0.0005)),
        (FOLDER, shifted("std", 0.001)),  # as in JPEG copies
        (FOLDER, shifted("std", -0.001)),
        (FOLDER, {"mean": RECORDED["mean"][:1], "std": RECORDED["std"][:1]}),
        (FOLDER, {"mean": None}),
        (FOLDER, {"is_cifar10": False}),
        (FOLDER | {"image_size": 16}, {}),
        (ORIGINAL | {"image_size": 16}, {}),
        ({"kind": "cifar100"}, {}),
    ],
)
def test_other_images_are_not(config, recorded):
    assert not cifar10.is_cifar10(config, RECORDED | recorded)


def test_a_part_is_known_where_the_run_recorded_what_it_is_of():
    part = {"train_images": 45_000, "val_images": 5_000, "is_cifar10": True}
    assert cifar10.is_cifar10(FOLDER, RECORDED | part | shifted("std", 0.001))


def test_a_run_that_has_not_begun_says_nothing_of_its_folder():
    assert not cifar10.is_cifar10(FOLDER, {})
    assert cifar10.is_cifar10(ORIGINAL, {})


@pytest.fixture
def pngs(tmp_path, monkeypatch):
    """CIFAR-10 as a folder, with two training images and one test image per class."""
    rng = np.random.default_rng(0)
    for name, (split, index) in itertools.product(cifar10.CLASSES, (("train", 0), ("train", 1), ("test", 0))):
        folder = tmp_path / "pngs" / split / name
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{index:04}.png")
    monkeypatch.setattr(cifar10, "TRAIN_IMAGES", 20)
    monkeypatch.setattr(cifar10, "TEST_IMAGES", 10)
    return tmp_path / "pngs"


def archive(folder):
    (folder / cifar10.UNPACKED).mkdir(parents=True)


def test_the_form_is_found_and_the_archive_goes_first(pngs, tmp_path):
    assert cifar10.is_folder(pngs)
    archive(pngs)
    assert not cifar10.is_folder(pngs)
    assert not cifar10.is_folder(tmp_path / "absent")


def jpeg(root):
    Image.new("RGB", (32, 32)).save(root / "train/frog/0001.jpg")


def jpeg_named_png(root):
    Image.new("RGB", (32, 32)).save(root / "train/airplane/0000.png", format="JPEG")


def other_class(root):
    for split in ("train", "test"):
        (root / split / "truck").rename(root / split / "lorry")


def two_classes(root):
    for split, name in itertools.product(("train", "test"), cifar10.CLASSES[2:]):
        shutil.rmtree(root / split / name)


FAULTS = {
    "JPEG": (jpeg, r"train/frog/0001\.jpg is a JPEG file, expected PNG files.*data=image_folder"),
    "JPEG named PNG": (jpeg_named_png, r"train/airplane/0000\.png is a JPEG file"),
    "other class": (
        other_class,
        r"found 10 classes \(.*, lorry, ship\), expected CIFAR-10's 10 .*data=image_folder",
    ),
    "two classes": (two_classes, r"found 2 classes \(airplane, automobile\), expected CIFAR-10's 10"),
    "missing image": (lambda root: (root / "train/cat/0001.png").unlink(), "2 images in train/cat, found 1; unpack"),
    "extra image": (
        lambda root: shutil.copy(root / "test/dog/0000.png", root / "test/dog/1.png"),
        "1 images in test/dog, found 2; .*data=image_folder",
    ),
    "other size": (
        lambda root: Image.new("RGB", (64, 48)).save(root / "train/airplane/0000.png"),
        r"0000\.png is 64×48 pixels, but CIFAR-10 is 32×32; .*image_folder",
    ),
    "no image": (
        lambda root: (root / "train/airplane/0000.png").write_text("text"),
        r"0000\.png is not a JPEG or PNG image",
    ),
    "no test": (lambda root: shutil.rmtree(root / "test"), "no folder .*test; expected"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_not_cifar10_is_refused_with_what_was_found(pngs, fault):
    spoil, message = FAULTS[fault]
    spoil(pngs)
    with pytest.raises(DataError, match=message) as error:
        cifar10.is_folder(pngs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["pngs/train", "pngs/test", "pngs/train/ship", "."])
def test_a_level_too_deep_or_too_high_is_refused_with_the_right_one(pngs, tmp_path, place):
    with pytest.raises(DataError, match=rf"is not CIFAR-10, .*expected data\.root={pngs}$"):
        cifar10.is_folder(tmp_path / place)


@pytest.mark.parametrize("place", [cifar10.UNPACKED, ".."])
def test_so_it_is_with_the_archive(tmp_path, place):
    archive(tmp_path / "data" / "here")
    with pytest.raises(DataError, match=r"expected data\.root=.*/data/(\.\./here|here)$"):
        cifar10.is_folder((tmp_path / "data" / "here" / place).resolve())


def test_folders_of_other_images_nearby_don_t_stop_a_download(tmp_path):
    (tmp_path / "imagenette" / "train" / "dog").mkdir(parents=True)
    assert not cifar10.is_folder(tmp_path)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "cifar10-png.zip").write_text("")
    with pytest.raises(DataError, match=r"\.zip is a file: expected the folder"):
        cifar10.is_folder(tmp_path / "cifar10-png.zip")


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["alone", "sweep"])
@pytest.mark.parametrize("fault", ["JPEG", "missing image"])
def test_it_is_refused_before_anything_is_written(train_py, pngs, tmp_path, sweep, fault):
    FAULTS[fault][0](pngs)
    done = train_py(*sweep, "data=cifar10", "data.root=pngs", "depth=8")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: data.root=pngs") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [pngs]


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["alone", "sweep"])
@pytest.mark.parametrize("kind", [kind for kind, known in DATASETS.items() if known.is_absent is not None])
def test_without_a_network_it_is_one_line_and_nothing_is_written(train_py, tmp_path, monkeypatch, capfd, kind, sweep):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = train_py(*sweep, f"data={kind}", "data.root=data", "depth=8", "seed=0,1" if sweep else "seed=0")
    assert done.returncode == 2, done.stdout + done.stderr
    first, error = capfd.readouterr().err.splitlines()
    assert first == f"downloading {kind} to data.root=data"
    assert error.startswith(f"error: {kind} is not in data.root=data and can't be downloaded from https://")
    assert list(tmp_path.iterdir()) == []
