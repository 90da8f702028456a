"""Images/s of whole training epochs: this project, a conventional trainer, and the machine's limit.

    python benchmarks/throughput.py                                            # the nine in fp32, one process per core
    python benchmarks/throughput.py --models resnet --depths 20 --precisions fp32 bf16 --repeats 5 --json FILE

The time includes data, augmentation, forward, backward, step and metrics, but not evaluation and start-up. Both
trainers use synthetic images of CIFAR-10's size and the same numbers of processes and threads, in turns; the reference
uses the best of 0, 2 and 4 loader workers. The limit is the rate if each multiply-add of forward and backward ran as
fast as in a large matrix product, measured in the same turns. First, both trainers train the same network on the same
batches, and their losses are compared. Because public trainers use fp32, bf16 is compared with both precisions of the
reference.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
import torch
from hydra import compose, initialize_config_dir
from reference_trainer import Reference, make_step
from rich.console import Console
from rich.progress import track

from cifar_resnet.devices import count_cores
from cifar_resnet.run.config import from_container
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir
from cifar_resnet.sweep.resolvers import plain_config
from cifar_resnet.sweep.worker_process import worker_environment
from cifar_resnet.training.data.workload import count
from cifar_resnet.training.measure import count_gflop
from cifar_resnet.training.models import build_network

BATCH = 128
EPOCHS = 3  # the first is for warm-up and isn't counted
CHECKED_STEPS = 20
SIDES = ("ours", "reference", "reference_fp32", "limit")


def compose_run(model: str, depth: int, precision: str, images: int, threads: int) -> dict[str, Any]:
    """The config of a run on synthetic images."""
    overrides = [f"model={model}", f"depth={depth}", f"precision={precision}", f"runtime.threads={threads}"]
    overrides += ["data=synthetic", f"data.train_size={images}", "data.test_size=100", f"optim.epochs={EPOCHS}"]
    with initialize_config_dir(str(REPO_ROOT / "conf"), version_base="1.3"):
        return plain_config(compose("config", overrides=[*overrides, "optim.lr=0.01", "runtime.device=cpu"]))


def outputs_of(commands: list[list[str]], environment: dict[str, str]) -> list[str]:
    """The output of processes that are started together."""
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    outputs = []
    for process in processes:
        out, error = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(process.args)} failed:\n{error}")
        outputs.append(out)
    return outputs


def histories(config: dict[str, Any], processes: int) -> list[list[dict[str, str]]]:
    """The rows of metrics.csv of this many concurrent workers."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [RunDir(Path(folder) / str(number)) for number in range(processes)]
        for number, run in enumerate(runs):
            run.write_config({**config, "seed": number})
        command = [sys.executable, "-m", "cifar_resnet.training.worker", "--quiet"]
        outputs_of([[*command, str(run.path)] for run in runs], worker_environment(config))
        return [list(csv.DictReader(run.metrics.read_text().splitlines())) for run in runs]


def measure_ours(config: dict[str, Any], processes: int) -> float:
    """Images/s of this many concurrent workers, without their first epoch."""
    rates = [[float(row["images_per_second"]) for row in rows[1:]] for rows in histories(config, processes)]
    return sum(map(statistics.mean, rates))


def measure_reference(case: tuple[str, int, str], images: int, workers: int, processes: int, threads: int) -> float:
    """Images/s of this many concurrent reference trainers, limited to the same number of threads."""
    model, depth, precision = case
    command = [sys.executable, str(Path(__file__).with_name("reference_trainer.py")), model, str(depth), precision]
    command += [str(images), str(EPOCHS), str(workers), str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    outputs = outputs_of([command] * processes, environment)
    return sum(statistics.mean(json.loads(out)["images_per_second"][1:]) for out in outputs)


def measure_limit(precision: str, processes: int, threads: int) -> float:
    """GFLOP/s of matrix products in this many concurrent processes."""
    command = [sys.executable, str(Path(__file__).with_name("machine.py")), precision, str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return sum(float(out) for out in outputs_of([command] * processes, environment))


def compare_losses(model: str, depth: int) -> float:
    """The largest relative difference of the two trainers' losses over the same steps from the same weights, fp32."""
    torch.manual_seed(0)
    ours, reference = build_network(model, depth), Reference(model, depth)
    reference.load_state_dict(ours.state_dict())
    sides = [
        (make_step(network, 0.01, bf16=False), layout)
        for network, layout in ((ours, torch.channels_last), (reference, torch.contiguous_format))
    ]
    worst = 0.0
    for _ in range(CHECKED_STEPS):
        images, labels = torch.randn(32, 3, 32, 32), torch.randint(10, (32,))
        a, b = (step(images.contiguous(memory_format=layout), labels)[0] for step, layout in sides)
        worst = max(worst, abs(a - b) / abs(b))
    return worst


def images_of(depth: int, steps: int) -> int:
    """Images per epoch: fewer for deep networks, so that all take about as long."""
    return BATCH * max(3, round(steps * 20 / depth))


def best_workers(case: tuple[str, int, str], images: int, options: argparse.Namespace) -> int:
    """The number of loader workers with which the reference is fastest, among those to try."""
    if len(options.workers) == 1:
        return int(options.workers[0])
    tried = {
        workers: measure_reference(case, images, workers, options.processes, options.threads)
        for workers in options.workers
    }
    return max(tried, key=lambda workers: tried[workers])


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per case, with the figures of every repeat."""
    cases = list(itertools.product(options.models, options.depths, options.precisions))
    rows: dict[Any, dict[str, Any]] = {case: {side: [] for side in SIDES} for case in cases}
    turns = [(repeat, case) for repeat in range(options.repeats) for case in cases]
    for repeat, case in track(turns, "measuring", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        row, images = rows[case], images_of(case[1], options.steps)
        config = compose_run(*case, images, options.threads)
        if "gflop" not in row:
            checked = from_container(config)
            row["gflop"] = count_gflop(checked, count(checked.data))
            row["workers"] = best_workers(case, images, options)
        row["ours"].append(measure_ours(config, options.processes))
        settings = (images, row["workers"], options.processes, options.threads)
        row["reference"].append(measure_reference(case, *settings))
        in_fp32 = (*case[:2], "fp32")
        # Already measured if the fp32 row came first in this turn.
        taken = rows[in_fp32]["reference"][repeat:] if in_fp32 in rows else []
        row["reference_fp32"].append(taken[0] if taken else measure_reference(in_fp32, *settings))
        row["limit"].append(measure_limit(case[2], options.processes, options.threads) / row["gflop"])
    for (model, depth, precision), row in rows.items():
        yield {"model": model, "depth": depth, "precision": precision, **row}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown: medians, with the range in parentheses, and ratios of medians."""
    lines = [
        "| network | precision | ours, images/s | reference, images/s (workers) | ratio | ratio to its fp32 "
        "| limit, images/s | share |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        ours, reference, usual, limit = (statistics.median(row[side]) for side in SIDES)
        spread, other = (f"{min(row[side]):.0f}–{max(row[side]):.0f}" for side in ("ours", "reference"))
        lines.append(
            f"| {row['model']}-{row['depth']} | {row['precision']} | {ours:.0f} ({spread}) "
            f"| {reference:.0f} ({other}; {row['workers']}) | {ours / reference:.2f} | {ours / usual:.2f} "
            f"| {limit:.0f} | {100 * ours / limit:.0f} % |"
        )
    for precision in dict.fromkeys(row["precision"] for row in rows):
        part = [row for row in rows if row["precision"] == precision]
        # A sweep trains each network on the same number of images, so times add up, not rates.
        ours, reference, usual, limit = (sum(1 / statistics.median(row[side]) for row in part) for side in SIDES)
        lines.append(
            f"| mix of these {len(part)} | {precision} | {len(part) / ours:.0f} | {len(part) / reference:.0f} "
            f"| {reference / ours:.2f} | {usual / ours:.2f} | {len(part) / limit:.0f} | {100 * limit / ours:.0f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table, and writes all figures if requested."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["plain", "resnet", "preact"])
    parser.add_argument("--depths", nargs="+", type=int, default=[20, 56, 110])
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=["fp32", "bf16"])
    parser.add_argument("--processes", type=int, default=count_cores(), help="concurrent runs (default: one per core)")
    parser.add_argument("--threads", type=int, default=1, help="threads per run (default: 1)")
    parser.add_argument("--steps", type=int, default=12, help="steps per epoch at depth 20, fewer for deeper networks")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2, 4], help="the reference's loader workers")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    # Now, while nothing else runs here, so that this process's own threads don't count.
    differences = {model: compare_losses(model, 20) for model in options.models}
    described = machine.describe()
    rows = list(measure(options))
    print(
        f"{described['cpu']} ({', '.join(described['instructions'])}), torch {described['torch']}, "
        f"{options.processes} processes of {options.threads} threads, median of {options.repeats} (lowest–highest)\n"
    )
    print(table(rows))
    print(
        f"\nlosses over {CHECKED_STEPS} steps from the same weights differ by at most "
        + ", ".join(f"{value:.1e} ({model}-20)" for model, value in differences.items())
    )
    if options.json:
        values = {"machine": described, "options": {**vars(options), "json": None}, "losses": differences, "rows": rows}
        options.json.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
