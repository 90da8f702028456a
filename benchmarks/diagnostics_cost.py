"""The cost of `diagnostics.enabled=true`: one measurement, in seconds and in training steps.

    python benchmarks/diagnostics_cost.py

Alternates between measuring and training, 7 times, with one thread, on 128 images of 32×32 pixels (one batch, as in a
run), in fp32; prints the medians for each depth.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from cifar_resnet.training.diagnostics import BATCH, measure_layers
from cifar_resnet.training.models import build_network

REPEATS = 7
STEPS_PER_EPOCH = 391


def main() -> None:
    """Prints one row per depth."""
    torch.set_num_threads(1)
    print("depth  diag (s)  step (s)  steps / diag  share of 10 epochs (one measurement)")
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
    images = images.contiguous(memory_format=torch.channels_last)
    for depth in (20, 56, 110):
        network = build_network("resnet", depth)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, fused=True)

        def step(network: torch.nn.Module = network, optimizer: torch.optim.SGD = optimizer) -> None:
            loss = F.cross_entropy(network(images), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        def look(network=network) -> None:
            measure_layers(network, images, labels)

        pairs = [(_seconds(look), _seconds(step)) for _ in range(REPEATS)]
        looking, training = (statistics.median(column) for column in zip(*pairs, strict=True))
        share = 100 * looking / (10 * STEPS_PER_EPOCH * training)
        print(f"{depth:5}  {looking:8.2f}  {training:8.2f}  {looking / training:12.2f}  {share:.3f} %")


def _seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
