"""One run of a sweep with its config, and why it may not need training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cifar_resnet.printable import printable
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.run.states import State


@dataclass(frozen=True)
class Assignment:
    """One run as it is handed to a process or a job."""

    run: RunDir
    config: dict[str, Any]  # resolved
    index: int = 0  # position in the sweep, from 0

    @property
    def name(self) -> str:
        """The run's name in messages."""
        return f"{self.run.path.parent.name} {self.run.path.name}"

    def state(self) -> State:
        """The run's verified state with respect to this config."""
        return self.run.verified_state(self.config)

    def reason_to_skip(self) -> str | None:
        """Why the run is not trained (again), for the user; None if it is to be trained."""
        return reason_to_skip(self.run, self.state(), self.config["runtime"]["retry_failed"])


def reason_to_skip(run: RunDir, state: State, retry_failed: bool) -> str | None:
    """Why a run in this state is not trained (again), for the user; None if it is to be trained."""
    if state is State.FINISHED:
        return "finished before; skipped"
    if state is State.DIVERGED:
        return f"diverged before and would diverge again; skipped (delete {run.path} to train it again)"
    if state is State.FAILED and not retry_failed:
        return "failed before; skipped because runtime.retry_failed=false"
    return None


def needs_training(run: RunDir, config: Config) -> bool:
    """Whether the run has steps left to train; a finished run that only lacks weights or diagnostics has none."""
    return reason_to_skip(run, run.verified_state(), config.runtime.retry_failed) is None


def why_interrupted(state: State, reason: str | None) -> str:
    """In parentheses, why a run was interrupted or what is damaged in its folder; empty for other states."""
    return f" ({printable(reason)})" if state is State.INTERRUPTED and reason else ""


def lacking(run: RunDir, state: State, config: Mapping[str, Any]) -> str | None:
    """What a run lacks that has no step left to train: its final weights or its diagnostics; None for other runs.

    Args:
        run: the run.
        state: the result of `verified_state` for this config.
        config: the requested config.
    """
    has_ended = state is State.INTERRUPTED and run.verified_state() is State.FINISHED
    return run.lacking(config) if has_ended else None


def describe_ending(run: RunDir) -> str:
    """How a run ended: its final error, or its state and the reason."""
    status = run.read_status()
    if status["state"] == State.FINISHED:
        key, split = ("val", "validation") if "val_error" in status["outcome"] else ("test", "test")
        why = f"; {status['reason']}" if status.get("reason") else ""
        error = status["outcome"][f"{key}_error"]
        return f"finished: final {split} error {error:.2f} %, {status['seconds']:.0f} s{why}"
    return f"{run.verified_state()}: {status.get('reason')}"
