"""The columns of metrics.csv and the file itself, always written completely from the history."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_resnet.run.files import write_text

Row = dict[str, Any]

_COLUMNS = (
    "epoch",
    "step",
    "lr",
    "train_loss",
    "train_error",
    "val_loss",
    "val_error",
    "test_loss",
    "test_error",
    "train_seconds",
    "test_seconds",
    "images_per_second",
)
_DECIMALS = {"train_seconds": 3, "test_seconds": 3, "images_per_second": 1, "lr": 12}


def columns(holdout: bool) -> tuple[str, ...]:
    """The header of metrics.csv; the val_* columns exist only with a hold-out split."""
    return _COLUMNS if holdout else tuple(name for name in _COLUMNS if not name.startswith("val_"))


def rounded(row: Row) -> Row:
    """The row, rounded to the meaningful digits."""
    return {name: round(x, _DECIMALS.get(name, 6)) if isinstance(x, float) else x for name, x in row.items()}


def outcome(history: Sequence[Row]) -> dict[str, Any]:
    """The headline numbers: the last epoch's, and the best epoch's, chosen on the split watched each epoch."""
    last = history[-1]
    watched = "val_error" if "val_error" in last else "test_error"
    best = min(history, key=lambda row: float(row[watched]))
    final = {name: last[name] for name in last if name.endswith(("_loss", "_error"))}
    return {**final, f"best_{watched}": best[watched], "best_epoch": best["epoch"]}


def write(path: Path, history: Sequence[Row], holdout: bool) -> None:
    """Replaces `path` with the whole history; missing values are left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(holdout), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())
