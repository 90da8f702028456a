"""The comparison of models and depths: the numbers, and their tables for files and the terminal."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from rich.table import Table

from cifar_resnet.report.load import Runs
from cifar_resnet.terminal import make_console

MISSING = "–"
# title of the table → column of the runs it is made from
MEASURES = {
    "Final test error (%), last epoch": "test_error",
    "Final training error (%), last epoch": "train_error",
    "Best epoch's test error (%), chosen on the test set, so optimistic": "best_test_error",
}


def compare(finished: pd.DataFrame) -> pd.DataFrame:
    """One row for each data set, model, setting and depth: n, and mean and standard deviation over seeds.

    The deviation is the sample's (n - 1), and empty for one seed. Errors are in percent.
    """
    names = ["data", "model", "setting", "depth"]
    columns = [
        column for column in (*MEASURES.values(), "train_loss", "seconds", "images_per_second") if column in finished
    ]
    groups = finished.groupby(names, sort=False, dropna=False)
    result = groups.agg(
        n=("seed", "size"),
        parameters=("parameters", "first"),
        **{f"{column}_{how}": (column, how) for column in columns for how in ("mean", "std")},
    )
    return result.reset_index()


def cell(mean: float, std: float, n: int) -> str:
    """Mean ± standard deviation with the number of seeds; one seed has no ±.

    >>> cell(6.61, 0.16, 5), cell(8.75, float("nan"), 1)
    ('6.61 ± 0.16 (n=5)', '8.75 (n=1)')
    """
    if pd.isna(mean):
        return MISSING
    return f"{mean:.2f} (n={n})" if n < 2 or pd.isna(std) else f"{mean:.2f} ± {std:.2f} (n={n})"


def grid(comparison: pd.DataFrame, data: str, measure: str) -> tuple[list[str], list[list[str]]] | None:
    """Heads and rows of one table, models and settings down and depths across; None where nothing was measured."""
    part = comparison[comparison["data"] == data]
    if f"{measure}_mean" not in part or part[f"{measure}_mean"].isna().all():
        return None
    depths = sorted(part["depth"].unique())
    has_settings = part["setting"].ne("").any()
    names = (f"{measure}_mean", f"{measure}_std", "n")
    rows = []
    for (model, setting), group in part.groupby(["model", "setting"], sort=False):
        cells = {row["depth"]: cell(*(row[name] for name in names)) for row in group.to_dict("records")}
        rows.append(
            [str(model), *([str(setting)] if has_settings else []), *(cells.get(depth, MISSING) for depth in depths)]
        )
    return ["model", *(["setting"] if has_settings else []), *(f"{depth} layers" for depth in depths)], rows


def _tables(comparison: pd.DataFrame) -> Iterable[tuple[str, str, list[str], list[list[str]]]]:
    for data in comparison["data"].unique():
        for title, measure in MEASURES.items():
            made = grid(comparison, data, measure)
            if made is not None:
                yield data, title, *made


def _left_out(runs: Runs) -> list[tuple[str, str]]:
    """What is not in the numbers, and why."""
    names = []
    for run in runs.unfinished.to_dict("records"):
        reason = f": {run['reason']}" if isinstance(run["reason"], str) else ""
        names.append((str(run["folder"]), f"{run['state']} after {run['epochs']} epochs{reason}"))
    names += [(copy, f"the same run as {run}, counted once") for copy, run in runs.copies.items()]
    return names + [(folder, f"unreadable: {reason}") for folder, reason in runs.unreadable.items()]


def markdown(comparison: pd.DataFrame, runs: Runs) -> str:
    """The tables as a Markdown page."""
    lines = ["# Comparison", "", "Mean ± sample standard deviation over n seeds; one seed has no ±.", ""]
    for data, title, heads, rows in _tables(comparison):
        lines += [f"## {data}: {title}", "", _row(heads), _row("---" for _ in heads)]
        lines += [*(_row(row) for row in rows), ""]
    left_out = _left_out(runs)
    if left_out:
        lines += ["## Not in these numbers", "", *(f"- `{folder}`: {reason}" for folder, reason in left_out), ""]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def print_report(comparison: pd.DataFrame, runs: Runs) -> None:
    """Prints the tables, and what was left out of them."""
    console = make_console()
    for data, title, heads, rows in _tables(comparison):
        table = Table(title=f"{data}: {title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
        for index, head in enumerate(heads):
            numeric = index > heads.index("setting") if "setting" in heads else index > 0
            table.add_column(head, justify="right" if numeric else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    left_out = _left_out(runs)
    if left_out:
        console.print(f"Not in these numbers ({len(left_out)}):", style="bold")
        for folder, reason in left_out:
            console.print(f"  {folder}\n    {reason}", markup=False, soft_wrap=True)
