"""Describes how a run is made, for run.json: machine, versions, commit and data."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cifar_resnet import __version__
from cifar_resnet.datasets import DATASETS
from cifar_resnet.run.parsing import MADE_BY
from cifar_resnet.run.schema import Config
from cifar_resnet.training.data import Dataset
from cifar_resnet.training.loop import Training
from cifar_resnet.training.models import count_parameters


def describe_device(device: torch.device) -> str:
    """The name of the GPU or CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({torch.backends.cpu.get_cpu_capability()})"
    return f"{platform.processor() or platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"


def git_commit() -> str | None:
    """The project's commit, followed by `+changes` if tracked files differ from it; None outside a checkout.

    An installed package has none, not even inside another project's checkout, which doesn't track its files.
    """
    file = Path(__file__)
    questions = (
        ["ls-files", "--error-unmatch", file.name],
        ["rev-parse", "HEAD"],
        ["status", "--porcelain", "--untracked-files=no"],
    )
    try:
        _, commit, changes = (
            subprocess.run(["git", *words], cwd=file.parent, capture_output=True, text=True, check=True).stdout.strip()
            for words in questions
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if changes else commit


HISTORY = ("started", "init_from", "earlier", *MADE_BY)
"""The fields of run.json that a later process can't find out; the checkpoint keeps them, too."""


def earlier(status: dict[str, Any], described: dict[str, Any], kernels: str | None) -> list[dict[str, Any]]:
    """How earlier parts of a continued run differed from the current one, without duplicates.

    Args:
        status: its run.json, as the previous process left it.
        described: the result of `describe_run` now.
        kernels: those that its checkpoint was computed with, for a run.json from before they were recorded; None if
            they aren't known. Kernels that aren't known stay None and don't count as a difference.
    """
    present = {key: described.get(key) for key in MADE_BY}
    parts = [*status.get("earlier", []), {"kernels": kernels} | status]
    known = [{key: part.get(key) for key in MADE_BY} for part in parts if part.get("device")]
    different = [part for part in known if part | {"kernels": part["kernels"] or present["kernels"]} != present]
    return [part for index, part in enumerate(different) if part not in different[:index]]


def describe_run(config: Config, dataset: Dataset, training: Training, threads: int) -> dict[str, Any]:
    """The fields of run.json that record how the run was made."""
    identify = DATASETS[config.data.kind].identify
    return {
        "device": describe_device(training.device),
        "threads": threads,
        "kernels": training.kernels,
        "parameters": count_parameters(training.network),
        "commit": git_commit(),
        "versions": {
            "python": platform.python_version(),
            "cifar_resnet": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            **({"numba": metadata.version("numba")} if training.kernels == "fused" else {}),
        },
        "data": {
            "name": config.data.name,
            "kind": config.data.kind,
            "fingerprint": dataset.fingerprint,
            "identity": None if identify is None else identify(Path(config.data.root or ".")),
            "train_images": len(dataset.train.labels),
            "val_images": 0 if dataset.val is None else len(dataset.val.labels),
            "test_images": len(dataset.test.labels),
            "classes": len(dataset.classes),
            "class_names": list(dataset.classes),
            "image_shape": list(dataset.train.images.shape[1:]),
            "is_cifar10": dataset.is_cifar10,
            "mean": list(dataset.mean),
            "std": list(dataset.std),
        },
    }
