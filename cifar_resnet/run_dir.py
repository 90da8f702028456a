"""The run folder: its files, its states and its lock; the contract between training, sweep and report.

Nothing else passes between those rooms, and every file name of a run is written here and nowhere else.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from cifar_resnet import config_text, locks
from cifar_resnet.errors import BusyError, RunError

JOB_VARIABLE = "CIFAR_RESNET_JOB"  # in the environment: the Slurm job that a process belongs to
PARENT_GONE = "the sweep that started it is gone"  # why a run is interrupted that outlived the process above it
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class State(str, Enum):
    """Where a run stands; written to run.json with a reason that a person understands."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    def __str__(self) -> str:
        return self.value

    @property
    def is_open(self) -> bool:
        """Whether the run is not over: it waits, trains, or goes on by the command that began it."""
        return self in (State.PENDING, State.QUEUED, State.RUNNING, State.INTERRUPTED)


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets `write` fill a temporary file and puts it in place of `path` once it is safe on disk."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _named(path, write, file)
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _named(path: Path, write: Callable[[BinaryIO], object], file: BinaryIO) -> None:
    """Calls `write`; says of a full disk which file it was for, and not the temporary one's name."""
    try:
        write(file)
        file.flush()
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def digest(path: Path) -> str | None:
    """16 hexadecimal digits over a file's contents; None where there is no such file."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError:
        return None


@dataclass(frozen=True)
class RunDir:
    """One run's folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config: what the run is."""
        return self.path / "config.yaml"

    @property
    def status(self) -> Path:
        """State, reason, times, versions, commit, data fingerprint, device, threads, parameters, outcome."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """A row an epoch."""
        return self.path / "metrics.csv"

    @property
    def diagnostics(self) -> Path:
        """A row an epoch that was looked at and 3×3 layer, where asked for."""
        return self.path / "diagnostics.csv"

    @property
    def predictions(self) -> Path:
        """A row a test image, once finished: its class, what the network says, and how sure it is."""
        return self.path / "predictions.csv"

    @property
    def tensorboard(self) -> Path:
        """A folder with the numbers of metrics.csv for TensorBoard, where asked for."""
        return self.path / "tensorboard"

    @property
    def checkpoint(self) -> Path:
        """The latest state of training; replaced atomically."""
        return self.path / "checkpoint.pt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before, for when the latest is damaged."""
        return self.path / "checkpoint.previous.pt"

    @property
    def final(self) -> Path:
        """The weights alone, once finished."""
        return self.path / "final.pt"

    @property
    def log(self) -> Path:
        """What the run said."""
        return self.path / "run.log"

    def remove_leftovers(self) -> None:
        """Removes the half-written files of a process that was killed; for the holder of the lock."""
        for path in (self.checkpoint, self.final, self.metrics, self.diagnostics, self.predictions, self.status):
            for left in self.path.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)

    def lock(self, timeout: float = 0) -> contextlib.AbstractContextManager[None]:
        """Holds the run for this process, after waiting at most `timeout` seconds for it; BusyError if in vain."""
        self.path.mkdir(parents=True, exist_ok=True)
        return locks.hold(self.path, timeout)

    def is_locked(self, timeout: float = 0) -> bool:
        """Whether a process holds the run at this moment, and still after `timeout` seconds."""
        if not locks.file_of(self.path).exists():
            return False
        try:
            with self.lock(timeout):
                return False
        except BusyError:
            return True

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes the resolved config."""
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config, lambda file: file.write(text.encode()))

    def read_config(self) -> dict[str, Any]:
        """The resolved config as nested dictionaries.

        Raises:
            RunError: config.yaml is absent or unreadable.
        """
        try:
            config = config_text.parse(self.config.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(f"{self.path} is not a run folder: expected a config.yaml in it") from error
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise RunError(f"{self.config} can't be read: {' '.join(str(error).split())}") from error
        if not isinstance(config, dict):
            raise RunError(f"{self.config} holds no configuration: expected keys and values")
        return config

    def read_status(self) -> dict[str, Any]:
        """run.json; `{"state": "pending"}` where the run hasn't begun.

        Raises:
            RunError: run.json is unreadable.
        """
        try:
            status = json.loads(self.status.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"state": State.PENDING.value}
        except (OSError, ValueError) as error:
            raise RunError(f"{self.status} can't be read: {error}") from error
        if not isinstance(status, dict) or status.get("state") not in set(State):
            raise RunError(f"{self.status} holds no state: expected one of {', '.join(State)}")
        return status

    def update_status(self, **fields: Any) -> dict[str, Any]:
        """Merges `fields` into run.json, atomically, and returns the whole; a damaged run.json is begun anew."""
        try:
            before = self.read_status()
        except RunError:
            before = {}
        status = {**before, **fields, "updated": now()}
        text = json.dumps(status, indent=2, ensure_ascii=False) + "\n"
        try:
            write_atomically(self.status, lambda file: file.write(text.encode()))
        except OSError as error:
            if error.errno not in FULL_DISK or not self.status.exists():
                raise
            # Why a run failed must be said on a full disk, too: its old run.json has the room.
            with self.status.open("r+b") as file:
                file.write(text.encode())
                file.truncate()
        return status

    def state(self) -> State:
        """Where the run stands; `running` with nobody at it is `interrupted`."""
        state = State(self.read_status()["state"])
        if state is State.RUNNING and not self.is_locked():
            # Read again: its process may have written its end, and then freed the lock, since.
            state = State(self.read_status()["state"])
            return State.INTERRUPTED if state is State.RUNNING else state
        return state

    def mended_state(self, config: Mapping[str, Any] | None = None) -> State:
        """The state as a sweep takes it: a run whose run.json or a CSV file is damaged is rebuilt, so `interrupted`.

        A finished run's files are held against the digests in its run.json. With `config`, a finished run that lacks
        the diagnostics asked for there is `interrupted`, too: they are added to it, at both its ends.
        """
        try:
            status, state = self.read_status(), self.state()
        except RunError:
            return State.INTERRUPTED
        whole = state is not State.FINISHED or (self._is_whole(status) and not self._lacks_diagnostics(config))
        return state if whole else State.INTERRUPTED

    def has_results(self) -> bool:
        """Whether the run has come to its end with the tables that it has; diagnostics may be being added to it."""
        try:
            status = self.read_status()
        except RunError:
            return False
        return "outcome" in status and self._is_whole(status)

    def _is_whole(self, status: Mapping[str, Any]) -> bool:
        """Whether the tables of a finished run are those that it finished with."""
        tables = (self.metrics, self.diagnostics, self.predictions)
        known = [status.get(f"{path.stem}_digest") for path in tables]
        # Of the others a run need not have any: there are runs from before there were such tables.
        return known[0] == digest(self.metrics) and all(
            expected is None or expected == digest(path) for path, expected in zip(tables, known, strict=True)
        )

    def _lacks_diagnostics(self, config: Mapping[str, Any] | None) -> bool:
        wanted = ((config or {}).get("diagnostics") or {}).get("enabled", False)
        # Without a checkpoint they would cost a training.
        return bool(wanted) and not self.diagnostics.exists() and self.checkpoint.exists()


def find_runs(paths: list[Path]) -> list[RunDir]:
    """Every run folder under the paths, once, in the order of their names.

    Raises:
        RunError: a path isn't a folder, or there is no run under any.
    """
    found: dict[Path, RunDir] = {}
    for path in paths:
        if not path.is_dir():
            raise RunError(f"{path} is not a folder; expected one with run folders, such as outputs/")
        for config in sorted(path.rglob("config.yaml")):
            # Hydra's own folder of that file, .hydra, is no run, and nor is anything else hidden.
            if not any(part.startswith(".") for part in config.relative_to(path).parts):
                found.setdefault(config.parent.resolve(), RunDir(config.parent))
    if not found:
        named = ", ".join(str(path) for path in paths)
        raise RunError(f"no run folder under {named}; train some first: python train.py -m sweeps=demo")
    return list(found.values())
