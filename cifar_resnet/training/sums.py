"""The sums behind an epoch's means, kept on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Sums:
    """The running sums of one epoch: loss × images, wrong predictions (both on the device), images, seconds."""

    loss: Tensor
    wrong: Tensor
    images: int = 0
    seconds: float = 0.0

    @classmethod
    def zero(cls, device: torch.device) -> Sums:
        """All sums at zero."""
        return cls(
            torch.zeros((), dtype=torch.float64, device=device), torch.zeros((), dtype=torch.int64, device=device)
        )

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> Tensor:
        """Adds a batch, without waiting for the device; returns its number of wrong predictions."""
        wrong = (logits.argmax(1) != labels).sum()
        self.loss += loss.detach().double() * len(labels)
        self.wrong += wrong
        self.images += len(labels)
        return wrong

    def set(self, other: Sums) -> None:
        """Copies the values of `other` in place, because CUDA graphs refer to the tensors by address."""
        self.loss.copy_(other.loss)
        self.wrong.copy_(other.wrong)
        self.images, self.seconds = other.images, other.seconds

    def means(self) -> tuple[float, float]:
        """Mean loss and error in percent."""
        return self.loss.item() / self.images, 100.0 * self.wrong.item() / self.images
