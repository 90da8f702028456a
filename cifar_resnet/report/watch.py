"""Builds the report again whenever runs have progressed, and lets the pages that are open in a browser follow."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cifar_resnet.errors import CifarResnetError, RunError
from cifar_resnet.run.files import write_text
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir

PAGE = "report.html"
STAMP = "report.watch.js"
"""Beside the page while watching: the stamp of the latest report. A script is all that a page on a disk can load."""
SECONDS = 5.0
# Runs need the processor more than their report does.
_REST_PER_BUILD = 4.0


def watch(
    paths: Sequence[Path],
    build: Callable[[str], Iterable[Path]],
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Builds the report now and after each progress of the runs under `paths`, until Ctrl-C.

    Args:
        paths: folders with run folders under them.
        build: builds the report with this stamp and returns the folders that its pages are in.
        pause: waits this many seconds.
        clock: the time in seconds.

    Raises:
        CifarResnetError: the first report can't be built; an error in a later one is only printed.
    """
    latest, folders = "", dict[Path, None]()
    try:
        while True:
            begun, stamp = clock(), _stamp(find_runs(list(paths)))
            if stamp != latest:
                try:
                    built = list(build(stamp))
                except CifarResnetError as error:
                    if not latest:
                        raise
                    print(f"the report was not built again: {error}", file=sys.stderr)
                    built = []
                latest = stamp
                for folder in built:
                    write_text(folder / STAMP, f'reportStamp("{stamp}");\n')
                folders |= dict.fromkeys(built)
            pause(max(SECONDS, _REST_PER_BUILD * (clock() - begun)))
    except KeyboardInterrupt:
        pass
    finally:
        for folder in folders:
            _end(folder)


def _stamp(runs: Iterable[RunDir]) -> str:
    """A digest of how far the runs are: their states and their tables of epochs."""
    known = hashlib.sha256()
    for run in runs:
        state, table = "unreadable", None
        with contextlib.suppress(RunError):
            state = str(run.recorded_state())
        with contextlib.suppress(OSError):
            table = run.metrics.stat()
        known.update(repr((str(run.path), state, table and (table.st_size, table.st_mtime_ns))).encode())
    return known.hexdigest()[:16]


def _end(folder: Path) -> None:
    """Makes the page one that watches nothing. Without the stamp, open pages load it a last time."""
    page = folder / PAGE
    with contextlib.suppress(FileNotFoundError):
        text = page.read_text(encoding="utf-8")
        write_text(page, re.sub(r'<body data-stamp="\w+">', "<body>", text, count=1))
    (folder / STAMP).unlink(missing_ok=True)
