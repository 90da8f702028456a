"""Copies runs to an experiment tracker: `python -m cifar_resnet.export outputs/ --to mlflow`.

Run again, it adds what is new: runs, epochs, states and files. Nothing is copied twice.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cifar_resnet.errors import CifarResnetError, ConfigError, ExitCode, RunError
from cifar_resnet.export.record import Record, read
from cifar_resnet.programs import command, install
from cifar_resnet.run.find import find_runs
from cifar_resnet.status.table import count_runs
from cifar_resnet.terminal import never_fail

TRACKERS = {"mlflow": "cifar_resnet.export.to_mlflow", "wandb": "cifar_resnet.export.to_wandb"}
"""Name of a tracker, of its package and of its extra → the module whose `Tracker` writes to it."""

_PAUSE_SECONDS = 30.0


class Tracker(Protocol):
    """A project of a tracker that runs are copied to."""

    def add(self, record: Record) -> str:
        """Adds what is new of a run; returns what was done: new, updated or unchanged."""

    def add_report(self, folder: Path) -> str:
        """Adds the report in `folder`, if it is there and has changed; returns what was done."""


def main(arguments: list[str] | None = None) -> int:
    """Entry of the program; returns the exit code."""
    never_fail()
    parser = argparse.ArgumentParser(
        prog=command("export"),
        description="Copies the run folders under the given folders to an experiment tracker. Run again, it adds what "
        "is new: runs, epochs, states and files.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="folder with run folders under it")
    parser.add_argument("--to", choices=TRACKERS, required=True, help="the tracker; set up by its own variables")
    parser.add_argument("--project", default="cifar-resnet", help="MLflow's experiment or W&B's project (%(default)s)")
    parser.add_argument("--watch", action="store_true", help=f"repeat every {_PAUSE_SECONDS:g} seconds until Ctrl-C")
    options = parser.parse_args(arguments)
    try:
        find_runs(options.paths)
        tracker = _open(options.to, options.project)
        failed = export(options.paths, tracker)
        if options.watch:
            watch(options.paths, tracker)
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if failed else ExitCode.FINISHED


def _open(name: str, project: str) -> Tracker:
    if importlib.util.find_spec(name) is None:
        raise ConfigError(f"--to {name}: {name} is not installed; expected the extra: {install(name)}")
    tracker: Tracker = importlib.import_module(TRACKERS[name]).Tracker(project)
    return tracker


def export(paths: list[Path], tracker: Tracker) -> int:
    """Copies all runs and reports under `paths`; returns how many runs couldn't be read."""
    done: Counter[str] = Counter()
    runs = find_runs(paths)
    for number, run in enumerate(runs, start=1):
        try:
            record = read(run)
            outcome = "not started" if record is None else tracker.add(record)
        except RunError as error:
            outcome = "unreadable"
            print(f"left out: {error}", file=sys.stderr)
        done[outcome] += 1
        if outcome in ("new", "updated"):
            print(f"[{number}/{len(runs)}] {run.path}: {outcome}")
    for path in paths:
        outcome = tracker.add_report(path / "report")
        if outcome in ("new", "updated"):
            print(f"{path / 'report'}: {outcome}")
    print(f"{count_runs(len(runs))}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(done.items())))
    return done["unreadable"]


def watch(paths: list[Path], tracker: Tracker, pause: Callable[[float], None] = time.sleep) -> None:
    """Adds what is new until Ctrl-C. An error, such as that of a server that is down for a while, is only printed."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            pause(_PAUSE_SECONDS)
            try:
                export(paths, tracker)
            except CifarResnetError as error:
                print(f"trying again in {_PAUSE_SECONDS:g} seconds: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
