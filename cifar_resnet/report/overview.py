"""What covers all data sets: the summary on the terminal, and the index of their reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import rich.table
from rich.text import Text

from cifar_resnet.printable import printable
from cifar_resnet.report import escaping, tables
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import compared
from cifar_resnet.report.tables import Table
from cifar_resnet.report.wording import count
from cifar_resnet.run.files import write_text
from cifar_resnet.terminal import make_console

# More rows than this don't fit on a screen.
_MOST_ROWS = 30


def print_overview(runs: Runs, folders: Mapping[str, Path]) -> None:
    """Prints the final errors by model and depth, how many runs they exclude, and where the reports are.

    Test errors, or validation errors where settings are compared by these.
    """
    console = make_console()
    for data in folders:
        table = tables.grid(runs, data, compared(runs.of(data).finished))
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
    counts.update("trained again" if counted.difference else "copied" for counted in runs.copies.values())
    counts["unreadable"] = len(runs.unreadable)
    left_out = ", ".join(f"{amount} {state}" for state, amount in counts.items() if amount)
    if runs.source.where:
        filters = " ".join(f"--where {one}" for one in runs.source.where)
        console.print(f"{filters} leaves out {runs.source.excluded:,} of {runs.source.found:,} runs", markup=False)
    if left_out:
        console.print(f"excluded from these results: {left_out}; see tables/left-out for the reasons", markup=False)
    for data, folder in folders.items():
        console.print(f"{data}: {_count(runs, data)} in {folder}/", markup=False, soft_wrap=True)


def _count(runs: Runs, data: str) -> str:
    return count(int((runs.finished["data"] == data).sum()), "finished run")


def _rich(table: Table) -> rich.table.Table:
    shown = rich.table.Table(box=None, pad_edge=False)
    for head, right in zip(table.frame, table.right_aligned, strict=True):
        shown.add_column(Text(str(head)), justify="right" if right else "left", no_wrap=True)
    for row in table.frame.head(_MOST_ROWS).itertuples(index=False, name=None):
        shown.add_row(*(Text(printable(cell)) for cell in row))
    return shown


def write_index(runs: Runs, folders: Mapping[str, Path], out: Path, formats: Sequence[str]) -> list[str]:
    """Writes index.md and index.html, which link to the report of each data set; returns those written."""
    names = {data: folder.relative_to(out).as_posix() for data, folder in folders.items()}
    if "md" in formats:
        lines = [f"- [{escaping.markdown(data)}]({names[data]}/report.md): {_count(runs, data)}" for data in folders]
        write_text(out / "index.md", "\n".join(["# Reports", "", *lines, ""]))
    if "html" in formats:
        items = [
            f'<li><a href="{escape(names[data])}/report.html">{escape(data)}</a>: {_count(runs, data)}</li>'
            for data in folders
        ]
        head = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Reports</title>'
        style = "<style>:root { color-scheme: light dark } body { font: 16px sans-serif; margin: 2em }</style>"
        write_text(
            out / "index.html", "\n".join([head + style, "<h1>Reports</h1>", "<ul>", *items, "</ul></html>", ""])
        )
    return [f"index.{kind}" for kind in ("md", "html") if kind in formats]
