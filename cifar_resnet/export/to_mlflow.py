"""Writes runs to MLflow's tracking server or database, which `MLFLOW_TRACKING_URI` names."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException

from cifar_resnet.errors import ConfigError
from cifar_resnet.export.record import REPORT, Record, digests, report_key
from cifar_resnet.run.states import State

_STATUS = {
    State.PENDING: "SCHEDULED",
    State.QUEUED: "SCHEDULED",
    State.RUNNING: "RUNNING",
    State.FINISHED: "FINISHED",
    State.FAILED: "FAILED",
    State.DIVERGED: "FAILED",
    State.INTERRUPTED: "KILLED",
}
# Tags that this module reads back: the run's key, the epochs and files that MLflow has of it.
_KEY, _EPOCHS, _HISTORY, _FILES = (f"cifar_resnet.{name}" for name in ("key", "epochs", "history", "files"))
_BATCH, _PARAMS = 1000, 100  # metrics and parameters that MLflow takes at once


class Tracker:
    """An experiment in MLflow, made if it doesn't exist."""

    def __init__(self, project: str) -> None:
        with _one_line():
            self._client = MlflowClient()
            found = self._client.get_experiment_by_name(project)
            self._experiment = found.experiment_id if found else self._client.create_experiment(project)

    def add(self, record: Record) -> str:
        """Adds what is new of a run; returns what was done: new, updated or unchanged."""
        with _one_line():
            known = self._find(record.key)
            if known is not None and known.data.tags[_HISTORY] != record.history(int(known.data.tags[_EPOCHS])):
                # Trained again from the start with another outcome: the old epochs must not mix with the new ones.
                self._client.set_tag(known.info.run_id, _KEY, f"{record.key}, replaced")
                self._client.set_tag(known.info.run_id, "state", "replaced")
                known = None
            run = known or self._create(record)
            tags, run_id = run.data.tags, run.info.run_id
            self._log_params(run, record)
            epochs, wanted = int(tags[_EPOCHS]), {**record.tags, _EPOCHS: str(len(record.rows))}
            if len(record.rows) > epochs:
                self._log_rows(run_id, record, epochs)
            wanted[_HISTORY] = record.history(len(record.rows))
            wanted[_FILES] = self._attach(run_id, json.loads(tags[_FILES]), record.files, record.attachments())
            changed = {name: value for name, value in wanted.items() if tags.get(name) != value}
            if changed:
                self._client.log_batch(run_id, tags=[RunTag(*item) for item in changed.items()])
            status = _STATUS[record.state]
            if run.info.status != status:
                ended = int(1000 * record.times[-1]) if record.times else None
                if RunStatus.is_terminated(RunStatus.from_string(status)):
                    self._client.set_terminated(run_id, status, ended)
                else:
                    self._client.update_run(run_id, status)
            return "new" if known is None else "updated" if changed else "unchanged"

    def add_report(self, folder: Path) -> str:
        """Adds the report in `folder` as a run named `report`, whose files are replaced when they change."""
        files = [folder / name for name in REPORT]
        wanted = digests(files)
        if not wanted:
            return "unchanged"
        with _one_line():
            key = report_key(folder)
            known = self._find(key)
            run = known or self._client.create_run(self._experiment, tags={_KEY: key, _FILES: "{}"}, run_name="report")
            before = run.data.tags[_FILES]
            after = self._attach(run.info.run_id, json.loads(before), files, wanted)
            if after != before:
                self._client.set_tag(run.info.run_id, _FILES, after)
                self._client.set_terminated(run.info.run_id)
            return "new" if known is None else "updated" if after != before else "unchanged"

    def _find(self, key: str) -> Any:
        found = self._client.search_runs([self._experiment], f"tags.`{_KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def _create(self, record: Record) -> Any:
        started = int(1000 * record.started)
        tags = {_KEY: record.key, _EPOCHS: "0", _HISTORY: record.history(0), _FILES: "{}", "group": record.group}
        return self._client.create_run(self._experiment, started, tags, run_name=record.name)

    def _log_params(self, run: Any, record: Record) -> None:
        """Logs the parameters that MLflow doesn't have: all of a new run, and those missing since a killed export."""
        params = [Param(name, str(value)) for name, value in record.params.items() if name not in run.data.params]
        for begin in range(0, len(params), _PARAMS):
            self._client.log_batch(run.info.run_id, params=params[begin : begin + _PARAMS])

    def _log_rows(self, run_id: str, record: Record, epochs: int) -> None:
        metrics = [
            Metric(name, value, int(1000 * seconds), int(row["epoch"]))
            for row, seconds in list(zip(record.rows, record.times, strict=True))[epochs:]
            for name, value in row.items()
            if name != "epoch"
        ]
        for begin in range(0, len(metrics), _BATCH):
            self._client.log_batch(run_id, metrics=metrics[begin : begin + _BATCH])

    def _attach(self, run_id: str, known: dict[str, str], files: list[Path], wanted: dict[str, str]) -> str:
        """Attaches the files that MLflow doesn't have; returns the names and digests of those that it has."""
        for path in files:
            if path.name in wanted and known.get(path.name) != wanted[path.name]:
                self._client.log_artifact(run_id, str(path))
        return json.dumps({**known, **wanted}, sort_keys=True)


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except (MlflowException, OSError) as error:
        raise ConfigError(
            f"--to mlflow: {' '.join(str(error).split())}; MLFLOW_TRACKING_URI names the server"
        ) from error
