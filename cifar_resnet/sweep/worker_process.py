"""What a worker process is started with: its command, its environment and the config in its run folder."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import Any

from cifar_resnet.devices import Gpu, count_cores
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir

# These only take effect before a process starts. By default glibc returns freed memory to the system after each batch,
# and requesting it again costs 13–35 % of a training step on the CPU in page faults.
MALLOC = {
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def import_path() -> dict[str, str]:
    """Environment variables for a process that imports this package from anywhere, and nothing from its working folder.

    Where a user happens to start a sweep may hold other people's files, among them a torch.py.
    """
    # An empty entry would stand for the working folder.
    paths = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    if REPO_ROOT not in map(Path.resolve, map(Path, [*site.getsitepackages(), site.getusersitepackages()])):
        # Installed packages are found anyway, and mustn't come before what the user wants to come before them.
        paths.insert(0, str(REPO_ROOT))
    if sys.version_info < (3, 11):
        paths.insert(0, str(Path(__file__).parent / "python310"))
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONSAFEPATH": "1"}


def worker_command(run: RunDir) -> list[str]:
    """The command of the worker that trains the run and ends with this process."""
    return [sys.executable, "-m", "cifar_resnet.training.worker", str(run.path), "--parent", str(os.getpid())]


def worker_config(config: dict[str, Any], n_jobs: int) -> dict[str, Any]:
    """The config for the run folder: absolute paths, and the run's share of this machine's threads.

    Args:
        config: the resolved config.
        n_jobs: runs in parallel on this machine; -1: one per core.
    """
    data, runtime = dict(config["data"]), dict(config["runtime"])
    for key in ("root", "cache"):
        if data[key]:
            data[key] = os.path.abspath(os.path.expanduser(data[key]))
    if runtime["threads"] is None:
        cores = count_cores()
        runtime["threads"] = max(1, cores // (n_jobs if n_jobs > 0 else cores))
    return {**config, "out": os.path.abspath(config["out"]), "data": data, "runtime": runtime}


def worker_environment(config: dict[str, Any], gpu: Gpu | None = None) -> dict[str, str]:
    """The worker's environment: its threads, its GPU, and glibc's memory settings unless the user has set them."""
    environment = {**MALLOC, **os.environ}
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(config["runtime"]["threads"])))
    environment.update(import_path())
    if config["runtime"]["deterministic"]:
        environment.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS raises an error without it
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu.name
    return environment
