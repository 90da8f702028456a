"""Subsets, hold-out, statistics and the embedded data sets."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from cifar_resnet.datasets import DATASETS, require_classes
from cifar_resnet.datasets.sizes import MOST_CLASSES
from cifar_resnet.errors import ConfigError, DataError
from cifar_resnet.run.parsing import parse_record
from cifar_resnet.run.schema import DataConfig
from cifar_resnet.training.data import dataset, load
from cifar_resnet.training.data.embedded import make_synthetic
from cifar_resnet.training.data.source import channel_statistics, choose_balanced, make_source
from cifar_resnet.training.data.workload import count


def config(kind, **changes):
    values = {"name": kind, "root": None, "cache": None, "image_size": None, "train_size": None, "test_size": None}
    return DataConfig(kind=kind, **{**values, "holdout": 0, "augment": False, **changes})


def rows(split):
    return {bytes(image.numpy()) for image in split.images}


def test_digits_are_the_fixed_split_of_1437_and_360():
    digits = load(config("digits"), seed=0)
    assert digits.train.images.shape == (1437, 8, 8, 1)
    assert digits.test.images.shape == (360, 8, 8, 1)
    assert digits.test.labels.bincount().tolist() == [36] * 10
    assert not rows(digits.train) & rows(digits.test)
    assert torch.equal(load(config("digits"), seed=7).test.images, digits.test.images)
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 255)


def test_no_data_set_has_more_classes_than_a_run_may_record():
    record = '{{"state": "running", "data": {{"classes": {}}}}}'
    require_classes("mine", MOST_CLASSES)
    assert parse_record(record.format(MOST_CLASSES))["data"] == {"classes": MOST_CLASSES}
    with pytest.raises(DataError, match=r"data\.root=mine: 65,537 classes; expected at most 65,536"):
        require_classes("mine", MOST_CLASSES + 1)
    with pytest.raises(ValueError, match=r"data\.classes is 65537"):
        parse_record(record.format(MOST_CLASSES + 1))


def test_subset_is_class_balanced_and_fixed_by_the_seed():
    one, again, other = (load(config("digits", train_size=200), seed=seed) for seed in (1, 1, 2))
    assert one.train.labels.bincount().tolist() == [20] * 10
    assert torch.equal(one.train.images, again.train.images)
    assert not torch.equal(one.train.images, other.train.images)
    assert one.fingerprint and one.fingerprint == other.fingerprint


def test_test_subset_is_the_same_for_every_seed():
    one, other = (load(config("digits", test_size=50), seed=seed) for seed in (1, 2))
    assert one.test.labels.bincount().tolist() == [5] * 10
    assert torch.equal(one.test.images, other.test.images)
    # Another stream would draw other images, and finished runs would no longer be comparable with new ones.
    whole = load(config("digits"), seed=0).test
    chosen = choose_balanced(whole.labels.numpy(), 50, [0, dataset._TEST_STREAM])
    assert torch.equal(one.test.images, whole.images[torch.from_numpy(chosen)])


def test_holdout_is_balanced_and_taken_out_of_training():
    data = load(config("digits", holdout=100), seed=0)
    assert data.val.labels.bincount().tolist() == [10] * 10
    assert len(data.train.labels) == 1337
    assert not rows(data.train) & rows(data.val)


def test_unbalanced_classes_fill_up_from_the_others():
    labels = torch.tensor([0] * 10 + [1] * 2).numpy()
    assert labels[choose_balanced(labels, 8, [0])].tolist() == [0] * 6 + [1] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"train_size": 1438}, "1,437, the number of training"), ({"test_size": 361}, "360, the number of test")],
)
def test_asking_for_more_images_than_there_are_is_refused(changes, message):
    ((key, value),) = changes.items()
    with pytest.raises(ConfigError, match=f"^data.{key}={value}: expected at most {message} images$"):
        load(config("digits", **changes), seed=0)


@pytest.mark.parametrize("kind", [kind for kind, known in DATASETS.items() if known.sizes])
def test_what_a_data_set_of_known_sizes_has_too_few_images_for_is_refused_before_it_is_read(kind):
    known = DATASETS[kind]
    sizes = {"train_size": known.sizes.train, "test_size": known.sizes.test, "holdout": known.sizes.train - 1}
    for key, most in sizes.items():
        count(config(kind, **{key: most}))
        with nullcontext() if key != "holdout" and known.sized_by_config else pytest.raises(ConfigError, match=key):
            count(config(kind, **{key: most + 1}))


def test_holding_out_everything_is_refused():
    with pytest.raises(ConfigError, match="fewer than the 1,437"):
        load(config("digits", holdout=1437), seed=0)


def test_statistics_are_those_of_the_training_images():
    images = torch.randint(0, 256, (50, 6, 6, 3), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    scaled = images.double() / 255
    assert mean == pytest.approx(scaled.mean((0, 1, 2)).tolist())
    assert std == pytest.approx(scaled.std((0, 1, 2), correction=0).tolist())


def test_image_size_resizes_every_split():
    data = load(config("digits", image_size=12), seed=0)
    assert data.train.images.shape == (1437, 12, 12, 1)
    assert data.test.images.dtype == torch.uint8


def test_synthetic_images_are_the_same_each_time():
    one, other = (load(config("synthetic", train_size=40, test_size=20, image_size=8), seed=s) for s in (0, 5))
    assert one.train.images.shape == (40, 8, 8, 3)
    assert one.fingerprint == other.fingerprint
    assert one.train.labels.bincount().tolist() == [4] * 10


def test_statistics_leave_out_the_images_held_out():
    data = load(config("digits", holdout=700), seed=0)
    assert (data.mean, data.std) == channel_statistics(data.train.images)
    assert (data.mean, data.std) != channel_statistics(torch.cat([data.train.images, data.val.images]))


def test_statistics_are_those_of_a_subset_where_there_is_one():
    data = load(config("digits", train_size=20), seed=0)
    assert (data.mean, data.std) == channel_statistics(data.train.images)


def test_a_channel_without_contrast_is_left_as_it_is_whatever_its_shade():
    shades = torch.arange(256, dtype=torch.uint8).expand(3, 5, 5, 256)
    mean, std = channel_statistics(shades)
    assert mean == pytest.approx([shade / 255 for shade in range(256)])
    assert set(std) == {1.0}


@pytest.mark.parametrize("size", [5, 12])
def test_resized_pixels_are_rounded_to_the_nearest_and_smoothed_as_pillow_does(size):
    whole, resized = load(config("digits"), seed=0), load(config("digits", image_size=size), seed=0)
    assert torch.equal(resized.train.labels, whole.train.labels)
    for before, after in zip(whole.test.images[:20, ..., 0], resized.test.images[:20, ..., 0], strict=True):
        exact = F.interpolate(
            before[None, None].double(), (size, size), mode="bilinear", antialias=True, align_corners=False
        )[0, 0]
        assert (after - exact).abs().max() <= 0.501
        pillow = Image.fromarray(before.numpy()).resize((size, size), Image.Resampling.BILINEAR)
        assert (after.int() - torch.from_numpy(np.array(pillow)).int()).abs().max() <= 1


def test_digits_keep_their_17_shades_rounded_to_the_nearest():
    shades = load(config("digits"), seed=0).train.images.unique().tolist()
    assert shades == [round(255 * shade / 16 + 1e-9) for shade in range(17)]


def test_the_fingerprint_is_of_the_pixels_and_labels_of_both_splits():
    images, labels = np.zeros((4, 2, 2, 3), np.uint8), np.zeros(4, np.int64)
    other_images, other_labels = images.copy(), labels.copy()
    other_images[3, 1, 1, 2] = other_labels[3] = 1
    splits = [(images, labels), (other_images, labels), (images, other_labels)]
    prints = {make_source(train, test, ("a", "b")).fingerprint for train in splits for test in splits}
    assert len(prints) == 9
    turned = [(part.reshape(4, 4, 1, 3), labels) for part in (images, images)]
    assert make_source(*turned, ("a", "b")).fingerprint not in prints


IMAGES, LABELS = np.zeros((4, 2, 2, 3), np.uint8), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.transpose(0, 3, 1, 2), LABELS, r"uint8 \(4, 3, 2, 2\): expected uint8 \(N, H, W, C\)"),
        (IMAGES.astype(np.float32), LABELS, "float32"),
        (IMAGES[0], LABELS, "expected uint8"),
        (IMAGES[:0], LABELS[:0], r"\(0, 2, 2, 3\): expected at least one image"),
        (IMAGES, LABELS[:3], r"expected integers \(4,\)"),
        (IMAGES, LABELS.astype(np.float64), "labels are float64"),
        (IMAGES, LABELS + 1, "from 1 to 2: expected 0 to 1"),
        (IMAGES, LABELS - 1, "from -1 to 0"),
        (np.zeros((4, 3, 3, 3), np.uint8), LABELS, "expected one shape"),
    ],
)
def test_a_readers_arrays_are_checked(images, labels, message):
    with pytest.raises(ValueError, match=message):
        make_source((IMAGES, LABELS), (images, labels), ("a", "b"))


@pytest.mark.parametrize("size", [8, 10])
def test_synthetic_images_have_the_size_asked_for_and_a_pattern_that_can_be_learned(size):
    asked = config("synthetic", train_size=400, test_size=100, image_size=size)
    data = load(asked, seed=0)
    assert make_synthetic(asked, False).train.images.shape == (400, size, size, 3)
    assert data.test.images.shape == (100, size, size, 3)
    assert not rows(data.train) & rows(data.test)
    means = torch.stack([data.train.images[data.train.labels == label].float().mean(0) for label in range(10)])
    nearest = torch.cdist(data.test.images.float().flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == data.test.labels).float().mean() > 0.9
