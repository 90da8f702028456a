"""Loss, error and predictions of a network on images that aren't augmented."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_resnet.training.data import Split, normalise
from cifar_resnet.training.precision import autocast
from cifar_resnet.training.predictions import Predictions
from cifar_resnet.training.sums import Sums

BATCH = {"cpu": 250, "cuda": 2000}
"""Images per batch, by kind of device."""


class Evaluator:
    """Evaluates a network in its current state.

    Args:
        network: its parameters are on the device of the images.
        mean: of each channel of the training images, divided by 255, shape (channels,).
        std: their standard deviation, likewise.
        precision: as in `PRECISIONS`.
    """

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor, precision: str) -> None:
        self.network, self.mean, self.std, self.precision = network, mean, std, precision

    @torch.inference_mode()
    def evaluate(self, split: Split) -> tuple[float, float]:
        """Mean loss and error in percent over a split."""
        self.network.eval()
        sums = Sums.zero(self.mean.device)
        for images, labels in self._batches(split):
            with autocast(self.precision, self.mean.device):
                logits = self.network(images)
                loss = F.cross_entropy(logits, labels)
            sums.add(logits, labels, loss)
        return sums.means()

    @torch.inference_mode()
    def predict(self, split: Split) -> Predictions:
        """The network's prediction for each image of a split, in the same batches as in `evaluate`."""
        self.network.eval()
        answers = []
        for images, _ in self._batches(split):
            with autocast(self.precision, self.mean.device):
                logits = self.network(images)
            prediction = logits.argmax(1)
            answers.append((prediction, logits.float().softmax(1).gather(1, prediction[:, None])[:, 0]))
        predictions, probabilities = (torch.cat(column).cpu() for column in zip(*answers, strict=True))
        return Predictions(split.labels.cpu(), predictions, probabilities)

    def _batches(self, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalized images and their labels."""
        size = BATCH[self.mean.device.type]
        for begin in range(0, len(split.labels), size):
            images, labels = split.images[begin : begin + size], split.labels[begin : begin + size]
            yield normalise(images, self.mean, self.std), labels
