"""Writes epochs.csv: every run's metrics in one long table, for who draws figures of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from cifar_resnet.report import texts
from cifar_resnet.report.load import NAMES, Runs
from cifar_resnet.run.files import write_atomically
from cifar_resnet.run.folder import RunDir


def write(runs: Runs, path: Path) -> None:
    """Writes the runs' epochs as their metrics.csv have them, with what tells the runs apart in front.

    Lines are put together as text, because formatting millions of numbers anew would take most of the report's time.
    """
    columns = [str(name) for name in runs.epochs if name not in NAMES]
    write_atomically(path, lambda file: file.writelines(_lines(runs, columns)))


def _lines(runs: Runs, columns: list[str]) -> Iterator[bytes]:
    yield _row([*NAMES, *columns]).encode()
    for row in runs.runs[list(NAMES)].itertuples(index=False, name=None):
        head, _, body = texts.read_lines(RunDir(Path(row[-1])).metrics).partition("\n")
        if head.split(",") != columns:
            body = _rearranged(head, body, columns)
        if body:
            names = _row([str(value) for value in row]).rstrip("\n") + ","
            yield (names + body[:-1].replace("\n", f"\n{names}") + "\n").encode()


def _rearranged(head: str, body: str, columns: list[str]) -> str:
    """The lines of a file that has fewer columns than others, such as one without a hold-out split."""
    rows = csv.DictReader(io.StringIO(f"{head}\n{body}"))
    return "".join(_row([row.get(name) or "" for name in columns]) for row in rows)


def _row(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
