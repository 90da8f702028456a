"""Removes what former reports left in a folder; all other files in it are the user's and stay."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from html import escape
from pathlib import Path

from cifar_resnet.report import tables
from cifar_resnet.report.runs.collection import NAMES
from cifar_resnet.report.watch import STAMP

# What our files contain, where a user might choose the same name.
_IN_REPORT, _IN_EPOCHS = "How to reproduce", ",".join(NAMES)
_INDEXES = {"index.md": "# Reports\n", "index.html": "<title>Reports</title>"}


def linked_folders(out: Path) -> list[Path]:
    """The folders in `out` with the reports that its index links to: those of several data sets."""
    linked = []
    for name, link in (("index.md", "({}/report.md)"), ("index.html", 'href="{}/report.html"')):
        index = out / name
        if index.is_file() and _contains(index, _INDEXES[name]):
            linked += [
                path for path in out.iterdir() if path.is_dir() and _contains(index, link.format(escape(path.name)))
            ]
    return linked


def remove(out: Path, written: Iterable[str]) -> None:
    """Removes the files of former reports in `out` that this report hasn't written, and folders left empty by that.

    Args:
        out: a report's folder.
        written: the files of this report, relative to `out`.

    Raises:
        OSError: one can't be removed.
    """
    kept = {*written}
    for name, content in _ours(out).items():
        path = out / name
        if name not in kept and path.is_file() and _contains(path, content):
            path.unlink()
    for folder in (out / "tables", out / "figures", out):
        with contextlib.suppress(OSError):  # it isn't empty, or never was there
            folder.rmdir()


def _ours(out: Path) -> dict[str, str]:
    """The names of all files that a report may have → what they contain; empty where the name says enough."""
    names = dict.fromkeys((f"report.{kind}" for kind in ("md", "html", "tex")), _IN_REPORT)
    names |= {"epochs.csv": _IN_EPOCHS, STAMP: "", **_INDEXES}
    names |= {f"tables/{name}.{kind}": "" for name in tables.NAMES for kind in tables.FORMATS}
    if (out / "figures").is_dir():
        # Imported here because Matplotlib takes a second, which a report without figures doesn't need.
        from cifar_resnet.report import figures

        names |= {f"figures/{spec.name}.{kind}": "" for spec in figures.FIGURES for kind in ("png", "svg", "pdf")}
        names[f"{figures.FOLDER}/{figures.OVERVIEW}"] = ""
    return names


def _contains(path: Path, text: str) -> bool:
    return text.encode() in path.read_bytes()
