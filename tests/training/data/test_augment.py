"""Batches equal torchvision's, pixel for pixel, and an epoch's draws depend only on (seed, epoch)."""

import pytest
import torch

from cifar_resnet.training.data import crop_and_flip, draw_epoch, normalise
from cifar_resnet.training.data.cifar import import_torchvision

import_torchvision()
from torchvision.transforms import functional as tv  # noqa: E402


@pytest.mark.parametrize("shape", [(12, 32, 32, 3), (5, 8, 8, 1), (4, 5, 9, 3)])
def test_batch_equals_torchvisions_crop_flip_and_normalize_pixel_for_pixel(shape):
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    draws = draw_epoch(shape[0], seed=3, epoch=1, augment=True)
    mean, std = [0.4, 0.5, 0.6][: shape[3]], [0.2, 0.25, 0.3][: shape[3]]
    ours = normalise(crop_and_flip(images, draws.offsets, draws.flips), torch.tensor(mean), torch.tensor(std))
    for image, (top, left), flip, got in zip(images, draws.offsets.tolist(), draws.flips, ours, strict=True):
        expected = tv.crop(tv.pad(image.permute(2, 0, 1), [4, 4, 4, 4]), top, left, *shape[1:3])
        expected = tv.hflip(expected) if flip else expected
        expected = tv.normalize(tv.to_tensor(expected.permute(1, 2, 0).numpy()), mean, std)
        assert torch.equal(got, expected)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_without_augmentation_images_are_left_as_they_are():
    images = torch.randint(0, 256, (7, 8, 8, 3), dtype=torch.uint8)
    draws = draw_epoch(7, seed=0, epoch=0, augment=False)
    assert torch.equal(crop_and_flip(images, draws.offsets, draws.flips), images)


def test_draws_depend_on_seed_and_epoch_alone():
    one, again = draw_epoch(100, 1, 5, True), draw_epoch(100, 1, 5, True)
    torch.manual_seed(9)
    assert all(torch.equal(getattr(one, name), getattr(again, name)) for name in ("permutation", "offsets", "flips"))
    for other in (draw_epoch(100, 2, 5, True), draw_epoch(100, 1, 6, True)):
        assert not torch.equal(one.permutation, other.permutation)
    assert torch.equal(one.permutation, draw_epoch(100, 1, 5, False).permutation)


def test_draws_cover_every_image_offset_and_both_sides():
    draws = draw_epoch(5000, 0, 0, True)
    assert torch.equal(draws.permutation.sort().values, torch.arange(5000))
    assert sorted(set(draws.offsets.flatten().tolist())) == list(range(9))
    assert 0.45 < draws.flips.float().mean() < 0.55


def test_a_part_of_an_epochs_draws_is_those_of_its_positions():
    draws = draw_epoch(9, 1, 5, True)
    for part in (draws.part(slice(2, 6)), draws.at(torch.arange(2, 6))):
        for name in ("permutation", "offsets", "flips"):
            assert torch.equal(getattr(part, name), getattr(draws, name)[2:6])


def test_a_batch_is_made_on_the_device_of_its_images():
    images = torch.empty(3, 8, 8, 3, dtype=torch.uint8, device="meta")  # torch refuses to mix this device with others
    offsets, flips = (
        torch.empty(3, 2, dtype=torch.int64, device="meta"),
        torch.empty(3, dtype=torch.bool, device="meta"),
    )
    assert crop_and_flip(images, offsets, flips).shape == images.shape
