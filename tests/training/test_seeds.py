"""Every random draw follows the seed: two seeds differ, one seed repeats, and the test images are the same for all."""

import pytest
import torch

from cifar_resnet.training.data import draw_epoch
from tests.training.conftest import images_seen, make_training

TEST_IMAGES = "test subset"


def draw(seed):
    """Everything that a run with this seed draws, by name; each from a run where nothing else depends on the seed."""
    run = make_training(f"seed={seed}", "data.augment=false")
    draws = draw_epoch(64, seed, epoch=0, augment=True)
    held_out = make_training(f"seed={seed}", "data.holdout=16")
    digits = make_training(f"seed={seed}", "data=digits", "data.train_size=64", "data.test_size=32")
    return {
        "weights": torch.cat([parameter.detach().flatten() for parameter in run.network.parameters()]),
        "permutation": draws.permutation,
        "crops": draws.offsets,
        "flips": draws.flips,
        "batches": torch.cat(images_seen(run)),
        "hold-out": held_out.splits["val"].images,
        "images left by the hold-out": held_out.train.images,
        "training subset": digits.train.images,
        TEST_IMAGES: digits.splits["test"].images,
    }


@pytest.fixture(scope="module")
def drawn():
    """The draws of seed 1, of seed 1 again, and of seed 2."""
    return [draw(seed) for seed in (1, 1, 2)]


def test_two_seeds_differ_in_every_draw_and_one_seed_repeats_them_all(drawn):
    for name in drawn[0].keys() - {TEST_IMAGES}:
        one, again, other = (draws[name] for draws in drawn)
        assert torch.equal(one, again), name
        assert not torch.equal(one, other), name


def test_the_weights_do_not_depend_on_what_was_drawn_before(training):
    first = training("seed=3").network.state_dict()
    torch.rand(7)
    assert all(torch.equal(value, first[name]) for name, value in training("seed=3").network.state_dict().items())


def test_the_test_images_are_the_same_for_every_seed(drawn):
    one, _, other = (draws[TEST_IMAGES] for draws in drawn)
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["permutation", "offsets", "flips"])
def test_no_two_pairs_of_seed_and_epoch_share_a_draw(name):
    # 2 + 4 = 1 + 5 and 2 · 3 = 1 · 6: neither the sum nor the product of the two would give separate streams.
    pairs = [(1, 5), (2, 4), (5, 1), (1, 6), (2, 3), (0, 6), (6, 0)]
    drawn = [tuple(getattr(draw_epoch(64, *pair, augment=True), name).flatten().tolist()) for pair in pairs]
    assert len(set(drawn)) == len(pairs)


def test_epochs_of_one_run_show_the_images_in_another_order(training):
    run = training("data.augment=false")
    first, second = torch.cat(images_seen(run)), torch.cat(images_seen(run))
    assert not torch.equal(first, second)
    assert torch.equal(first.flatten(1).sort(0).values, second.flatten(1).sort(0).values)
