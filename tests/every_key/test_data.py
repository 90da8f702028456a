"""The keys of `data`."""

import numpy as np
import pytest
import torch
from PIL import Image

from cifar_resnet.run.identity import run_name
from cifar_resnet.training.data import normalise
from tests.conftest import compose_run
from tests.every_key import acts
from tests.training.conftest import finish, images_seen

# Synthetic images are made in the requested number; of all others, a subset is chosen.
KINDS = ["data=synthetic", "data=digits"]


@pytest.fixture
def folder_of_images(tmp_path, monkeypatch):
    """Two classes of two gray images each for training and testing, in images/ below the current folder."""
    for number, name in enumerate(("train/a/0", "train/a/1", "train/b/0", "train/b/1", "test/a/0", "test/b/0")):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return ["data=image_folder", "data.image_size=null", "data.train_size=null", "data.test_size=null"]


@acts("data.kind", "data=digits")
def test_kind_chooses_the_images(training, overrides):
    run = training(*overrides, "data.image_size=null")
    assert run.train.images.shape == (64, 8, 8, 1)
    assert training().train.images.shape == (64, 8, 8, 3)


@acts("data.name", "data.name=mine")
def test_name_is_the_datas_in_the_runs_path_and_record(make_folder, overrides):
    run = make_folder("a", *overrides, "optim.epochs=1")
    finish(run)
    assert run.read_status()["data"]["name"] == "mine"
    assert run_name(run.read_config(), {}).startswith("mine/")


@acts("data.root", "data.root=images")
def test_root_is_where_the_images_are_read(training, folder_of_images, overrides):
    run = training(*folder_of_images, *overrides, "data.cache=cache")
    assert run.train.images[:, 0, 0, 0].tolist() == [0, 20, 40, 60]


@acts("data.cache", "data.cache=cache")
def test_cache_is_where_decoded_images_are_kept(training, folder_of_images, overrides, tmp_path):
    training(*folder_of_images, *overrides, "data.root=images")
    assert list((tmp_path / "cache").glob("*/train-images.npy"))


@acts("data.image_size", "data.image_size=12")
@pytest.mark.parametrize("kind", KINDS)
def test_image_size_is_the_networks_inputs(training, kind, overrides):
    run = training(kind, *overrides)
    assert images_seen(run)[0].shape[2:] == (12, 12)
    assert run.splits["test"].images.shape[1:3] == (12, 12)


@acts("data.train_size", "data.train_size=40")
@pytest.mark.parametrize("kind", KINDS)
def test_train_size_is_the_number_of_training_images(training, kind, overrides):
    assert len(torch.cat(images_seen(training(kind, *overrides)))) == 40


@acts("data.test_size", "data.test_size=24")
@pytest.mark.parametrize("kind", KINDS)
def test_test_size_is_the_number_of_test_images(training, kind, overrides):
    run = training(kind, *overrides)
    assert len(run.evaluator.predict(run.splits["test"]).label) == 24


@acts("data.holdout", "data.holdout=24")
def test_holdout_takes_images_from_training(training, overrides):
    run = training(*overrides)
    assert (len(run.train.labels), len(run.splits["val"].labels)) == (40, 24)
    images_seen(run)
    assert "val_error" in run.history[0]


@acts("data.augment", "data.augment=false")
def test_without_augment_images_are_shown_as_they_are(training, overrides):
    for words, as_they_are in (((), False), (overrides, True)):
        run = training(*words)
        seen = {image.numpy().tobytes() for image in torch.cat(images_seen(run)).contiguous()}
        whole = {image.numpy().tobytes() for image in normalise(run.train.images, run.mean, run.std).contiguous()}
        assert (seen == whole) is as_they_are
    assert compose_run()["data"]["augment"]
