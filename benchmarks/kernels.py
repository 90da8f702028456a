"""Training steps with fused kernels, with PyTorch's, and of the usual trainer, in turns within one process.

    python benchmarks/kernels.py                                                # the nine, fp32, one thread
    python benchmarks/kernels.py --models resnet --depths 20 --precisions fp32 bf16 --steps 30 --json FILE

A step includes its batch: drawing, augmentation and normalization. Times are CPU time of the process, so other work on
the machine matters less than for images/s; it still competes for cache and memory. A ratio is the median of the ratios
of steps that followed each other, with the quartiles in parentheses. Each network's row is printed as soon as it is
measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cifar_resnet.sweep.worker_process import MALLOC

if __name__ == "__main__" and not MALLOC.keys() <= os.environ.keys():
    # glibc reads these only when a process starts; all sides get them.
    os.execve(sys.executable, [sys.executable, *sys.argv], {**MALLOC, **os.environ, "OMP_NUM_THREADS": "1"})

import machine
import torch
from reference_trainer import Reference, make_loader, make_step
from throughput import BATCH, compose_run

from cifar_resnet.run.config import from_container
from cifar_resnet.training.data import draw_epoch, load
from cifar_resnet.training.loop import Training

WARMUP_STEPS = 2


def ours(case: tuple[str, int, str], kernels: str, images: int) -> Callable[[], object]:
    """A step of this project's training with these kernels."""
    values = compose_run(*case, images, threads=1)
    values["runtime"]["kernels"] = kernels
    config = from_container(values)
    training = Training(config, load(config.data, config.seed), torch.device("cpu"))
    if training.kernels != kernels:
        raise SystemExit(f"{kernels} kernels are not available here")
    draws = training._inputs.take(draw_epoch(images, config.seed, 0, augment=True))
    training.network.train()
    return lambda: training._train_step(draws)


def reference(case: tuple[str, int, str], images: int) -> Callable[[], object]:
    """A step of the usual trainer, whose loader works in this process."""
    model, depth, precision = case
    network = Reference(model, depth)
    network.train()
    step = make_step(network, 0.01, precision == "bf16")

    def batches() -> Iterator[Any]:
        while True:
            yield from make_loader(images, workers=0)

    endless = batches()
    return lambda: step(*next(endless))


def measure(case: tuple[str, int, str], steps: int) -> dict[str, list[float]]:
    """Seconds of CPU time of each step of each side."""
    images = BATCH * (steps + WARMUP_STEPS)
    sides = {kernels: ours(case, kernels, images) for kernels in ("fused", "eager")}
    sides["reference"] = reference(case, images)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(steps + WARMUP_STEPS):
        for side, step in sides.items():
            begin = time.process_time()
            step()
            if number >= WARMUP_STEPS:
                seconds[side].append(time.process_time() - begin)
    return seconds


def quartiles(values: list[float], digits: int) -> str:
    """Median (first and third quartile)."""
    first, middle, third = statistics.quantiles(values, n=4)
    return f"{middle:.{digits}f} ({first:.{digits}f}–{third:.{digits}f})"


def ratio(of: list[float], to: list[float]) -> list[float]:
    """The ratios of steps that followed each other."""
    return [a / b for a, b in zip(of, to, strict=True)]


def main() -> None:
    """Measures, prints the table, and writes all times if requested."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["plain", "resnet", "preact"])
    parser.add_argument("--depths", nargs="+", type=int, default=[20, 56, 110])
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--json", type=Path, help="file for all times")
    options = parser.parse_args()
    torch.set_num_threads(1)
    described = machine.describe()
    print(f"{described['cpu']} ({', '.join(described['instructions'])}), torch {described['torch']}, one thread\n")
    print("| network | precision | fused, ms | eager, ms | reference, ms | eager to fused | reference to fused |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for case in itertools.product(options.models, options.depths, options.precisions):
        seconds = measure(case, options.steps)
        rows.append({"model": case[0], "depth": case[1], "precision": case[2], "seconds": seconds})
        cells = [f"{case[0]}-{case[1]}", case[2]]
        cells += [quartiles([1000 * value for value in values], 0) for values in seconds.values()]
        cells += [quartiles(ratio(seconds[side], seconds["fused"]), 2) for side in ("eager", "reference")]
        print(f"| {' | '.join(cells)} |", flush=True)
    for precision in options.precisions:
        part = [row["seconds"] for row in rows if row["precision"] == precision]
        # A sweep trains each network on the same number of images, so times add up, not rates.
        sums = {side: sum(statistics.median(one[side]) for one in part) for side in ("fused", "eager", "reference")}
        shown = [f"{1000 * sums[side] / len(part):.0f}" for side in sums]
        shown += [f"{sums[side] / sums['fused']:.2f}" for side in ("eager", "reference")]
        print(f"| mix of these {len(part)} | {precision} | {' | '.join(shown)} |")
    if options.json:
        options.json.write_text(json.dumps({"machine": described, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
