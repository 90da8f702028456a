"""The files of a run folder; every file name of a run is defined only here."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from cifar_resnet.errors import BusyError
from cifar_resnet.run import locks


@dataclass(frozen=True)
class Layout:
    """Where each file of a run is, and the lock that protects them."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config, which determines the run's identity."""
        return self.path / "config.yaml"

    @property
    def status(self) -> Path:
        """State, reason, times, versions, commit, data fingerprint, device, threads, parameters, outcome."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.path / "metrics.csv"

    @property
    def diagnostics(self) -> Path:
        """One row per measured epoch and 3×3 layer, if requested."""
        return self.path / "diagnostics.csv"

    @property
    def predictions(self) -> Path:
        """One row per test image, once finished: its class, the prediction, and the prediction's probability."""
        return self.path / "predictions.csv"

    @property
    def tensorboard(self) -> Path:
        """A folder with the numbers of metrics.csv for TensorBoard, if requested."""
        return self.path / "tensorboard"

    @property
    def checkpoint(self) -> Path:
        """The latest state of training; replaced atomically."""
        return self.path / "checkpoint.pt"

    @property
    def previous_checkpoint(self) -> Path:
        """The previous checkpoint, used if the latest is damaged."""
        return self.path / "checkpoint.previous.pt"

    @property
    def final(self) -> Path:
        """The final weights, once finished."""
        return self.path / "final.pt"

    @property
    def log(self) -> Path:
        """The run's log."""
        return self.path / "run.log"

    def remove_leftovers(self) -> None:
        """Removes the partial files of a killed process; only call it while holding the lock."""
        for path in (self.checkpoint, self.final, self.metrics, self.diagnostics, self.predictions, self.status):
            for left in self.path.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)

    def lock(self, timeout: float = 0) -> contextlib.AbstractContextManager[None]:
        """Locks the run for this process; waits at most `timeout` seconds, then raises BusyError."""
        self.path.mkdir(parents=True, exist_ok=True)
        return locks.hold(self.path, timeout)

    def is_locked(self, timeout: float = 0) -> bool:
        """Whether a process holds the run now, and still holds it after `timeout` seconds."""
        if not locks.file_of(self.path).exists():
            return False
        try:
            with self.lock(timeout):
                return False
        except BusyError:
            return True
