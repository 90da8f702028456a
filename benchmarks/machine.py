"""Describes the machine and the versions for the benchmarks, and measures the machine's peak rate."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

from cifar_resnet.sweep.worker_process import MALLOC

# The vector instructions that determine how fast a convolution can be.
_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")


def describe() -> dict[str, Any]:
    """CPU, its vector instructions, cores, versions, and the memory settings of this project's workers."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    words = {key.strip(): value.strip() for key, value in known.items()}
    return {
        "cpu": words.get("model name", platform.processor()),
        "instructions": [flag for flag in _FLAGS if flag in words.get("flags", "").split()],
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "malloc": MALLOC,
    }


def product_rate(precision: str, seconds: float = 1.0, size: int = 2048) -> float:
    """GFLOP/s of a large square matrix product in this precision, with torch's number of threads."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(2, size, size).to(dtype)
    a @ b
    count, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds or count < 2:
        a @ b
        count += 1
    return count * 2 * size**3 / elapsed / 1e9


if __name__ == "__main__":
    import sys

    torch.set_num_threads(int(sys.argv[2]))
    print(product_rate(sys.argv[1]))
