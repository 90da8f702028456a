"""Turns uint8 images into network input: crop, flip and normalize a batch in one vectorized step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

PADDING = 4


@dataclass(frozen=True)
class Draws:
    """An epoch's random choices, all drawn at once; position p in the epoch shows image permutation[p]."""

    permutation: Tensor  # (N,) int64
    offsets: Tensor  # (N, 2) int64: row and column of the crop in the padded image, 0 to 8
    flips: Tensor  # (N,) bool

    def part(self, chosen: slice) -> Draws:
        """The choices for a slice of positions."""
        return Draws(self.permutation[chosen], self.offsets[chosen], self.flips[chosen])

    def at(self, positions: Tensor) -> Draws:
        """The choices for the given positions, (B,) int64."""
        return Draws(*(values.index_select(0, positions) for values in (self.permutation, self.offsets, self.flips)))


def draw_epoch(size: int, seed: int, epoch: int, augment: bool) -> Draws:
    """The choices of one epoch. They depend only on (seed, epoch), so a run can continue from any step.

    Without augmentation, the crop is the image itself and nothing is flipped; the permutation is the same.
    """
    rng = np.random.default_rng([seed, epoch])
    permutation = torch.from_numpy(rng.permutation(size))
    if not augment:
        centre = torch.full((size, 2), PADDING, dtype=torch.int64)
        return Draws(permutation, centre, torch.zeros(size, dtype=torch.bool))
    offsets = torch.from_numpy(rng.integers(0, 2 * PADDING + 1, (size, 2)))
    return Draws(permutation, offsets, torch.from_numpy(rng.random(size) < 0.5))


def crop_and_flip(images: Tensor, offsets: Tensor, flips: Tensor) -> Tensor:
    """Pads 4 zero pixels on each side, crops back to the original size at `offsets`, and mirrors where `flips`.

    Args:
        images: uint8 (B, H, W, C).
        offsets: int64 (B, 2), row and column, 0 to 8.
        flips: bool (B,).

    Returns:
        uint8 (B, H, W, C), on the device of `images`.
    """
    batch, height, width, _ = images.shape
    padded = F.pad(images, (0, 0, PADDING, PADDING, PADDING, PADDING))
    rows = offsets[:, :1] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(batch, width)
    columns = offsets[:, 1:] + torch.where(flips[:, None], width - 1 - columns, columns)
    return padded[torch.arange(batch, device=images.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (B, H, W, C) → float32 (B, C, H, W) in channels_last memory format: (x/255 - mean) / std per channel."""
    # The same operations in the same order as torchvision's ToTensor and Normalize, so results agree bit for bit.
    return images.float().div_(255).sub_(mean).div_(std).permute(0, 3, 1, 2)
