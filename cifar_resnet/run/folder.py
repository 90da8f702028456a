"""The run folder: its config, its record and its state; the contract between training, sweep and report.

These packages share nothing else.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from cifar_resnet.errors import ConfigError, RunError
from cifar_resnet.run import locks
from cifar_resnet.run.config import typed
from cifar_resnet.run.files import FULL_DISK, digest, open_to_read, overwrite, read_text, write_text
from cifar_resnet.run.identity import config_hash, flatten, identity
from cifar_resnet.run.layout import Layout
from cifar_resnet.run.parsing import parse_config, parse_record
from cifar_resnet.run.states import STATES, State

JOB_VARIABLE = "CIFAR_RESNET_JOB"  # in the environment: the Slurm job that a process belongs to
_Parsed = TypeVar("_Parsed")
# A config has 1 kB, a record with the names of 1,000 classes 20 kB.
_MOST_CONFIG, _MOST_RECORD = 2**16, 2**22


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")  # noqa: TID251


class RunDir(Layout):
    """One run's folder: its config, its record, and the state that follows from its files."""

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes the resolved config."""
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config, text)

    def read_config(self) -> dict[str, Any]:
        """The resolved config as nested dictionaries.

        Raises:
            RunError: config.yaml is missing or unreadable.
        """
        return self._read_config(parse_config)

    def _read_config(self, parse: Callable[[str], _Parsed]) -> _Parsed:
        try:
            return parse(read_text(self.config, _MOST_CONFIG))
        except FileNotFoundError as error:
            raise RunError(f"{self.path} is not a run folder: expected a config.yaml in it") from error
        except ConfigError as error:
            raise RunError(f"{self.config} is not the config of a run: {error}") from error
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise RunError(f"{self.config} can't be read: {error}") from error

    def checked_config(self) -> dict[str, Any]:
        """The resolved config, after the checks that training makes, if run.json records its hash or none.

        Raises:
            RunError: config.yaml is missing, unreadable or invalid, or it was changed after the run began.
        """
        config, own = self._read_config(_check_config)
        recorded = self.recorded("hash")
        if recorded not in (None, own):
            raise RunError(
                f"{self.config} was changed after the run began: its hash is {own}, but run.json has {recorded}; "
                "restore it, or delete the folder"
            )
        # Copied, so that changing one config doesn't change others.
        return {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}

    def recorded(self, key: str) -> Any:
        """What run.json records under this key; None if it doesn't, or if it is damaged, since it will be replaced."""
        try:
            return self.read_status().get(key)
        except RunError:
            return None

    def check_belongs_to(self, config: Mapping[str, Any]) -> None:
        """Raises RunError if the folder contains a run with another identity than this config, or can't be read."""
        wanted = config_hash(config)
        if self.config.exists():
            own = self.checked_config()
            if config_hash(own) != wanted:
                theirs, ours = (flatten(identity(one)) for one in (own, config))
                differing = [key for key in ours if theirs.get(key) != ours[key]]
                keys = ", ".join(f"{key} is {theirs.get(key)} there and {ours[key]} here" for key in differing[:3])
                raise RunError(f"{self.path} contains another run ({keys}); choose another folder, or delete this one")
        elif self.recorded("hash") not in (None, wanted):
            raise RunError(f"{self.path} contains another run, without its config.yaml; delete the folder")

    def claim(self, config: Mapping[str, Any]) -> None:
        """Writes the config, unless the folder belongs to another run; only call it while holding the lock.

        Raises:
            RunError: as `check_belongs_to`.
        """
        self.check_belongs_to(config)
        self.write_config(config)

    def read_status(self) -> dict[str, Any]:
        """The contents of run.json; without it, the run is pending, or interrupted if other files show that it started.

        Raises:
            RunError: run.json is unreadable.
        """
        status = self._read_record()
        if status is not None:
            return status
        if self.metrics.exists() or self.checkpoint.exists():
            return {"state": State.INTERRUPTED.value, "reason": f"its {self.status.name} is missing"}
        return {"state": State.PENDING.value}

    def _read_record(self) -> dict[str, Any] | None:
        try:
            status = dict(parse_record(read_text(self.status, _MOST_RECORD)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.status} can't be read: {error}") from error
        if status.get("state") not in STATES:
            raise RunError(f"{self.status} contains no state: expected one of {', '.join(State)}")
        return status

    def update_status(self, **fields: Any) -> dict[str, Any]:
        """Merges `fields` into run.json atomically and returns the result; a damaged run.json is replaced."""
        try:
            before = self._read_record() or {"state": State.PENDING.value}
        except RunError:
            before = {}
        status = {**before, **fields, "updated": now()}
        text = json.dumps(status, indent=2, ensure_ascii=False) + "\n"
        try:
            write_text(self.status, text)
        except OSError as error:
            if error.errno not in FULL_DISK or not self.status.exists():
                raise
            # Even on a full disk, record why a run failed, by overwriting its old run.json in place.
            overwrite(self.status, text)
        return status

    def recorded_state(self) -> State:
        """The state in run.json, cheap enough for a display; `running` without a process is `interrupted`.

        A finished run remains finished, however the process ended that was to add something to it. To act on a state
        or to report it, use `verified_state`.

        Raises:
            RunError: run.json is unreadable.
        """
        status = self.read_status()
        if status["state"] == State.RUNNING and not self._is_held():
            # Read again: its process may meanwhile have recorded its end and released the lock.
            status = self.read_status()
            status = {**status, "state": State.INTERRUPTED} if status["state"] == State.RUNNING else status
        state = State(status["state"])
        return State.FINISHED if state in (State.INTERRUPTED, State.FAILED) and self._is_whole(status) else state

    def _is_held(self) -> bool:
        try:
            return self.is_locked()
        except OSError:
            # On a read-only disk or in another user's folder, the lock can't be tested, but its process can.
            status = self.read_status()
            return not locks.is_gone(status.get("host"), status.get("pid"))

    def verified_state(self, config: Mapping[str, Any] | None = None) -> State:
        """The state that sweep, worker and report act on; see `verify`."""
        return self.verify(config)[0]

    def verify(self, config: Mapping[str, Any] | None = None) -> tuple[State, str | None]:
        """The verified state and its reason.

        The tables of a finished run must match the digests in its run.json. A run with a damaged run.json or table is
        `interrupted`, because the same command trains its end again.

        Args:
            config: the config of the run that is expected in this folder. With it, a finished run is `interrupted`,
                too, if its checkpoint can give what it lacks: final weights, or diagnostics if the config enables them.

        Raises:
            RunError: the folder can't be taken for a run in any state: its config.yaml is unreadable, invalid, not the
                one that the run began with, or that of another run than `config`.
        """
        if config is not None:
            self.check_belongs_to(config)
        elif self.config.exists():
            self.checked_config()
        try:
            status, state = self.read_status(), self.recorded_state()
        except RunError as error:
            return State.INTERRUPTED, str(error)
        if state is State.FINISHED:
            damaged = self._damaged_table(status)
            if damaged is not None:
                fault = "not the one that it finished with" if damaged.exists() else "missing"
                return State.INTERRUPTED, f"its {damaged.name} is {fault}"
            lacking = None if config is None else self.lacking(config)
            if lacking is not None:
                return State.INTERRUPTED, f"its {lacking} are still to be added"
        return state, status.get("reason")

    def has_results(self) -> bool:
        """Whether the run finished with its current tables, even if diagnostics are being added to it now."""
        try:
            status = self.read_status()
        except RunError:
            return False
        return self._is_whole(status)

    def _is_whole(self, status: Mapping[str, Any]) -> bool:
        """Whether a run with this run.json finished with its current tables."""
        return "outcome" in status and self._damaged_table(status) is None

    def _damaged_table(self, status: Mapping[str, Any]) -> Path | None:
        """The first table of a finished run that differs from the one that it finished with."""
        for path in (self.metrics, self.diagnostics, self.predictions):
            expected = status.get(f"{path.stem}_digest")
            # Every finished run has metrics. Older runs have no digests of tables that were added later.
            if (expected is not None or path == self.metrics) and expected != digest(path):
                return path
        return None

    def lacking(self, config: Mapping[str, Any]) -> str | None:
        """What the checkpoint of a finished run can give that the run lacks: final weights or diagnostics."""
        if not self.checkpoint.exists():
            return None  # adding anything would require training again
        wanted = (config.get("diagnostics") or {}).get("enabled")
        # A run that was continued without diagnostics has those of its first epochs.
        wants_diagnostics = wanted and _last_epoch(self.diagnostics) != _last_epoch(self.metrics)
        # The weights first, because adding diagnostics writes them as well.
        return "final weights" if self._lacks_weights() else "diagnostics" if wants_diagnostics else None

    def _lacks_weights(self) -> bool:
        """Whether final.pt is missing or not a whole file; only its end is read, so other damage isn't noticed."""
        try:
            with open_to_read(self.final) as file:
                return not zipfile.is_zipfile(file)
        except OSError:
            return True


def _last_epoch(table: Path) -> str:
    """The epoch in a table's last line; empty without a table."""
    try:
        lines = read_text(table).splitlines()
    except OSError:
        return ""
    return lines[-1].partition(",")[0] if lines else ""


@lru_cache(maxsize=16)  # a run's config is checked several times in a row
def _check_config(text: str) -> tuple[dict[str, Any], str]:
    """The validated config and its hash."""
    config = typed(parse_config(text))
    return config, config_hash(config)
