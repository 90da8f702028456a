"""Draws the figures of one data set's runs, as PNG, SVG and PDF; skips those that the runs have nothing to show in."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from cifar_resnet.report.figures import headline, screen, style
from cifar_resnet.report.figures.screen import Screen
from cifar_resnet.report.figures.specs import FIGURES, SECTIONS
from cifar_resnet.report.figures.subject import Subject
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.run.files import write_atomically

__all__ = ["FIGURES", "SECTIONS", "Drawn", "Screen", "draw_all"]

FOLDER = "figures"
OVERVIEW = "overview.png"
"""The picture for a README or a slide, which no part of the report shows."""


@dataclass(frozen=True)
class Drawn:
    """A figure that was written.

    Attributes:
        name: stem of its files, <out>/figures/<name>.png, .svg and .pdf.
        caption: one or two sentences of plain text.
        section: the part of the report that shows it, one of SECTIONS.
        screen: the figure for the page; None if no page was asked for.
    """

    name: str
    caption: str
    section: str
    screen: Screen | None = None

    @property
    def png(self) -> str:
        """The PNG file, relative to the report's folder."""
        return f"{FOLDER}/{self.name}.png"

    @property
    def pdf(self) -> str:
        """The PDF file, relative to the report's folder."""
        return f"{FOLDER}/{self.name}.pdf"


def draw_all(runs: Runs, data: str, out: Path, for_page: bool = True) -> list[Drawn]:
    """Draws every figure of FIGURES that the runs of a data set have something to show in, into `out`/figures.

    Also writes the overview picture there, if two models have finished runs.

    Args:
        runs: all runs.
        data: the data set.
        out: the report's folder.
        for_page: whether to draw the figures for report.html, too.

    Raises:
        OSError: `out` can't be written to.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    subject = Subject(runs, data)
    written = []
    with style.applied():
        for spec in FIGURES:
            figure = spec.draw(subject) if subject.has_results or not spec.of_finished else None
            for kind in ("png", "svg", "pdf"):
                (folder / f"{spec.name}.{kind}").unlink(missing_ok=True)
            if figure is not None:
                _save(figure, folder / spec.name)
                shown = screen.draw(figure) if for_page else None
                written.append(Drawn(spec.name, spec.caption_of(subject), spec.section, shown))
        (folder / OVERVIEW).unlink(missing_ok=True)
        overview = None
        if subject.has_results:
            overview = headline.draw_overview(subject.main_epochs, subject.final_errors, subject.title)
        if overview is not None:
            style.save_png(overview, folder / OVERVIEW)
    return written


def _save(figure: Figure, stem: Path) -> None:
    # The layout is solved once and each canvas draws once; savefig would repeat both for each format.
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    figure.set_layout_engine("none")
    style.save_png(figure, stem.with_name(f"{stem.name}.png"))
    # Without dates and programs' versions, the same data give the same bytes.
    vectors = io.StringIO()
    FigureCanvasSVG(figure).print_svg(vectors, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    svg = screen.shorten(vectors.getvalue()).encode()
    write_atomically(stem.with_name(f"{stem.name}.svg"), lambda file: file.write(svg))
    unnamed = {"Creator": None, "Producer": None, "CreationDate": None}
    write_atomically(stem.with_name(f"{stem.name}.pdf"), partial(FigureCanvasPdf(figure).print_pdf, metadata=unnamed))
