"""The tables that show where results come from: the runs, their hyperparameters, and what was left out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.report.intervals import decimals
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.factors import describe, sort_key
from cifar_resnet.report.runs.record import program
from cifar_resnet.report.tables.table import MISSING, Table
from cifar_resnet.report.wording import count
from cifar_resnet.run.identity import as_override
from cifar_resnet.schedules import SCHEDULES

# Columns of the table of runs that its note replaces where all runs have the same value.
_PROVENANCE = ("commit", "data", "torch", "python", "device", "threads", "kernels", "precision")
# Header → column, in the order of the table of runs.
_COLUMNS = {
    "model": "model",
    "layers": "depth",
    "setting": "setting",
    "seed": "seed",
    "state": "state",
    "epochs": "epochs",
    "test error (%)": "test_error",
    "training error (%)": "train_error",
    "time (s)": "seconds",
    "config": "hash",
    "commit": "commit",
    "data": "fingerprint",
    "torch": "torch",
    "python": "python",
    "device": "device",
    "threads": "threads",
    "kernels": "kernels",
    "earlier parts": "earlier",
    "precision": "precision",
    "folder": "folder",
}


def runs_table(runs: Runs, data: str) -> Table:
    """One row per run, whatever its state, with everything needed to trace a result back to it."""
    part = runs.runs[runs.runs["data"] == data]
    rows = [_run_row({str(key): value for key, value in row.items()}) for row in part.to_dict("records")]
    frame = pd.DataFrame(rows)
    empty = [head for head in frame if frame[head].isin(["", MISSING]).all()]
    values = {head: set(frame[head]) for head in _PROVENANCE}
    same = {head: found.pop() for head, found in values.items() if len(found) == 1 and MISSING not in found}
    config = "config: hash of the resolved config"
    if all(folder.endswith(name) for folder, name in zip(frame["folder"], frame["config"], strict=True)):
        same["config"] = ""
        config = "folder: ends with the hash of the resolved config"
    note = (
        f"{config}; data: fingerprint of the images; commit: of this project, with + if files differed from it, or the "
        "version if there was no commit."
    )
    if "earlier parts" not in empty:
        note = note.removesuffix(".") + "; earlier parts: what was different before the run was last continued."
    if any(same.values()):
        shown = ", ".join(f"{head} {value}" for head, value in same.items() if value)
        note = f"In {'all runs' if len(frame) > 1 else 'this run'}: {shown}. {note}"
    title = f"Runs on {runs.title(data)}"
    return Table(
        "runs", title, frame.drop(columns=[*empty, *same]), note, part.drop(columns=["off_default", "mixed_devices"])
    )


def _run_row(row: dict[str, Any]) -> dict[str, str]:
    row["test_error"] = _error(row["test_error"], row["test_images"])
    row["train_error"] = _error(row["train_error"], row["train_images"])
    commit, version = (row[name] if isinstance(row[name], str) else None for name in ("commit", "version"))
    row["commit"] = program(commit, version)
    for name in ("threads", "seconds"):
        row[name] = None if pd.isna(row[name]) else f"{row[name]:.{1 if name == 'seconds' else 0}f}"
    return {head: MISSING if pd.isna(row[column]) else str(row[column]) for head, column in _COLUMNS.items()}


def _error(value: float, images: float) -> str | None:
    return None if pd.isna(value) else f"{value:.{decimals(images)}f}"


def hyperparameters(runs: Runs, data: str) -> Table:
    """Every key of the finished runs' configs (of all runs if none has finished) with its value or values.

    Keys that have no effect are left out.
    """
    values: dict[str, dict[str, Any]] = {}
    for folder in runs.of(data).shown["folder"]:
        for key, value in _used(describe(runs.configs[folder])).items():
            values.setdefault(key, {})[as_override(value)] = value
    rows = []
    for key, found in values.items():
        ordered = sorted(found, key=lambda words: sort_key(found[words]))
        rows.append(
            {"key": key, "value": ", ".join(ordered), "in these runs": "the same" if len(ordered) == 1 else "differs"}
        )
    rows.sort(key=lambda row: row["in these runs"])
    title = f"Hyperparameters of the runs on {runs.title(data)}"
    note = "Keys are those of the command line; milestones are in the unit of the length."
    differing = sum(row["in these runs"] == "differs" for row in rows)
    return Table("hyperparameters", title, pd.DataFrame(rows), note, shown=differing)


def _used(flat: dict[str, Any]) -> dict[str, Any]:
    """The keys that have an effect: without those that only others read, and without the unused length."""
    unused: set[str] = set()
    for kinds, name in ((SCHEDULES, "schedule"), (OPTIMIZERS, "optimizer")):
        kind = kinds[flat[f"optim.{name}"]]
        unused |= {key for other in kinds.values() for key in other.keys} - set(kind.keys)
    unused |= {name for name in ("epochs", "iterations") if flat.get(f"optim.{name}") is None}
    return {key: value for key, value in flat.items() if key not in {f"optim.{name}" for name in unused}}


def left_out(runs: Runs, data: str) -> Table | None:
    """The runs that are excluded from all results, and why; None if there are none."""
    unfinished = runs.unfinished
    rows = [
        {
            "folder": str(run["folder"]),
            "state": str(run["state"]),
            "reason": f"after {count(run['epochs'], 'epoch')}{_with_colon(run['reason'])}",
        }
        for run in unfinished[unfinished["data"] == data].to_dict("records")
    ]
    rows += [
        {
            "folder": folder,
            "state": "trained again" if counted.difference else "copy",
            "reason": "; ".join(
                filter(None, [f"the same run as {counted.folder}, which is counted", counted.difference])
            ),
        }
        for folder, counted in runs.copies.items()
    ]
    rows += [{"folder": folder, "state": "unreadable", "reason": reason} for folder, reason in runs.unreadable.items()]
    return Table("left-out", "Runs excluded from the results", pd.DataFrame(rows)) if rows else None


def _with_colon(reason: object) -> str:
    return f": {reason}" if isinstance(reason, str) else ""
