"""What one run folder says, before runs are put side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cifar_resnet.datasets.cifar10 import is_cifar10
from cifar_resnet.report import factors, texts
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import config_hash


@dataclass
class Record:
    """What a folder says but for its epochs."""

    folder: str
    config: dict[str, Any]
    status: dict[str, Any]
    row: dict[str, Any]
    flat: dict[str, Any]  # what the run is, for what tells it from others
    metrics: str
    diagnostics: str


def read(run: RunDir) -> Record:
    """What the folder holds.

    Raises:
        RunError: a file can't be read.
        KeyError, TypeError, AttributeError, ValueError: config.yaml is not that of a run.
    """
    config, status = run.read_config(), run.read_status()
    return Record(
        str(run.path),
        config,
        status,
        _describe(run, config, status),
        factors.describe(config),
        texts.read_lines(run.metrics),
        texts.read_lines(run.diagnostics),
    )


def makers(status: dict[str, Any]) -> list[dict[str, Any]]:
    """What trained a run, the last sitting last: commit, device, threads, and the versions of PyTorch and Python."""
    made = []
    for part in [*status.get("earlier", []), status]:
        versions = part.get("versions") or {}
        named = {key: part.get(key) for key in ("commit", "device", "threads")}
        made.append({**named, "torch": versions.get("torch"), "python": versions.get("python")})
    return made


def _differences(earlier: dict[str, Any], last: dict[str, Any]) -> str:
    """In what a sitting was another one than the last, as the table of runs has it."""
    shown = {
        "commit": short_commit(earlier["commit"]),
        "device": earlier["device"],
        "threads": f"threads {earlier['threads']}",
        "torch": f"torch {earlier['torch']}",
        "python": f"python {earlier['python']}",
    }
    return ", ".join(str(shown[key]) for key in shown if earlier[key] != last[key])


def short_commit(commit: str | None) -> str | None:
    """The commit's first digits, with a + where files differed from it."""
    return commit and commit[:8] + "+" * commit.endswith("+changes")


def _describe(run: RunDir, config: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    data, (*earlier, made_by) = status.get("data") or {}, makers(status)
    state, reason = run.verify()
    return {
        "data": str(config["data"]["name"]),
        "kind": str(config["data"]["kind"]),
        "is_cifar10": is_cifar10(config["data"], data),
        "model": str(config["model"]["name"]),
        "depth": int(config["depth"]),
        "setting": "",
        "seed": int(config["seed"]),
        "state": state.value,
        "reason": reason,
        "parameters": status.get("parameters"),
        "seconds": status.get("seconds"),
        "train_images": data.get("train_images"),
        "val_images": data.get("val_images"),
        "test_images": data.get("test_images"),
        "classes": data.get("classes"),
        "device": made_by["device"],
        "threads": made_by["threads"],
        "precision": config["precision"],
        "fingerprint": data.get("fingerprint"),
        "commit": made_by["commit"],
        "torch": made_by["torch"],
        "python": made_by["python"],
        "earlier": "; ".join(_differences(part, made_by) for part in earlier) or None,
        "hash": config_hash(config),
        "folder": str(run.path),
    }
