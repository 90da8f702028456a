"""Where an epoch's time goes: forward, backward and step; everything else in training; evaluation.

    python benchmarks/epoch_share.py                                           # resnet-20, fp32 and bf16
    python benchmarks/epoch_share.py --model preact --depth 56 --images 10000 --precisions fp32

Runs this project's own worker in this process, with one thread, on synthetic images of CIFAR-10's size and proportion
(one test image per five training images), and times the forward pass with the loss, the backward pass and the step.
Everything else counts as "else": drawing and augmenting batches, metrics, progress, checkpoints, CSV files. The first
epoch is for warm-up and isn't counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import machine
import torch
from throughput import compose_run
from torch.nn import functional as F

from cifar_resnet.run.folder import RunDir
from cifar_resnet.sweep.worker_process import worker_environment
from cifar_resnet.training import worker
from cifar_resnet.training.evaluator import Evaluator
from cifar_resnet.training.loop import Training
from cifar_resnet.training.models import Network

EPOCHS = 4


class Clock:
    """Seconds spent in parts of the training, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.begin = time.perf_counter()

    def around(self, name: str, work: Callable[..., Any], only: Callable[[], bool] = lambda: True) -> Any:
        """Wraps `work` so that its time is added to `name` whenever `only` returns True."""

        def timed(*arguments: Any, **options: Any) -> Any:
            if not only():
                return work(*arguments, **options)
            begin = time.perf_counter()
            result = work(*arguments, **options)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin
            return result

        return timed


def measure(run: RunDir) -> None:
    """Trains the run in this process and prints its shares."""
    clock = Clock()
    # During evaluation, the forward pass and the loss count as evaluation.
    F.cross_entropy = clock.around("forward", F.cross_entropy, torch.is_grad_enabled)
    Network.forward = clock.around("forward", Network.forward, torch.is_grad_enabled)  # type: ignore[method-assign]
    # The fused kernels don't go through the network's own forward pass.
    if find_spec("numba"):
        from cifar_resnet.training.fused import FusedNetwork

        FusedNetwork.__call__ = clock.around("forward", FusedNetwork.__call__)  # type: ignore[method-assign]
    torch.Tensor.backward = clock.around("backward", torch.Tensor.backward)  # type: ignore[method-assign]
    Evaluator.evaluate = clock.around("evaluation", Evaluator.evaluate)  # type: ignore[method-assign]

    train_epoch = Training.train_epoch

    def after_warm_up(training: Training, after_step: Callable[[], bool]) -> bool:
        if training.epoch == 1 and training.sums.images == 0:
            training.optimizer.step = clock.around("step", training.optimizer.step)  # type: ignore[method-assign]
            clock.seconds, clock.begin = {}, time.perf_counter()
        return train_epoch(training, after_step)

    Training.train_epoch = after_warm_up  # type: ignore[method-assign]
    predict = Evaluator.predict

    def at_the_end(evaluator: Evaluator, split: Any) -> Any:
        clock.seconds["whole"] = time.perf_counter() - clock.begin
        return predict(evaluator, split)

    Evaluator.predict = at_the_end  # type: ignore[method-assign]
    if worker.main(["--quiet", str(run.path)]) != 0:
        raise SystemExit(f"the run failed: {run.log.read_text()}")
    whole = clock.seconds.pop("whole")
    rest = whole - sum(clock.seconds.values())
    parts = {**clock.seconds, "else": rest}
    print("  ".join(f"{name} {100 * seconds / whole:5.2f} %" for name, seconds in parts.items()), end="")
    print(f"  of {whole / (EPOCHS - 1):.1f} s per epoch", flush=True)


def main() -> None:
    """Prints one row per precision, each measured in a new process with the worker's environment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--images", type=int, default=12_800)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        measure(RunDir(options.folder))
        return
    described = machine.describe()
    print(
        f"{described['cpu']} ({', '.join(described['instructions'])}), torch {described['torch']}, load at start "
        f"{described['load']:.1f}"
    )
    for precision in options.precisions:
        config = compose_run(options.model, options.depth, precision, options.images, threads=1)
        config["data"]["test_size"], config["optim"]["epochs"] = options.images // 5, EPOCHS
        with tempfile.TemporaryDirectory() as folder:
            RunDir(Path(folder)).write_config(config)
            print(f"{options.model}-{options.depth} {precision}: ", end="", flush=True)
            command = [sys.executable, __file__, "--folder", folder]
            # A worker imports nothing from the folder of its script; this one must.
            subprocess.run(command, env={**worker_environment(config), "PYTHONSAFEPATH": ""}, check=True)


if __name__ == "__main__":
    main()
