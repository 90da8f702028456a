"""Draws the figures of one data set's runs, as PNG, SVG and PDF; skips those that the runs have nothing to show in."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.specs import FIGURES, SECTIONS
from cifar_resnet.report.figures.subject import Subject
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.run.files import write_atomically

__all__ = ["FIGURES", "SECTIONS", "Drawn", "draw_all"]

FOLDER = "figures"


@dataclass(frozen=True)
class Drawn:
    """A figure that was written.

    Attributes:
        name: stem of its files, <out>/figures/<name>.png, .svg and .pdf.
        caption: one or two sentences of plain text.
        section: the part of the report that shows it, one of SECTIONS.
    """

    name: str
    caption: str
    section: str

    @property
    def png(self) -> str:
        """The PNG file, relative to the report's folder."""
        return f"{FOLDER}/{self.name}.png"

    @property
    def svg(self) -> str:
        """The SVG file, relative to the report's folder."""
        return f"{FOLDER}/{self.name}.svg"

    @property
    def pdf(self) -> str:
        """The PDF file, relative to the report's folder."""
        return f"{FOLDER}/{self.name}.pdf"


def draw_all(runs: Runs, data: str, out: Path) -> list[Drawn]:
    """Draws every figure of FIGURES that the runs of a data set have something to show in, into `out`/figures.

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
                written.append(Drawn(spec.name, spec.caption_of(subject), spec.section))
    return written


def _save(figure: Figure, stem: Path) -> None:
    # The layout is solved once and each canvas draws once; savefig would repeat both for each format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    style.save_png(figure, stem.with_name(f"{stem.name}.png"))
    # Without dates and programs' versions, the same data give the same bytes.
    vectors = io.StringIO()
    FigureCanvasSVG(figure).print_svg(vectors, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    # Hundredths of a point are finer than any screen and halve the file. Text is kept: 0.001 may be a tick label.
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), vectors.getvalue()).encode()
    write_atomically(stem.with_name(f"{stem.name}.svg"), lambda file: file.write(svg))
    unnamed = {"Creator": None, "Producer": None, "CreationDate": None}
    write_atomically(stem.with_name(f"{stem.name}.pdf"), partial(FigureCanvasPdf(figure).print_pdf, metadata=unnamed))
