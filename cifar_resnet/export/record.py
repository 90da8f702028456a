"""What a tracker gets of one run, read from its folder."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cifar_resnet.errors import RunError
from cifar_resnet.run.files import digest_of_any_size, read_text
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import config_hash, flatten, identity
from cifar_resnet.run.states import State

# Times differ when the same epoch is trained again after an interruption, results don't.
_TIMES = ("train_seconds", "test_seconds", "images_per_second")


REPORT = ("report.html", "report.md")
"""The files of a report that a tracker gets."""


@dataclass(frozen=True)
class Record:
    """One run as a tracker sees it.

    Attributes:
        key: identifies the run in the tracker: its hash and the time when it was first started.
        name: <model>-<depth>/<folder>.
        params: its identity, with keys joined by dots.
        tags: where and with what it was trained, and its state.
        started: when it was first started, in seconds since 1970.
        rows: one per epoch, column → value.
        times: for each row, when it ended, in seconds since 1970, if the run hadn't been interrupted.
        files: what to attach once the run has ended.
    """

    key: str
    name: str
    group: str
    state: State
    params: dict[str, Any]
    tags: dict[str, str]
    started: float
    rows: list[dict[str, float]]
    times: list[float]
    files: list[Path]

    @property
    def is_final(self) -> bool:
        """Whether the run is over, so that its files no longer change."""
        return not self.state.is_open

    def history(self, epochs: int) -> str:
        """A hash of the results of the first `epochs` epochs."""
        results = [{key: value for key, value in row.items() if key not in _TIMES} for row in self.rows[:epochs]]
        return hashlib.blake2b(json.dumps(results, sort_keys=True).encode(), digest_size=8).hexdigest()

    def attachments(self) -> dict[str, str]:
        """Name → digest of each file to attach; none before the run is over."""
        return digests(self.files) if self.is_final else {}


def digests(files: list[Path]) -> dict[str, str]:
    """Name → digest of each file that exists, without links: what they lead to may be private."""
    # The weights of a wide network are larger than what other files of a run may be.
    found = {path.name: digest_of_any_size(path) for path in files if not path.is_symlink()}
    return {name: value for name, value in found.items() if value is not None}


def report_key(folder: Path) -> str:
    """Identifies the report in a folder of this machine."""
    return f"report-{hashlib.blake2b(str(folder.resolve()).encode(), digest_size=4).hexdigest()}"


def read(run: RunDir) -> Record | None:
    """The run's record; None if it hasn't started yet.

    Raises:
        RunError: a file in its folder is damaged.
    """
    config, status = run.checked_config(), run.read_status()
    if "started" not in status:
        return None
    state, reason = run.verify()
    try:
        group = f"{config['model']['name']}-{config['depth']}"
        started = datetime.fromisoformat(status["started"])
        rows = _read_rows(run.metrics)
        seconds, times = started.timestamp(), []
        for row in rows:
            seconds += row["train_seconds"] + row["test_seconds"]
            times.append(seconds)
        tags = {
            "state": state.value,
            "reason": reason or "",
            "hash": config_hash(config),
            "host": status.get("host"),
            "job": status.get("job"),
            "commit": status.get("commit"),
            "device": status.get("device"),
            **{f"version.{name}": version for name, version in status.get("versions", {}).items()},
        }
        return Record(
            key=f"{tags['hash']}-{started:%Y%m%dT%H%M%S}",
            name=f"{group}/{run.path.resolve().name}",
            group=group,
            state=state,
            params=flatten(identity(config)),
            tags={name: str(value) for name, value in tags.items() if value is not None},
            started=started.timestamp(),
            rows=rows,
            times=times,
            files=[run.config, run.status, run.metrics, run.diagnostics, run.predictions, run.final],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{run.path} can't be read: {type(error).__name__}: {error}") from error


def _read_rows(path: Path) -> list[dict[str, float]]:
    try:
        lines = read_text(path).splitlines()
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(lines)]
    except FileNotFoundError:
        return []
    except (OSError, TypeError, ValueError) as error:
        raise RunError(f"{path} can't be read: {error}") from error
