"""Measures the cost of a run on this machine: `python -m cifar_resnet.training.measure < config`.

Reads a config as JSON and prints the measurement as JSON. Trains a few steps on random images of the data set's shape;
reads no data and writes no files.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from cifar_resnet.errors import CifarResnetError, ExitCode
from cifar_resnet.run.config import from_container
from cifar_resnet.run.schema import Config
from cifar_resnet.training.backend import set_up
from cifar_resnet.training.data import Dataset, Split
from cifar_resnet.training.data.workload import Workload, count
from cifar_resnet.training.evaluator import BATCH
from cifar_resnet.training.loop import Training, network_of
from cifar_resnet.training.models import count_parameters
from cifar_resnet.training.schedule import Schedule, count_steps

STEPS = 20
"""Steps whose mean time is taken."""
_WARMUP_STEPS = 2
DEEPEST = 110
"""The deepest network that is measured itself; more would take minutes and gigabytes."""
_SHALLOW, _DEEPER = 20, 56


def measure(config: Config) -> dict[str, Any]:
    """Parameters, GFLOP per image for forward and backward (a multiply-add is two), seconds per step and in all.

    Those of a network deeper than `DEEPEST` follow from two shallower ones: each is the same for every block of a
    stage, so it grows linearly with the depth.
    """
    if config.depth <= DEEPEST:
        return _measure(config)
    shallow, deeper = (_measure(dataclasses.replace(config, depth=depth)) for depth in (_SHALLOW, _DEEPER))
    blocks = (config.depth - _SHALLOW) / (_DEEPER - _SHALLOW)
    grown = {name: shallow[name] + blocks * (deeper[name] - shallow[name]) for name in shallow}
    return grown | {name: round(grown[name]) for name in ("parameters", "steps")}


def _measure(config: Config) -> dict[str, Any]:
    sizes, (device, _) = count(config.data), set_up(config)
    # At its usual learning rate, a network may diverge within these steps. At zero, the kernels do the same work.
    optim = dataclasses.replace(config.optim, epochs=1, iterations=None, milestones=[], lr=0.0)
    training = Training(dataclasses.replace(config, optim=optim), _random_images(config, sizes, device), device)
    if config.model.norm == "none":
        # Without normalization, the initial weights alone can make signals overflow, in fp16 at 110 layers.
        for parameter in training.network.parameters():
            parameter.detach().zero_()
    # The first steps and the first evaluation absorb the one-time costs.
    training.train_epoch(lambda: training.step == _WARMUP_STEPS)
    training.train_epoch(lambda: False)
    step_seconds = training.history[-1]["train_seconds"] / STEPS
    begin = time.perf_counter()
    training.evaluator.evaluate(training.splits["test"])
    seconds_per_image = (time.perf_counter() - begin) / len(training.splits["test"].labels)
    schedule = Schedule.of(config.optim, count_steps(sizes.train, config.optim.batch_size))
    return {
        "parameters": count_parameters(training.network),
        "gflop": count_gflop(config, sizes),
        "step_seconds": step_seconds,
        "steps": schedule.total_steps,
        "seconds": schedule.total_steps * step_seconds + schedule.epochs * sizes.watched * seconds_per_image,
    }


def _random_images(config: Config, sizes: Workload, device: torch.device) -> Dataset:
    """The batches to train on, and one to evaluate."""

    def make(images: int) -> Split:
        shape = (images, sizes.height, sizes.width, sizes.channels)
        return Split(torch.randint(256, shape, dtype=torch.uint8), torch.randint(sizes.classes, (images,)))

    mean, std = (0.5,) * sizes.channels, (0.25,) * sizes.channels
    train = make((_WARMUP_STEPS + STEPS) * min(config.optim.batch_size, sizes.train))
    test = make(BATCH[device.type])
    return Dataset(train, None, test, tuple(map(str, range(sizes.classes))), mean, std, "")


def count_gflop(config: Config, sizes: Workload) -> float:
    """GFLOP of one image's forward and backward pass: matrix products and convolutions, as counted by torch."""
    network = network_of(config, sizes.channels, sizes.classes)
    network.eval()
    with FlopCounterMode(display=False) as counter:
        logits = network(torch.zeros(1, sizes.channels, sizes.height, sizes.width))
        F.cross_entropy(logits, torch.zeros(1, dtype=torch.int64)).backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops() / 1e9)


def main() -> int:
    """Entry of the process; returns the exit code."""
    try:
        print(json.dumps(measure(from_container(json.load(sys.stdin)))))
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER
    return ExitCode.FINISHED


if __name__ == "__main__":
    sys.exit(main())
