"""Writes the values of metrics.csv for TensorBoard; needs the extra `tensorboard`."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_resnet.training.metrics import Row


def write(folder: Path, history: Sequence[Row]) -> None:
    """Replaces the contents of `folder` with the whole history: one curve per column, by epoch.

    Raises:
        OSError: the folder can't be written.
    """
    # Always written completely, like metrics.csv, so that a run that was killed and continued has each epoch once.
    if folder.is_symlink():
        folder.unlink()  # what it leads to isn't the run's
    shutil.rmtree(folder, ignore_errors=True)
    # Imported here because it takes seconds and is optional.
    writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
    for row in history:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, row["epoch"])
    writer.close()
