"""The errors of gradients in bf16: are they the same in every batch, or do they average out?

    python benchmarks/bf16_gradients.py outputs/cifar10/resnet-56/seed0-0123abcd --batches 40

Takes a finished run's weights and computes the gradient of the loss for augmented training batches, in fp32 and in bf16
(autocast), with one thread on the CPU. Prints CSV: root mean squares of the norms of single batches' gradients and of
their errors, and the same for the means over all batches. If a batch's error is independent of the other batches', the
mean's is smaller by the square root of their number (`independent`); an error that batches share would be left over.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

import cifar_resnet
from cifar_resnet.finished import FinishedRun
from cifar_resnet.sweep.messages import user_errors
from cifar_resnet.training.data import Split, crop_and_flip, draw_epoch
from cifar_resnet.training.precision import autocast

# An epoch that no training has, so that the batches are new.
EPOCH = 10**6


def main() -> None:
    """Prints the header and one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("--batches", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count = arguments.batches
    with user_errors():
        run = cifar_resnet.load_run(arguments.run)
        train = run.load_data().train
    most = len(train.labels) // run.config.optim.batch_size
    if not 1 <= count <= most:
        parser.error(f"--batches {count}: expected 1 to {most}, since an epoch has no more whole batches")
    norms, errors, total, total_error = 0.0, 0.0, torch.zeros(()), torch.zeros(())
    for images, labels in batches(run, train, count):
        exact = gradient(run, images, labels, "fp32")
        error = gradient(run, images, labels, "bf16") - exact
        norms, errors = norms + float(exact.square().sum()), errors + float(error.square().sum())
        total, total_error = total + exact, total_error + error
    values = {
        "network": f"{run.config.model.name}-{run.config.depth}",
        "batches": count,
        "gradient": math.sqrt(norms / count),
        "error": math.sqrt(errors / count),
        "mean_gradient": float(total.norm()) / count,
        "mean_error": float(total_error.norm()) / count,
        "independent": math.sqrt(errors) / count,
    }
    print(",".join(values))
    print(",".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values.values()))


def batches(run: FinishedRun, train: Split, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented and normalized training images with their labels, in batches of the run's size."""
    size = run.config.optim.batch_size
    draws = draw_epoch(len(train.labels), run.config.seed, EPOCH, augment=True)
    for number in range(count):
        batch = draws.part(slice(number * size, (number + 1) * size))
        images = crop_and_flip(train.images[batch.permutation], batch.offsets, batch.flips)
        yield run.normalise(images), train.labels[batch.permutation]


def gradient(run: FinishedRun, images: Tensor, labels: Tensor, precision: str) -> Tensor:
    """The gradient with respect to all weights in training, as one float64 vector."""
    network = run.network.train().requires_grad_()
    network.zero_grad()
    with autocast(precision, torch.device("cpu")):
        loss = F.cross_entropy(network(images), labels)
    loss.backward()
    return torch.cat([weight.grad.flatten().double() for weight in network.parameters() if weight.grad is not None])


if __name__ == "__main__":
    main()
