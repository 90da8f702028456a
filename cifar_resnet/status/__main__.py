"""Shows the state of every run under some folders.

Only run folders are read, so it works from any terminal and machine that can see them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
import time
from pathlib import Path

from cifar_resnet.errors import CifarResnetError, ExitCode, RunError
from cifar_resnet.programs import command
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.status.live import LiveTable
from cifar_resnet.status.names import true_name
from cifar_resnet.status.table import Row, make_table, read_row
from cifar_resnet.terminal import make_console, never_fail


def read(paths: list[Path]) -> list[Row]:
    """One row per run folder under the paths."""
    return [_read_one(run) for run in find_runs(paths)]


def _read_one(run: RunDir) -> Row:
    try:
        config = run.checked_config()
        return dataclasses.replace(read_row(run, int(config["depth"])), true_name=true_name(run.path, config))
    except RunError as error:
        return Row(run, State.FAILED, reason=str(error))


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the program; returns the exit code."""
    never_fail()
    parser = argparse.ArgumentParser(prog=command("status"), description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="folder that contains run folders")
    parser.add_argument("--watch", action="store_true", help="refresh the table once a second until Ctrl-C")
    options = parser.parse_args(arguments)
    try:
        rows = read(options.paths)
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER
    if not options.watch:
        console = make_console()
        console.print(make_table(rows, console.width, height=None))
        return ExitCode.FINISHED
    live = LiveTable(lambda console: make_table(read(options.paths), console.width, console.height))
    live.start()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
    live.stop()
    return ExitCode.FINISHED


if __name__ == "__main__":
    sys.exit(main())
