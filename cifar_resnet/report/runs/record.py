"""Reads one run folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cifar_resnet.datasets import DATASETS
from cifar_resnet.datasets.cifar10 import is_cifar10
from cifar_resnet.errors import RunError
from cifar_resnet.report.published import is_published_network
from cifar_resnet.report.runs import csv_files, factors
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import config_hash
from cifar_resnet.run.parsing import MADE_BY


@dataclass
class Record:
    """The contents of a run folder.

    Attributes:
        folder: its path.
        config: config.yaml.
        status: run.json; empty if it can't be read.
        row: the run's row in the table of runs, as far as it can be known from this folder.
        flat: the run's identity as a flat mapping.
        metrics: the complete lines of metrics.csv.
        diagnostics: the complete lines of diagnostics.csv.
        epochs: the number of epochs that run.json records.
    """

    folder: str
    config: dict[str, Any]
    status: dict[str, Any]
    row: dict[str, Any]
    flat: dict[str, Any]
    metrics: str
    diagnostics: str
    epochs: int

    @property
    def inputs(self) -> dict[str, str | None]:
        """Name → digest of what the run was trained on and from besides its config; None where none is recorded."""
        return {"images": self.row["fingerprint"], "origin": (self.status.get("init_from") or {}).get("metrics")}


def read_record(run: RunDir) -> Record:
    """Reads the folder.

    Raises:
        RunError: a file other than run.json can't be read, or config.yaml is invalid or was changed after the start.
    """
    config = run.checked_config()
    try:
        status = run.read_status()
    except RunError:  # `verify` has the reason; the config still says which network has started
        status = {}
    return Record(
        str(run.path),
        config,
        status,
        _describe(run, config, status),
        factors.describe(config),
        csv_files.read_lines(run.metrics),
        csv_files.read_lines(run.diagnostics),
        _recorded_epochs(status.get("progress") or {}),
    )


def _recorded_epochs(progress: dict[str, Any]) -> int:
    return int((progress.get("step") or 0) // (progress.get("steps_per_epoch") or 1))


def makers(status: dict[str, Any]) -> list[dict[str, Any]]:
    """What each part of a run was trained with, see `MADE_BY`, with the versions of what it ran on one by one.

    A run has several parts if it was interrupted and continued; the last one comes last.
    """
    made = []
    for part in [*status.get("earlier", []), status]:
        versions = part.get("versions") or {}
        named = {key: part.get(key) for key in MADE_BY if key != "versions"}
        made.append({**named, **{name: versions.get(name) for name in ("cifar_resnet", "torch", "python")}})
    return made


def _differences(earlier: dict[str, Any], last: dict[str, Any]) -> str:
    """How an earlier part of the run differed from the last one, for the table of runs."""
    shown = {
        "commit": program(earlier["commit"], earlier["cifar_resnet"]),
        "device": earlier["device"],
        "threads": f"threads {earlier['threads']}",
        # Not recorded in the oldest runs.
        **({"kernels": f"{earlier['kernels']} kernels"} if earlier["kernels"] else {}),
        "torch": f"torch {earlier['torch']}",
        "python": f"python {earlier['python']}",
    }
    return ", ".join(str(shown[key]) for key in shown if earlier[key] != last[key])


def program(commit: str | None, version: str | None) -> str | None:
    """The first digits of the commit, with a + if files differed from it; the version if there was no commit."""
    if commit:
        return commit[:8] + "+" * commit.endswith("+changes")
    return version and f"version {version}"


def _describe(run: RunDir, config: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    data, (*earlier, made_by) = status.get("data") or {}, makers(status)
    devices = {part["device"] or made_by["device"] for part in (*earlier, made_by)}
    state, reason = run.verify()
    return {
        "data": str(config["data"]["name"]),
        "kind": str(config["data"]["kind"]),
        "is_cifar10": is_cifar10(config["data"], data),
        "is_published_network": is_published_network(config),
        "model": str(config["model"]["name"]),
        "depth": int(config["depth"]),
        "seed_draws_images": _seed_draws_images(config["data"]),
        "setting": "",
        "seed": int(config["seed"]),
        "state": state.value,
        "reason": reason,
        "parameters": status.get("parameters"),
        "mixed_devices": len(devices) > 1,
        # The sum of times on different devices says nothing about any of them.
        "seconds": status.get("seconds") if len(devices) == 1 else None,
        "train_images": data.get("train_images"),
        "val_images": data.get("val_images"),
        "test_images": data.get("test_images"),
        "classes": data.get("classes"),
        "device": made_by["device"],
        "threads": made_by["threads"],
        "kernels": made_by["kernels"],
        "precision": config["precision"],
        "fingerprint": data.get("fingerprint"),
        "commit": made_by["commit"],
        "version": made_by["cifar_resnet"],
        "torch": made_by["torch"],
        "python": made_by["python"],
        "earlier": "; ".join(_differences(part, made_by) for part in earlier) or None,
        "hash": config_hash(config),
        "folder": str(run.path),
    }


def _seed_draws_images(data: dict[str, Any]) -> bool:
    """Whether the seed decides which images a run is trained on."""
    kind = DATASETS[data["kind"]]
    whole = None if kind.sizes is None else kind.sizes.train
    return bool(data.get("holdout")) or (data.get("train_size") not in (None, whole) and not kind.sized_by_config)
