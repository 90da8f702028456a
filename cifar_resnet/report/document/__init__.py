"""The finished report of one data set: its text is made once, as Markdown, and rendered as a page and as LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from cifar_resnet.report.claims import Claim
from cifar_resnet.report.document import html, latex
from cifar_resnet.report.document.text import Text
from cifar_resnet.report.figures import Drawn
from cifar_resnet.report.load import Runs
from cifar_resnet.report.tables import Table
from cifar_resnet.run.files import write_text


def write(
    runs: Runs,
    data: str,
    tables: Sequence[Table],
    claims: Sequence[Claim],
    drawn: Sequence[Drawn],
    out: Path,
    formats: Collection[str] = ("md", "html", "tex"),
) -> list[str]:
    """Writes report.md, report.html and report.tex into `out`, as `formats` asks; returns the names of the files.

    report.md and report.tex refer to the figures' PNG in `out`/figures; report.html holds their SVG and stands alone.

    Raises:
        OSError: a figure can't be read, or `out` can't be written to.
    """
    text = Text(runs, data, tables, claims, drawn)
    renders: dict[str, Callable[[], str]] = {
        "md": lambda: text.markdown,
        "html": lambda: html.render(text, out),
        "tex": lambda: latex.render(text),
    }
    written = [kind for kind in renders if kind in formats]
    for kind in written:
        _write(out / f"report.{kind}", renders[kind]())
    return [f"report.{kind}" for kind in written]


def _write(path: Path, content: str) -> None:
    write_text(path, content)
