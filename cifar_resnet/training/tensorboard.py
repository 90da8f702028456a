"""Writes what metrics.csv has for TensorBoard, and nothing more; needs the extra `tensorboard`."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_resnet.training.metrics import Row


def write(folder: Path, history: Sequence[Row]) -> None:
    """Replaces what `folder` has by the whole history: a curve a column, against the epoch.

    Raises:
        OSError: it can't be written to.
    """
    # Written whole, as metrics.csv is, so that a run that was killed and continued has each epoch once.
    shutil.rmtree(folder, ignore_errors=True)
    # Imported here: it takes seconds, and is an extra.
    writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
    for row in history:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, row["epoch"])
    writer.close()
