"""Shows the progress of a run: a bar in a terminal, otherwise one line per epoch, and the fields in run.json."""

from __future__ import annotations

import contextlib
import logging
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cifar_resnet.training.loop import Training
from cifar_resnet.training.metrics import Row

log = logging.getLogger("cifar_resnet")
_REFRESH_SECONDS = 0.5
_SHOWN = ("epoch", "train_loss", "val_error", "test_error", "images_per_second")  # of the last epoch
# The pace covers this many epochs and the current one, because the machine's other load varies.
_PACE_EPOCHS = 3


def epoch_line(row: Row, epochs: int) -> str:
    """One epoch as one line of text, without splits that weren't evaluated."""
    parts = [f"epoch {row['epoch']}/{epochs}", f"lr {row['lr']:g}", f"train loss {row['train_loss']:.4f}"]
    for split in ("train", "val", "test"):
        if f"{split}_error" in row:
            parts.append(f"{split} error {row[f'{split}_error']:.2f} %")
    return "  ".join([*parts, f"{row['images_per_second']:.0f} images/s"])


def describe_progress(training: Training) -> dict[str, Any]:
    """The run's progress and recent pace (seconds per step, including evaluation), recorded in run.json."""
    rows, sums = training.history, training.sums
    spent = [row["train_seconds"] + row["test_seconds"] for row in rows]
    earlier = rows[-_PACE_EPOCHS - 1]["step"] if len(rows) > _PACE_EPOCHS else 0
    recent = sum(spent[-_PACE_EPOCHS:]) + sums.seconds
    begun = {"train_loss": sums.means()[0], "images_per_second": sums.images / sums.seconds} if sums.images else {}
    return {
        "step": training.step,
        "steps": training.schedule.total_steps,
        "steps_per_epoch": training.schedule.steps_per_epoch,
        "seconds": round(sum(spent) + sums.seconds, 3),
        "pace": round(recent / max(1, training.step - earlier), 6),
        **{name: rows[-1][name] for name in _SHOWN if rows and name in rows[-1]},
        **{name: round(value, 4) for name, value in begun.items()},
    }


class Bar:
    """A live bar with epoch, loss, error, images/s and time left; does nothing if `shown` is false."""

    def __init__(self, name: str, training: Training, shown: bool) -> None:
        self.training, self.shown = training, shown
        self._last = time.monotonic()
        self._last_step = training.step
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("left"),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._task = self._bar.add_task(name, total=training.schedule.total_steps, completed=training.step, text="")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The run must not fail because its terminal has closed.
        with contextlib.suppress(OSError):
            self._bar.stop()

    def step(self) -> None:
        """Redraws the bar, at most twice per second, because reading the loss stalls a GPU."""
        if not self.shown or time.monotonic() - self._last < _REFRESH_SECONDS:
            return
        training = self.training
        elapsed, steps = time.monotonic() - self._last, training.step - self._last_step
        self._last, self._last_step = time.monotonic(), training.step
        speed = steps * training.config.optim.batch_size / elapsed
        epochs = training.schedule.epochs
        text = f"epoch {training.epoch + 1}/{epochs}"
        if training.sums.images:
            loss, error = training.sums.means()
            text += f"  loss {loss:.3f}  error {error:.1f} %"
        self._bar.update(self._task, completed=training.step, text=f"{text}  {speed:.0f} images/s")
