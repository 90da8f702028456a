"""The report's tables, each a `Table` that can be written as CSV, Markdown and LaTeX."""

from __future__ import annotations

from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.tables.beside import beside_published
from cifar_resnet.report.tables.classes import class_errors
from cifar_resnet.report.tables.differences import ablation, comparison
from cifar_resnet.report.tables.provenance import hyperparameters, left_out, runs_table
from cifar_resnet.report.tables.results import GRIDS, cost, grid, main
from cifar_resnet.report.tables.search import search
from cifar_resnet.report.tables.table import MISSING, Table

__all__ = [
    "FORMATS",
    "GRIDS",
    "MISSING",
    "NAMES",
    "Table",
    "ablation",
    "all_tables",
    "beside_published",
    "class_errors",
    "comparison",
    "cost",
    "grid",
    "hyperparameters",
    "left_out",
    "main",
    "runs_table",
    "search",
]

FORMATS = ("csv", "md", "tex")
"""The kinds of files that each table can be written to."""

NAMES = (
    "main",
    "published",
    "cost",
    *(name for name, _, _ in GRIDS.values()),
    "comparison",
    "ablation",
    "search",
    "class-errors",
    "hyperparameters",
    "runs",
    "left-out",
)
"""The names of all tables that a report may have."""


def all_tables(runs: Runs, data: str) -> list[Table]:
    """Every table that the runs have something to show in, in the order of the report."""
    made = [
        main(runs, data),
        beside_published(runs, data),
        cost(runs, data),
        *(grid(runs, data, measure) for measure in GRIDS),
        comparison(runs, data),
        ablation(runs, data),
        search(runs, data),
        class_errors(runs, data),
        hyperparameters(runs, data),
        runs_table(runs, data),
        left_out(runs, data),
    ]
    return [table for table in made if table is not None]
