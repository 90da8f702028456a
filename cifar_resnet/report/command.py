"""The command line of `aggregate.py`: reads folders, writes the report's files, prints the comparison."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cifar_resnet.errors import CifarResnetError, ConfigError
from cifar_resnet.run_dir import write_atomically


def main(arguments: list[str] | None = None) -> int:
    """Entry of the program; returns the exit code: 0, or 2 for a user's mistake, which is one line."""
    parser = argparse.ArgumentParser(
        prog="aggregate.py",
        description="Makes tables (CSV, Markdown) and figures (PNG) of the run folders under the given folders.",
        epilog="example: python aggregate.py outputs/",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="folder with run folders under it")
    parser.add_argument("--out", type=Path, help="folder for the report (default: report/ in the first FOLDER)")
    options = parser.parse_args(arguments)
    try:
        aggregate(options.paths, options.out or options.paths[0] / "report")
    except CifarResnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def aggregate(paths: list[Path], out: Path) -> None:
    """Reads all run folders under `paths`, writes the report into `out` and prints the comparison.

    Raises:
        RunError: a path isn't there, or no run is found.
        ConfigError: `out` can't be written to.
    """
    # Imported here so that --help and a mistyped path answer at once.
    from cifar_resnet.report import figures, load, tables

    runs = load.load(paths)
    files = ["runs.csv", "epochs.csv", "comparison.csv", "comparison.md"]
    try:
        out.mkdir(parents=True, exist_ok=True)
        comparison = tables.compare(runs.finished)
        for frame, name in zip((runs.runs, runs.epochs, comparison), files, strict=False):
            _write(out / name, frame.to_csv(index=False))
        _write(out / "comparison.md", tables.markdown(comparison, runs))
        files += figures.draw_all(runs, out)
    except OSError as error:
        raise ConfigError(
            f"--out {out}: can't be written ({error.strerror or error}); give a folder that can"
        ) from error
    tables.print_report(comparison, runs)
    print(f"\nin {out}/:\n  " + "\n  ".join(files))


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
