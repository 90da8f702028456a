"""Says what there is to compute with, cores, GPUs and extras, without importing torch."""

from __future__ import annotations

import ctypes
import importlib.util
import os
from importlib import metadata

import joblib

from cifar_resnet.errors import ConfigError


def count_cores() -> int:
    """Cores that this process may use: affinity, cgroup limits and LOKY_MAX_CPU_COUNT are respected."""
    return int(joblib.cpu_count())


def require_tensorboard() -> None:
    """Raises ConfigError unless the extra `tensorboard` is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "runtime.tensorboard=true: TensorBoard is not installed; expected the extra, "
            "`pip install -e '.[tensorboard]'` in the project's folder, or runtime.tensorboard=false"
        )


def count_gpus() -> int:
    """GPUs that torch would see: the driver's count, which respects CUDA_VISIBLE_DEVICES; 0 for a CPU build."""
    if "+cpu" in metadata.version("torch"):
        return 0
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def default_n_jobs(device: str) -> int:
    """Runs at a time on this machine: one a GPU where GPUs are used, else one a core."""
    gpus = 0 if device == "cpu" else count_gpus()
    return gpus or count_cores()


def gpu_of_run(index: int) -> str | None:
    """CUDA_VISIBLE_DEVICES for the run of this number: the GPUs in turn; None where there is none."""
    gpus = count_gpus()
    if gpus == 0:
        return None
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return (visible or [str(number) for number in range(gpus)])[index % gpus]
