"""The report of one data set: its text is created once, as Markdown, and rendered as a page and as LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from cifar_resnet.report.claims import JudgedClaim
from cifar_resnet.report.document import latex, page
from cifar_resnet.report.document.text import Text
from cifar_resnet.report.figures import Drawn
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.tables import Table
from cifar_resnet.run.files import write_text


def write(
    runs: Runs,
    data: str,
    tables: Sequence[Table],
    claims: Sequence[JudgedClaim],
    drawn: Sequence[Drawn],
    out: Path,
    formats: Collection[str] = ("md", "html", "tex"),
    stamp: str = "",
    author: str = "",
) -> list[str]:
    """Writes report.md, report.html and report.tex into `out`, according to `formats`; returns the names of the files.

    report.md and report.tex refer to the PNG files in `out`/figures; report.html is self-contained, and with a `stamp`
    it loads a later report. With an `author`, the name and today's date are below the title.

    Raises:
        OSError: `out` can't be written to.
    """
    text = Text(runs, data, tables, claims, drawn, author)
    renders: dict[str, Callable[[], str]] = {
        "md": lambda: text.markdown,
        "html": lambda: page.render(text, stamp),
        "tex": lambda: latex.render(text),
    }
    written = [kind for kind in renders if kind in formats]
    for kind in written:
        write_text(out / f"report.{kind}", renders[kind]())
    return [f"report.{kind}" for kind in written]
