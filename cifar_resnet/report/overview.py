"""What stands above the reports of single data sets: the terminal's summary, and the index of several reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import rich.markup
import rich.table

from cifar_resnet.report import tables
from cifar_resnet.report.load import Runs
from cifar_resnet.report.tables import Table
from cifar_resnet.report.tables import escape as escapes
from cifar_resnet.run.files import write_text
from cifar_resnet.terminal import make_console

# An ablation of more settings than a screen holds is read in the files.
_MOST_ROWS = 30


def print_overview(runs: Runs, folders: Mapping[str, Path]) -> None:
    """Prints final test errors by model and depth, how many runs aren't in them, and where the reports are."""
    console = make_console()
    for data in folders:
        table = tables.grid(runs, data, "test_error")
        if table is not None:
            console.print(f"{data}: {table.title}", style="bold", markup=False)
            console.print(_rich(table))
            if len(table.frame) > _MOST_ROWS:
                console.print(f"and {len(table.frame) - _MOST_ROWS} more rows, in tables/{table.name}", markup=False)
            console.print(table.note, style="dim", markup=False)
        else:
            console.print(f"{data}: no run has finished yet", markup=False)
        console.print()
    counts = Counter(runs.unfinished["state"])
    counts |= Counter({"copied": len(runs.copies), "unreadable": len(runs.unreadable)})
    left_out = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    if left_out:
        console.print(f"not in these numbers: {left_out}; tables/left-out says which and why", markup=False)
    for data, folder in folders.items():
        console.print(f"{data}: {_count(runs, data)} in {folder}/", markup=False, soft_wrap=True)


def _count(runs: Runs, data: str) -> str:
    count = int((runs.finished["data"] == data).sum())
    return f"{count} finished run{'' if count == 1 else 's'}"


def _rich(table: Table) -> rich.table.Table:
    shown = rich.table.Table(box=None, pad_edge=False)
    for head, right in zip(table.frame, table.right_aligned, strict=True):
        shown.add_column(str(head), justify="right" if right else "left", no_wrap=True)
    for row in table.frame.head(_MOST_ROWS).itertuples(index=False, name=None):
        shown.add_row(*(rich.markup.escape(cell) for cell in row))
    return shown


def write_index(runs: Runs, folders: Mapping[str, Path], out: Path, formats: Sequence[str]) -> None:
    """Writes index.md and index.html, which lead to each data set's report."""
    names = {data: folder.relative_to(out).as_posix() for data, folder in folders.items()}
    if "md" in formats:
        lines = [f"- [{escapes.markdown(data)}]({names[data]}/report.md): {_count(runs, data)}" for data in folders]
        _write(out / "index.md", "\n".join(["# Reports", "", *lines, ""]))
    if "html" in formats:
        items = [
            f'<li><a href="{escape(names[data])}/report.html">{escape(data)}</a>: {_count(runs, data)}</li>'
            for data in folders
        ]
        head = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Reports</title>'
        style = "<style>:root { color-scheme: light dark } body { font: 16px sans-serif; margin: 2em }</style>"
        _write(out / "index.html", "\n".join([head + style, "<h1>Reports</h1>", "<ul>", *items, "</ul></html>", ""]))


def _write(path: Path, text: str) -> None:
    write_text(path, text)
