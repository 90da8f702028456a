"""Compiles the fused kernels before a sweep's first worker starts, where Numba's cache doesn't have them yet."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifar_resnet.devices import count_slots
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.sweep.assignment import needs_training
from cifar_resnet.sweep.worker_process import worker_config, worker_environment

_SOURCE = REPO_ROOT / "cifar_resnet" / "training" / "kernels.py"


def compile_kernels(configs: Mapping[RunDir, Config], at_a_time: int) -> None:
    """Compiles what the runs will use, in a process that says so; does nothing if none needs it.

    Workers would compile it themselves, one at a time, but nobody would see what they wait for.
    """
    fused = {
        run: values
        for run, config in configs.items()
        for values in [worker_config(dataclasses.asdict(config), at_a_time)]
        if _uses_fused(values)
    }
    if not fused or not _has_to_compile():
        return
    needed = [values for run, values in fused.items() if needs_training(run, configs[run])]
    if needed:
        precisions = sorted({str(values["precision"]) for values in needed})
        command = [sys.executable, "-m", "cifar_resnet.training.kernel_choice", *precisions]
        # If it fails, each worker will, and say why in its log. In a session of its own, because Ctrl-C would have it
        # print a traceback; `run` kills it instead.
        subprocess.run(command, env=worker_environment(needed[0]), check=False, start_new_session=True)


def _uses_fused(config: Mapping[str, Any]) -> bool:
    """Whether the run's worker will choose the fused kernels, as far as its config tells."""
    runtime = config["runtime"]
    asked = runtime["kernels"] == "fused" or (runtime["kernels"] == "auto" and runtime["threads"] == 1)
    on_gpu = count_slots(runtime["device"], runtime["runs_per_gpu"]) > 0
    return asked and not on_gpu and not runtime["compile"] and config["model"]["norm"] == "batch"


def _has_to_compile() -> bool:
    """Whether Numba can compile the kernels here, and its cache has none that are newer than their source."""
    try:
        cache = _cache_folder()
    except (ImportError, RuntimeError):
        return False  # there is no usable Numba or no folder for its cache; each worker will say so in its log
    changed = _SOURCE.stat().st_mtime
    return not any(index.stat().st_mtime > changed for index in cache.glob(f"{_SOURCE.stem}.*.nbi"))


def _cache_folder() -> Path:
    """Where Numba caches what it compiles of the kernels' module.

    Raises:
        ImportError: Numba isn't installed or doesn't work.
        RuntimeError: it can write to none of the folders that it would use.
    """
    import numba  # imported here, because it takes a quarter of a second and not every sweep needs it

    def kernel() -> None:
        """Stands for the kernels: Numba chooses the folder by the file that a function comes from."""

    kernel.__code__ = kernel.__code__.replace(co_filename=str(_SOURCE))
    return Path(str(numba.njit(cache=True)(kernel).stats.cache_path))
