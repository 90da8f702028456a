"""The table of `runtime.dry_run=true`: the state of each run and what it would cost on this machine."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from cifar_resnet.devices import count_slots, visible_gpus
from cifar_resnet.errors import RunError
from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.status.table import count_runs, duration, read_row
from cifar_resnet.sweep import budget
from cifar_resnet.sweep.assignment import reason_to_skip
from cifar_resnet.sweep.worker_process import worker_config, worker_environment
from cifar_resnet.terminal import make_console

_BYTES = 4  # of a number


def print_costs(configs: Mapping[RunDir, Config], at_a_time: int) -> None:
    """Prints one row per run: folder, state, parameters, GFLOP per image, and the time estimated from a few steps.

    Args:
        configs: the runs in order.
        at_a_time: runs in parallel.

    Raises:
        RunError: the measurement failed.
    """
    if not sys.stderr.isatty():  # where there is no progress bar
        print(f"measuring {count_runs(len(configs))}, which may take minutes", file=sys.stderr, flush=True)
    costs = _measure(list(configs.values()), at_a_time)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("run", "state", "parameters", "GFLOP/image", "steps", "ms/step", "time left"):
        table.add_column(heading, justify="left" if heading in ("run", "state") else "right", overflow="fold")
    seconds, disk = [], 0
    for (run, config), cost in zip(configs.items(), costs, strict=True):
        state = run.verified_state()
        is_over = reason_to_skip(run, state, config.runtime.retry_failed) is not None
        done = 1.0 if is_over else read_row(run).step / cost["steps"]
        seconds.append(cost["seconds"] * (1 - done))
        # Two checkpoints with weights and the optimizer's moments, and the final weights.
        disk += _BYTES * cost["parameters"] * (2 * (1 + OPTIMIZERS[config.optim.optimizer].moments) + 1)
        table.add_row(
            Text(str(run.path.relative_to(run.path.parents[2]))),
            state.value,
            f"{cost['parameters']:,}",
            f"{cost['gflop']:.3f}",
            f"{cost['steps']:,}",
            f"{1000 * cost['step_seconds']:.0f}",
            duration(seconds[-1]),
        )
    make_console().print(table)
    total = max(sum(seconds) / at_a_time, max(seconds))
    counted = f"{count_runs(len(configs))}, {at_a_time} at a time"
    print(f"{counted}: about {duration(total)} in total, {disk / 1e6:,.0f} MB of disk space; nothing was trained")
    stop_after = next(iter(configs.values())).runtime.stop_after
    if stop_after is not None:
        print(budget.describe(stop_after, seconds, at_a_time))
    print(
        "(times are estimated from 20 steps per run, and beyond 110 layers from shallower networks; "
        "GFLOP count forward and backward pass, a multiply-add as two)"
    )
    fastest = min(zip(costs, configs.values(), strict=True), key=lambda pair: float(pair[0]["step_seconds"]))[1]
    _recommend_precision(fastest, at_a_time)


def _recommend_precision(config: Config, at_a_time: int) -> None:
    """On a CPU, prints whether bf16 is faster than fp32 for this run; this depends on the CPU, hardly on the network.

    Intel CPUs with AVX512_BF16 but without AMX, for example, may be slower in bf16. A gain of less than a tenth may be
    noise, and isn't worth the rounding.
    """
    compared = ("fp32", "bf16")
    if config.precision not in compared or count_slots(config.runtime.device, runs_per_gpu=1):
        return
    costs = _measure([dataclasses.replace(config, precision=precision) for precision in compared], at_a_time)
    seconds = {precision: cost["step_seconds"] for precision, cost in zip(compared, costs, strict=True)}
    pays = seconds["bf16"] < 0.9 * seconds["fp32"]
    print(
        f"on this CPU, a step of {config.model.name}-{config.depth} takes {1000 * seconds['fp32']:.0f} ms in fp32 and "
        f"{1000 * seconds['bf16']:.0f} ms in bf16: precision=bf16 {'pays' if pays else 'does not pay'}"
    )


def _measure(configs: Sequence[Config], at_a_time: int) -> list[dict[str, Any]]:
    """One measurement per config, in parallel as the sweep would be; configs that differ only in the seed share one."""
    values = [worker_config(dataclasses.asdict(config), at_a_time) for config in configs]
    keys = [json.dumps({**value, "seed": 0, "runtime": None}, sort_keys=True) for value in values]
    distinct = dict(zip(keys, values, strict=True))
    with ThreadPoolExecutor(at_a_time) as pool:
        measured = track(
            pool.map(_measure_one, distinct.values(), itertools.count()),
            "measuring",
            total=len(distinct),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        costs = dict(zip(distinct, measured, strict=True))
    return [costs[key] for key in keys]


def _measure_one(values: dict[str, Any], index: int) -> dict[str, Any]:
    # The GPUs take turns, busy or not: a dry run doesn't wait for other sweeps.
    gpus = visible_gpus() if values["runtime"]["device"] != "cpu" else []
    done = subprocess.run(
        [sys.executable, "-m", "cifar_resnet.training.measure"],
        input=json.dumps(values),
        env=worker_environment(values, gpus[index % len(gpus)] if gpus else None),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RunError(
            f"the measurement failed: {(done.stderr.strip().splitlines() or ['?'])[-1].removeprefix('error: ')}"
        )
    cost: dict[str, Any] = json.loads(done.stdout)
    return cost
