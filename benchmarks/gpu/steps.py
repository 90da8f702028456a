"""Measures training steps on a GPU: images/s of networks by precision, kernels and memory layout.

    python benchmarks/gpu/steps.py --networks resnet-20 resnet-110 --precisions bf16 tf32 fp32 --json steps.jsonl
    python benchmarks/gpu/steps.py --networks resnet-20 --kernels graph --profile

Prints a line for each combination and appends it to the file as JSON. The time includes data, augmentation, forward and
backward pass, update and metrics, but not evaluation and start-up. Also runs on a CPU, eagerly, as a self-test.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.run.config import from_container
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.schema import Config
from cifar_resnet.sweep.resolvers import plain_config
from cifar_resnet.training import loop
from cifar_resnet.training.backend import set_up
from cifar_resnet.training.data import Dataset, Split
from cifar_resnet.training.loop import Training

KERNELS = {
    "eager": ("eager", "false"),
    "graph": ("graph", "false"),
    "compile": ("eager", "true"),
    "compile+graph": ("graph", "true"),
}
LAYOUTS = {"NHWC": torch.channels_last, "NCHW": torch.contiguous_format}
WARMUP_STEPS = 20
# Runs that are measured at the same time wait for the device this often. Otherwise, the host would run ahead, and the
# queue of a slow network would go on after the others have ended.
WAIT_STEPS = 5
normalise = loop.normalise


def configure(network: str, precision: str, kernels: str, images: int) -> Config:
    """The config for a run on synthetic images of CIFAR-10's size."""
    model, depth = network.split("-")
    chosen, compiled = KERNELS[kernels]
    if not torch.cuda.is_available():
        chosen = "eager"  # without a GPU, this script only tests itself
    overrides = [f"model={model}", f"depth={depth}", f"precision={precision}", "data=synthetic", "optim.epochs=1000"]
    overrides += [f"data.train_size={images}", "data.test_size=100", "optim.lr=0.01", "optim.warmup=none"]
    overrides += [f"runtime.kernels={chosen}", f"runtime.compile={compiled}"]
    with initialize_config_dir(str(REPO_ROOT / "conf"), version_base="1.3"):
        return from_container(plain_config(compose("config", overrides=overrides)))


def prepare(config: Config, images: int, layout: str) -> Training:
    """A training on random images, in this memory layout."""
    device, _ = set_up(config)
    split = Split(torch.randint(256, (images, 32, 32, 3), dtype=torch.uint8), torch.randint(10, (images,)))
    dataset = Dataset(
        split, None, Split(split.images[:100], split.labels[:100]), ("",) * 10, (0.5,) * 3, (0.25,) * 3, ""
    )
    training = Training(config, dataset, device)
    training.network.to(memory_format=LAYOUTS[layout])

    def arranged(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        return normalise(pixels, mean, std).contiguous(memory_format=LAYOUTS[layout])

    loop.normalise = arranged
    return training


def steps(training: Training, count: float, seconds: float = float("inf")) -> float:
    """Trains this many steps, or as many as fit in the time; returns the seconds, including the device's work."""
    begin, target = time.perf_counter(), training.step + count
    waits = training.device.type == "cuda" and seconds < float("inf")

    def enough() -> bool:
        if waits and training.step % WAIT_STEPS == 0:
            torch.cuda.synchronize()
        return training.step >= target or time.perf_counter() - begin > seconds

    while not enough():
        training.train_epoch(enough)
        if training.device.type == "cuda":
            torch.cuda.synchronize()
    return time.perf_counter() - begin


def busy(training: Training, count: int) -> dict[str, Any]:
    """The device's share of the time of `count` steps, its kernels per step, and the slowest kernels."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        seconds = steps(training, count)
    kernels = [event for event in profile.key_averages() if event.self_device_time_total > 0]
    kernels.sort(key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in kernels)
    return {
        "busy": total / 1e6 / seconds,
        "kernels_per_step": sum(event.count for event in kernels) / count,
        "busy_ms_per_step": total / 1e3 / count,
        "longest": [
            [event.key[:90], round(event.self_device_time_total / 1e3 / count, 4), event.count / count]
            for event in kernels[:14]
        ],
    }


def measure(network: str, precision: str, kernels: str, layout: str, options: argparse.Namespace) -> dict[str, Any]:
    """One row: the preparation time, and images/s after it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    training = prepare(configure(network, precision, kernels, options.images), options.images, layout)
    steps(training, options.warmup)
    prepared = time.perf_counter() - begin
    if options.at:
        time.sleep(max(0, options.at - time.time()))
    first = training.step
    seconds = steps(training, float("inf") if options.seconds else options.steps, options.seconds or float("inf"))
    done = training.step - first
    size = training.config.optim.batch_size
    row = {
        "network": network,
        "precision": precision,
        "kernels": kernels,
        "layout": layout,
        "prepare_seconds": round(prepared, 2),
        "ms_per_step": round(1000 * seconds / done, 4),
        "images_per_second": round(done * size / seconds),
        "loss": training.history[-1]["train_loss"] if training.history else training.sums.means()[0],
    }
    if training.device.type == "cuda":
        row["memory_mb"] = round(torch.cuda.max_memory_reserved() / 1e6)
        if options.profile:
            row |= busy(training, 20)
    return row


def main() -> None:
    """Measures all combinations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["resnet-20"])
    parser.add_argument("--precisions", nargs="+", default=["bf16"], choices=list(PRECISIONS))
    parser.add_argument("--kernels", nargs="+", default=list(KERNELS), choices=list(KERNELS))
    parser.add_argument("--layouts", nargs="+", default=["NHWC"], choices=list(LAYOUTS))
    parser.add_argument("--images", type=int, default=12800, help="images per epoch (default: 12800, 100 steps)")
    parser.add_argument("--warmup", type=int, default=WARMUP_STEPS, help="steps before the measurement")
    parser.add_argument("--steps", type=int, default=200, help="measured steps (default: 200)")
    parser.add_argument("--seconds", type=float, help="measure for this many seconds instead")
    parser.add_argument("--at", type=float, help="start measuring at this time (seconds since 1970)")
    parser.add_argument("--profile", action="store_true", help="report the device's share of the time and its kernels")
    parser.add_argument("--json", type=Path, help="file to append rows to")
    options = parser.parse_args()
    for precision, layout, network, kernels in itertools.product(
        options.precisions, options.layouts, options.networks, options.kernels
    ):
        try:
            row = measure(network, precision, kernels, layout, options)
        except Exception as error:
            row = {"network": network, "precision": precision, "kernels": kernels, "layout": layout}
            row["error"] = f"{type(error).__name__}: {error}"[:500]
        print(json.dumps({key: value for key, value in row.items() if key != "longest"}), flush=True)
        for kernel in row.get("longest", []):
            print("   ", *kernel, flush=True)
        if options.json:
            with options.json.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
