"""The command line of `aggregate.py`: reads folders, writes the report's files, prints the main table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_resnet import __version__
from cifar_resnet.errors import CifarResnetError, ConfigError, ExitCode
from cifar_resnet.run.files import write_text

if TYPE_CHECKING:
    from cifar_resnet.report.load import Runs
    from cifar_resnet.report.tables import Table

FORMATS = ("md", "html", "tex", "csv")
# Called with what is being done, how far it is, and of how much.
Step = Callable[[str, int, int], None]


def main(arguments: list[str] | None = None) -> int:
    """Entry of the program; returns the exit code: 0, or 2 for a user's mistake, which is one line."""
    parser = argparse.ArgumentParser(
        prog="aggregate.py",
        description="Makes a report of the run folders under the given folders: tables, figures and answers.",
        epilog="examples: python aggregate.py outputs/ · "
        "python aggregate.py outputs/ --where model=resnet --where optim.lr=0.1,0.05 --format md,csv --out report",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="folder with run folders under it")
    parser.add_argument("--out", type=Path, help="folder for the report (default: report/ in the first FOLDER)")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="take the runs whose config says so; several values by comma; may be given several times",
    )
    kinds = ",".join(FORMATS)
    parser.add_argument("--format", default=kinds, metavar=kinds, help="what to write (default: all)")
    parser.add_argument("--version", action="version", version=f"cifar-resnet {__version__}")
    options = parser.parse_args(arguments)
    try:
        aggregate(options.paths, options.out or options.paths[0] / "report", options.where, _formats(options.format))
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.USER
    return ExitCode.FINISHED


def _formats(text: str) -> list[str]:
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in FORMATS:
            raise ConfigError(f"--format {text}: {name or 'nothing'} is none; expected some of {','.join(FORMATS)}")
    return wanted


def aggregate(paths: Sequence[Path], out: Path, where: Sequence[str] = (), formats: Sequence[str] = FORMATS) -> None:
    """Reads all run folders under `paths`, writes the report into `out` and prints the main table.

    Of several data sets, each has a folder of its own in `out`.

    Raises:
        RunError: a path isn't there, no run is found, or none fits `where`.
        ConfigError: a filter is of no key, or `out` can't be written to.
    """
    # Imported here so that --help and a mistyped path answer at once.
    from cifar_resnet.report import load, overview

    with _progress() as step:
        runs = load.load(paths, where, lambda done, count: step("reading runs", done, count))
        folders = {data: out / data if len(runs.datasets) > 1 else out for data in runs.datasets}
        try:
            for data, folder in folders.items():
                _write_report(runs.of(data), data, folder, formats, step)
            if len(folders) > 1:
                overview.write_index(runs, folders, out, formats)
        except OSError as error:
            raise ConfigError(
                f"--out {out}: can't be written ({error.strerror or error}); give a folder that can"
            ) from error
    overview.print_overview(runs, folders)


def _write_report(runs: Runs, data: str, out: Path, formats: Sequence[str], step: Step) -> None:
    step(f"{data}: tables", 0, 0)
    made = write_tables(runs, data, out, formats)
    documents = [name for name in formats if name != "csv"]
    if not documents:
        return
    from cifar_resnet.report import claims, document, figures

    step(f"{data}: figures", 0, 0)
    drawn = figures.draw_all(runs, data, out)
    step(f"{data}: report", 0, 0)
    document.write(runs, data, made, claims.judge(runs, data), drawn, out, documents)


def write_tables(runs: Runs, data: str, out: Path, formats: Sequence[str]) -> list[Table]:
    """Writes all tables of a data set into `out`/tables, and `out`/epochs.csv where CSV is asked for; the tables.

    Raises:
        OSError: `out` can't be written to.
    """
    from cifar_resnet.report import epochs, tables

    (out / "tables").mkdir(parents=True, exist_ok=True)
    made = tables.all_tables(runs, data)
    for table in made:
        for kind in ("csv", "md", "tex"):
            if kind in formats:
                _write(out / "tables" / f"{table.name}.{kind}", _render(table, kind))
    for name in set(tables.NAMES) - {table.name for table in made}:
        for kind in ("csv", "md", "tex"):
            # What an earlier report had and this one hasn't would be taken for a part of it.
            (out / "tables" / f"{name}.{kind}").unlink(missing_ok=True)
    if "csv" in formats:
        epochs.write(runs, out / "epochs.csv")
    return made


def _render(table: Table, name: str) -> str:
    if name == "csv":
        return table.to_csv()
    if name == "tex":
        return table.to_latex()
    return f"# {table.title}\n\n{table.to_markdown()}" + (f"\n{table.note}\n" if table.note else "")


def _write(path: Path, text: str) -> None:
    write_text(path, text)


def _progress() -> AbstractContextManager[Step]:
    """A bar on a terminal's standard error, for what takes over a second; nothing elsewhere."""
    if not sys.stderr.isatty():
        return nullcontext(lambda words, done, count: None)
    from cifar_resnet.report.progress import Bar

    return Bar()
