"""The command line of `aggregate.py`: reads run folders, writes the report and prints the main table."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_resnet.errors import CifarResnetError, ConfigError, ExitCode
from cifar_resnet.programs import command, version
from cifar_resnet.run.files import write_text
from cifar_resnet.terminal import never_fail

if TYPE_CHECKING:
    from cifar_resnet.report.runs.collection import Runs
    from cifar_resnet.report.tables import Table

FORMATS = ("md", "html", "tex", "csv")
# Called with what is being done, how much of it is done, and how much there is in all (0: unknown).
Step = Callable[[str, int, int], None]


def main(arguments: list[str] | None = None) -> int:
    """Entry of the program; returns the exit code: 0, or 2 after a user's mistake, which is reported in one line."""
    never_fail()
    parser = argparse.ArgumentParser(
        prog=command("aggregate"),
        description="Creates a report from the run folders under the given folders: tables, figures and text.",
        epilog=f"examples: {command('aggregate')} outputs/ · "
        f"{command('aggregate')} outputs/ --where model=resnet --where optim.lr=0.1,0.05 --format md,csv --out report",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="folder with run folders under it")
    parser.add_argument("--out", type=Path, help="folder for the report (default: report/ in the first FOLDER)")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only use runs whose config has this value; separate several values by commas; may be repeated",
    )
    kinds = ",".join(FORMATS)
    parser.add_argument("--format", default=kinds, metavar=kinds, help="what to write (default: all)")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="build the report again whenever runs progress, until Ctrl-C; a page open in a browser follows",
    )
    parser.add_argument(
        "--smallest",
        default="0.1",
        metavar="POINTS",
        help="smallest difference between errors worth naming, in percentage points (default: 0.1)",
    )
    parser.add_argument("--author", default="", metavar="NAME", help="name under the report's title, with today's date")
    parser.add_argument("--version", action="version", version=version())
    options = parser.parse_args(arguments)
    out = options.out or options.paths[0] / "report"
    try:
        _check_paths(options.paths)
        formats, smallest = _formats(options.format), _points(options.smallest)
        author = " ".join(options.author.split())

        def build(stamp: str = "") -> list[Path]:
            return aggregate(options.paths, out, options.where, formats, stamp, smallest, author)

        if options.watch:
            from cifar_resnet.report import watch

            watch.watch(options.paths, build)
        else:
            build()
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER
    return ExitCode.FINISHED


def _check_paths(paths: list[Path]) -> None:
    for path in paths:
        if "=" in str(path) and not path.exists():
            raise ConfigError(f"{path} is not a folder; to use only the runs with this value: --where {path}")


def _formats(text: str) -> list[str]:
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in FORMATS:
            raise ConfigError(
                f"--format {text}: {name or 'nothing'} is not a format; expected one or more of {','.join(FORMATS)}"
            )
    return wanted


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not 0 <= points <= 100:
        raise ConfigError(f"--smallest {text}: expected a difference from 0 to 100 percentage points, such as 0.1")
    return points


def aggregate(
    paths: Sequence[Path],
    out: Path,
    where: Sequence[str] = (),
    formats: Sequence[str] = FORMATS,
    stamp: str = "",
    smallest: float = 0.1,
    author: str = "",
) -> list[Path]:
    """Reads all run folders under `paths`, writes the report into `out` and prints the main table.

    If there are several data sets, each gets its own folder in `out`. Files of former reports that this one doesn't
    write are removed, because they would be mistaken for its own.

    Args:
        paths: folders with run folders under them.
        out: the report's folder.
        where: filters, `KEY=VALUE`.
        formats: of FORMATS.
        stamp: if not empty, the pages load a later report when there is one (see `watch`).
        smallest: the smallest difference between errors worth naming, in percentage points.
        author: name under the title; empty for a report without author and date.

    Returns:
        The folder of each report.

    Raises:
        RunError: a path doesn't exist, there are no runs, or none matches `where`.
        ConfigError: a filter's key doesn't exist, or `out` can't be written to.
    """
    # Imported here so that --help and a mistyped path are answered at once.
    from cifar_resnet.report import former, overview
    from cifar_resnet.report.runs import load

    with _progress() as step:
        runs = load.load(paths, where, lambda done, count: step("reading runs", done, count))
        runs = replace(runs, smallest=smallest)
        folders = {data: out / data if len(runs.datasets) > 1 else out for data in runs.datasets}
        try:
            earlier = former.linked_folders(out)
            for data, folder in folders.items():
                former.remove(folder, _write_report(runs.of(data), data, folder, formats, step, stamp, author))
            if len(folders) > 1:
                former.remove(out, overview.write_index(runs, folders, out, formats))
            for folder in {*earlier} - {*folders.values()}:
                former.remove(folder, [])
        except OSError as error:
            raise ConfigError(
                f"--out {out}: can't be written ({error.strerror or error}); choose another folder"
            ) from error
    overview.print_overview(runs, folders)
    return list(folders.values())


def _write_report(
    runs: Runs, data: str, out: Path, formats: Sequence[str], step: Step, stamp: str, author: str
) -> list[str]:
    """Writes the report of a data set; returns the names of its files, relative to `out`."""
    from cifar_resnet.report import tables

    step(f"{data}: tables", 0, 0)
    made = write_tables(runs, data, out, formats)
    written = [f"tables/{table.name}.{kind}" for table in made for kind in tables.FORMATS if kind in formats]
    written += ["epochs.csv"] if "csv" in formats else []
    documents = [name for name in formats if name != "csv"]
    if not documents:
        return written
    from cifar_resnet.report import claims, document, figures, watch

    step(f"{data}: figures", 0, 0)
    drawn = figures.draw_all(runs, data, out, "html" in documents)
    step(f"{data}: report", 0, 0)
    written += document.write(runs, data, made, claims.judge(runs, data), drawn, out, documents, stamp, author)
    # `draw_all` removes the figures that it doesn't draw. While watching, open pages look for the stamp.
    written += [f"{figures.FOLDER}/{path.name}" for path in (out / figures.FOLDER).iterdir()]
    return [*written, watch.STAMP] if stamp else written


def write_tables(runs: Runs, data: str, out: Path, formats: Sequence[str]) -> list[Table]:
    """Writes all tables of a data set into `out`/tables and, for CSV, `out`/epochs.csv; returns the tables.

    Raises:
        OSError: `out` can't be written to.
    """
    from cifar_resnet.report import epochs, tables

    (out / "tables").mkdir(parents=True, exist_ok=True)
    made = tables.all_tables(runs, data)
    for table in made:
        for kind in tables.FORMATS:
            if kind in formats:
                write_text(out / "tables" / f"{table.name}.{kind}", _render(table, kind))
    if "csv" in formats:
        epochs.write(runs, out / "epochs.csv")
    return made


def _render(table: Table, name: str) -> str:
    if name == "csv":
        return table.to_csv()
    if name == "tex":
        return table.to_latex()
    return f"# {table.title}\n\n{table.to_markdown()}" + (f"\n{table.note}\n" if table.note else "")


def _progress() -> AbstractContextManager[Step]:
    """A progress bar on a terminal's standard error after one second; nothing where that isn't a terminal."""
    if not sys.stderr.isatty():
        return nullcontext(lambda words, done, count: None)
    from cifar_resnet.report.progress_bar import Bar

    return Bar()
