"""Finds the available cores, GPUs and extras, without importing torch."""

from __future__ import annotations

import ctypes
import importlib.util
import os
from dataclasses import dataclass
from importlib import metadata

from cifar_resnet.errors import ConfigError


@dataclass(frozen=True)
class Gpu:
    """One GPU that this process may use."""

    name: str  # as in CUDA_VISIBLE_DEVICES: a number, or a UUID if the user gave one
    uuid: str  # 32 hexadecimal digits, the same for every process on the machine, whichever GPUs it sees


def count_cores() -> int:
    """Cores that this process may use: affinity, cgroup limits and LOKY_MAX_CPU_COUNT are respected."""
    # Imported here: with NumPy it takes a tenth of a second, which --help and runs with set threads don't need.
    import joblib

    return int(joblib.cpu_count())


def require_tensorboard() -> None:
    """Raises ConfigError unless the extra `tensorboard` is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "runtime.tensorboard=true: TensorBoard is not installed; expected the extra, "
            "`pip install -e '.[tensorboard]'` in the project's folder, or runtime.tensorboard=false"
        )


def visible_gpus() -> list[Gpu]:
    """The GPUs that torch can use: the driver's list, which respects CUDA_VISIBLE_DEVICES; none with a CPU build."""
    if "+cpu" in metadata.version("torch"):
        return []
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    names = given or [str(number) for number in range(count.value)]
    # The driver stops at the first name that it doesn't know.
    return [Gpu(name, _uuid(driver, number) or name) for number, name in enumerate(names[: count.value])]


def _uuid(driver: ctypes.CDLL, number: int) -> str | None:
    """The UUID of the GPU, or of its MIG partition, with this number in the driver's list; None if it has none."""
    raw = ctypes.create_string_buffer(16)
    return raw.raw.hex() if driver.cuDeviceGetUuid_v2(ctypes.byref(raw), number) == 0 else None


def count_gpus() -> int:
    """How many GPUs torch can use."""
    return len(visible_gpus())


def count_slots(device: str, runs_per_gpu: int) -> int:
    """How many runs this machine's GPUs take at the same time; 0 if none is used."""
    return 0 if device == "cpu" else count_gpus() * runs_per_gpu


def default_n_jobs(device: str, runs_per_gpu: int) -> int:
    """Concurrent runs on this machine: as many as the GPUs take if GPUs are used, otherwise one per core."""
    return count_slots(device, runs_per_gpu) or count_cores()
