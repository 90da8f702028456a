"""Finds the available cores, GPUs and extras, without importing torch."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cifar_resnet import precisions
from cifar_resnet.errors import ConfigError
from cifar_resnet.programs import install

_CAPABILITY = (75, 76)  # the driver's numbers of the attributes COMPUTE_CAPABILITY_MAJOR and …_MINOR


@dataclass(frozen=True)
class Gpu:
    """One GPU that this process may use."""

    name: str  # as in CUDA_VISIBLE_DEVICES: a number, or a UUID if the user gave one
    uuid: str  # 32 hexadecimal digits, the same for every process on the machine, whichever GPUs it sees
    capability: tuple[int, int] = (0, 0)  # compute capability, major and minor


def count_cores() -> int:
    """Cores that this process may use: affinity, cgroup limits and LOKY_MAX_CPU_COUNT are respected."""
    # Imported here: with NumPy it takes a tenth of a second, which --help and runs with set threads don't need.
    import joblib

    return int(joblib.cpu_count())


def require_tensorboard() -> None:
    """Raises ConfigError unless the extra `tensorboard` is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "runtime.tensorboard=true: TensorBoard is not installed; expected the extra "
            f"({install('tensorboard')}), or runtime.tensorboard=false"
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
    return [
        Gpu(name, _uuid(driver, number) or name, _capability(driver, number))
        for number, name in enumerate(names[: count.value])
    ]


def _uuid(driver: ctypes.CDLL, number: int) -> str | None:
    """The UUID of the GPU, or of its MIG partition, with this number in the driver's list; None if it has none."""
    raw = ctypes.create_string_buffer(16)
    return raw.raw.hex() if driver.cuDeviceGetUuid_v2(ctypes.byref(raw), number) == 0 else None


def _capability(driver: ctypes.CDLL, number: int) -> tuple[int, int]:
    """The GPU's compute capability."""
    value, found = ctypes.c_int(0), []
    for attribute in _CAPABILITY:
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, number)
        found.append(value.value)
    return found[0], found[1]


def driver_fault() -> str | None:
    """Why torch can't use the GPUs that the driver lists, in words; None if it can, or as far as is known here."""
    needed = _cuda_of_torch()
    if needed is None or not visible_gpus():
        return None
    version = ctypes.c_int(0)
    ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    # Within a major version, every driver serves every build.
    supported = version.value // 1000
    return f"its driver supports CUDA {supported}, and this torch needs CUDA {needed}" if supported < needed else None


def unusable(device: str, fault: str) -> ConfigError:
    """The error for a run that would use a GPU which torch can't use."""
    return ConfigError(
        f"runtime.device={device}: torch can't use this machine's GPU ({fault}); expected a newer driver, a torch for "
        "this one, or runtime.device=cpu"
    )


def _cuda_of_torch() -> int | None:
    """The major version of CUDA that torch was built for; None if for none. Read, because importing torch is slow."""
    found = importlib.util.find_spec("torch")
    folders = found.submodule_search_locations if found else None
    if not folders:
        return None
    text = Path(folders[0], "version.py").read_text(encoding="utf-8")
    match = re.search(r"^cuda\b[^=\n]*= *['\"](\d+)", text, re.MULTILINE)
    return int(match[1]) if match else None


def check_support(precision: str, kernels: str, capability: tuple[int, int] | None) -> None:
    """Raises ConfigError if a run can't be computed as asked on a GPU of this compute capability, or on a CPU (None).

    Args:
        precision: the run's precision.
        kernels: its `runtime.kernels`.
        capability: the GPU's compute capability; None for a CPU.
    """
    obstacle = precisions.obstacle(precision, capability)
    if obstacle is not None:
        raise ConfigError(
            f"precision={precision}: {obstacle}; expected one of {', '.join(precisions.possible(capability))}"
        )
    if kernels == "graph" and capability is None:
        raise ConfigError(
            "runtime.kernels=graph: it needs a GPU, and this run would train on the CPU; expected auto, fused or eager"
        )


def count_gpus() -> int:
    """How many GPUs torch can use."""
    return len(visible_gpus())


def count_slots(device: str, runs_per_gpu: int) -> int:
    """How many runs this machine's GPUs take at the same time; 0 if none is used."""
    return 0 if device == "cpu" else count_gpus() * runs_per_gpu


def default_n_jobs(device: str, runs_per_gpu: int) -> int:
    """Concurrent runs on this machine: as many as the GPUs take if GPUs are used, otherwise one per core."""
    return count_slots(device, runs_per_gpu) or count_cores()
