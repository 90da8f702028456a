"""Writes epochs.csv: the metrics of all runs in one long table, for drawing your own figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from cifar_resnet.report import escaping
from cifar_resnet.report.runs import csv_files
from cifar_resnet.report.runs.collection import NAMES, Runs
from cifar_resnet.run.files import write_atomically
from cifar_resnet.run.folder import RunDir


def write(runs: Runs, path: Path) -> None:
    """Writes the lines of all metrics.csv, each preceded by the columns that identify the run.

    Lines are copied as text, because formatting millions of numbers again would take most of the report's time.
    """
    columns = [str(name) for name in runs.epochs if name not in NAMES]
    write_atomically(path, lambda file: file.writelines(_lines(runs, columns)))


def _lines(runs: Runs, columns: list[str]) -> Iterator[bytes]:
    yield _row([*NAMES, *columns]).encode()
    for row in runs.runs[list(NAMES)].itertuples(index=False, name=None):
        head, _, body = csv_files.read_lines(RunDir(Path(row[-1])).metrics).partition("\n")
        if head.split(",") != columns:
            body = _rearranged(head, body, columns)
        if body:
            names = _row([str(escaping.cell(value)) for value in row]).rstrip("\n") + ","
            yield (names + body[:-1].replace("\n", f"\n{names}") + "\n").encode()


def _rearranged(head: str, body: str, columns: list[str]) -> str:
    """The lines of a file that lacks columns of others, such as one without a hold-out split."""
    rows = csv.DictReader(io.StringIO(f"{head}\n{body}"))
    return "".join(_row([row.get(name) or "" for name in columns]) for row in rows)


def _row(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
