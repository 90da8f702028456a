"""A figure for the page: drawn for a wide and for a narrow screen, with the values that the page's script needs.

The drawings have no legend, since the page has one of its own. Each panel and everything in it has an id, by which the
script finds it: `p0` is a panel, `p0x` and `p0y` are its axes, `p0a3` is a line, band, mark or text in it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import Collection, PathCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedFormatter, FixedLocator

from cifar_resnet.report.figures import style, swatch

WIDE, NARROW = style.PAGE, 3.6
"""Widths in inches of the two drawings."""
MOST_POINTS = 15_000
"""The most points of all lines of a figure on the page."""
# What a label says of its axis rather than of the values.
_SCALE = re.compile(r" ?\((log scale|axis broken)[^)]*\)$|, (log scale|axis broken)[^)]*")


@dataclass(frozen=True)
class Screen:
    """A figure for the page.

    Attributes:
        wide: SVG for a screen on which panels fit side by side.
        narrow: SVG with the panels one below the other.
        inches: the width of `wide` as drawn, at letters of 7.5 points.
        legend: label and symbol (SVG) of each entry.
        data: the panels, in the form that the page's script reads.
    """

    wide: str
    narrow: str
    inches: float
    legend: Sequence[tuple[str, str]]
    data: dict[str, Any]


def draw(figure: Figure) -> Screen:
    """Draws a figure for the page. This changes the figure, so it comes last, when the figure has its layout."""
    legend, below = [], 0.0
    for drawn in figure.legends[:]:
        legend += [
            (text.get_text().replace("\n", " "), swatch.draw(handle))
            for text, handle in zip(drawn.get_texts(), drawn.legend_handles, strict=True)
            if handle is not None
        ]
        below = max(below, drawn.get_window_extent().y1 / figure.dpi)
        drawn.remove()
    height = figure.get_figheight() - below
    panels = [axes for axes in figure.axes if axes.axison and not hasattr(axes, "_colorbar")]
    step = _thin(panels)
    shapes = [_name(axes, f"p{index}") for index, axes in enumerate(panels)]
    with mpl.rc_context({"path.simplify": False}):
        if figure.get_figwidth() < WIDE and not any(axes.images for axes in panels):
            figure.set_size_inches(WIDE, height * (WIDE / figure.get_figwidth()) ** 0.45)
            figure.set_layout_engine(_layout())
            below = 0.0
        inches = figure.get_figwidth()
        wide, boxes = _svg(figure, panels, below)
        figure.set_layout_engine(_layout())
        _stack(figure, panels, height)
        narrow, narrow_boxes = _svg(figure, panels)
    described = [
        _describe(axes, panels, shape) | {"boxes": [box, other]}
        for axes, shape, box, other in zip(panels, shapes, boxes, narrow_boxes, strict=True)
    ]
    return Screen(wide, narrow, inches, legend, {"panels": described, "step": step})


def _layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)


def _stack(figure: Figure, panels: Sequence[Axes], height: float) -> None:
    """Puts panels that are side by side one below the other, each with its own labels."""
    places = {axes: spec for axes in panels if (spec := axes.get_subplotspec()) is not None}
    columns = max((spec.get_gridspec().ncols for spec in places.values()), default=1)
    rows = max((spec.get_gridspec().nrows for spec in places.values()), default=1)
    if columns > 1:
        for axes, spec in places.items():
            left = [other for other, place in places.items() if place.rowspan == spec.rowspan and other.get_ylabel()]
            below = [other for other, place in places.items() if place.colspan == spec.colspan and other.get_xlabel()]
            if axes.get_shared_y_axes().get_siblings(axes)[1:] or not axes.get_ylabel():
                axes.tick_params(labelleft=True)
                axes.set_ylabel(axes.get_ylabel() or (left[0].get_ylabel() if left else ""))
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(axes.get_xlabel() or (below[-1].get_xlabel() if below else ""))
        for axes in figure.axes:
            if not axes.axison:
                axes.remove()
        grid = GridSpec(len(places), 1, figure=figure)
        for row, axes in enumerate(places):
            axes.set_subplotspec(grid[row])
        height *= len(places) / rows
        if any(axes.images for axes in panels):
            height = 0.95 * NARROW * len(places)
            _name_cells(panels)
    figure.set_size_inches(NARROW, height)


def _name_cells(panels: Sequence[Axes]) -> None:
    """Names the rows and columns of every matrix as those of the outermost ones."""
    for name in ("xaxis", "yaxis"):
        named = [list(getattr(axes, name).get_ticklabels()) for axes in panels]
        model = next((labels for labels in named if any(label.get_text() for label in labels)), None)
        if model is None:
            continue
        texts, first = [label.get_text() for label in model], model[0]
        look = {"fontsize": first.get_fontsize(), "fontfamily": first.get_fontfamily()}
        for axes in panels:
            getattr(axes, name).set_ticks(range(len(texts)), texts, rotation=first.get_rotation(), **look)


def _svg(figure: Figure, panels: Sequence[Axes], below: float = 0.0) -> tuple[str, list[list[float]]]:
    """The drawing, and the left, top, width and height of each panel in its coordinates.

    The lowest `below` inches, where the legend was, are cut off: a new layout takes longer than all the drawing.
    """
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    width, height = 72 * figure.get_figwidth(), 72 * figure.get_figheight()
    cut = f'viewBox="0 0 {width:g} {height - 72 * below:g}"'
    svg = re.sub('width="[^"]*" height="[^"]*" viewBox="[^"]*"', cut, shorten(text.getvalue()), count=1)
    boxes = []
    for axes in panels:
        box = axes.get_position()
        place = (box.x0 * width, (1 - box.y1) * height, box.width * width, box.height * height)
        boxes.append([round(value, 2) for value in place])
    return svg, boxes


def shorten(svg: str) -> str:
    """Rounds to hundredths of a point, finer than any screen; text stays as it is, since 0.001 may be a tick label."""
    return re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), svg)


def _thin(panels: Sequence[Axes]) -> int:
    """Keeps every n-th point of the lines, and their last one, if there are too many points in all; returns n."""
    lines = [line for axes in panels for line in axes.lines]
    step = -(-sum(np.size(line.get_xdata()) for line in lines) // MOST_POINTS)
    for line in lines if step > 1 else []:
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        kept = sorted({*range(0, len(x), step), len(x) - 1}) if len(x) else []
        line.set_data(x[kept], y[kept])
    return max(step, 1)


def _name(axes: Axes, panel: str) -> list[dict[str, Any]]:
    """Gives ids to a panel, to its axes and to everything in it; returns what the script needs to know of each."""
    axes.set_gid(panel)
    axes.xaxis.set_gid(f"{panel}x")
    axes.yaxis.set_gid(f"{panel}y")
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            for part in [part for part in container.get_children() if part is not None]:
                part.set_label(container.get_label())
    shapes = []
    artists = [*axes.lines, *axes.collections, *axes.patches, *axes.texts]
    for index, artist in enumerate(artists):
        artist.set_gid(f"{panel}a{index}")
        moves = _moves(artist, axes)
        shape: dict[str, Any] = {"id": f"{panel}a{index}", "moves": moves}
        label = str(artist.get_label())
        if label and not label.startswith("_"):
            shape["name"] = label
        if isinstance(artist, Text):
            point = artist.xy if isinstance(artist, Annotation) else artist.get_position()
            shape |= {"kind": "text", "at": _numbers(point, axes, "") if moves == "xy" else None}
        elif isinstance(artist, (Line2D, PathCollection)):
            shape["kind"] = "marks"
            if "name" in shape and moves == "xy":
                x, y = artist.get_data() if isinstance(artist, Line2D) else np.asarray(artist.get_offsets()).T
                shape |= {"x": _numbers(x, axes, "x"), "y": _numbers(y, axes, "y")}
        else:
            shape["kind"] = "area"
        shapes.append(shape)
    return shapes


def _moves(artist: Artist, axes: Axes) -> str:
    """Along which axes an artist moves when the panel is zoomed: "xy", "x", "y" or ""."""
    if isinstance(artist, PathCollection):
        transform = artist.get_offset_transform()
    elif isinstance(artist, Annotation):
        return "xy" if artist.xycoords == "data" else ""
    elif isinstance(artist, Patch):
        transform = artist.get_data_transform()
    elif isinstance(artist, (Line2D, Collection, Text)):
        transform = artist.get_transform()
    else:
        return ""
    along = transform.contains_branch_seperately(axes.transData)
    return "".join(name for name, does in zip("xy", along, strict=True) if does)


def _numbers(values: Any, axes: Axes, axis: str) -> list[Any]:
    """Numbers with six digits; None where one is missing. What lies at the edge of a logarithmic axis is zero there."""
    edge = None
    if axis and (axes.get_xscale() if axis == "x" else axes.get_yscale()) == "log":
        edge = (axes.get_xlim() if axis == "x" else axes.get_ylim())[0]
    numbers = [float(value) for value in np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)]
    short = [0 if value == edge else float(f"{value:.6g}") for value in numbers]
    return [(int(value) if value == int(value) else value) if np.isfinite(value) else None for value in short]


def _describe(axes: Axes, panels: Sequence[Axes], shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """Title, labels, limits and scales of a panel, and what is in it."""
    described: dict[str, Any] = {"title": axes.get_title().replace("\n", " "), "shapes": shapes}
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        low, high = axis.get_view_interval()
        low, high = (high, low) if axis.get_inverted() else (low, high)
        label = axis.get_label_text().replace("\n", " ")
        described[name] = {
            "label": _SCALE.sub("", label).strip(),
            "limits": [low, high],
            "scale": axis.get_scale(),
        }
        if isinstance(axis.get_major_locator(), FixedLocator):
            places = [float(place) for place in axis.get_majorticklocs()]
            words = [text.replace("\n", " ") for text in axis.get_major_formatter().format_ticks(places)]
            kind = "ticks" if isinstance(axis.get_major_formatter(), FixedFormatter) else "few"
            described[name][kind] = [list(pair) for pair in zip(places, words, strict=True)]
    if axes.images:
        described["cells"] = _cells(axes, panels)
    return described


def _cells(axes: Axes, panels: Sequence[Axes]) -> dict[str, Any]:
    """A matrix with the names of its rows and columns, which only the outermost panels show."""
    matrix: np.ndarray[Any, Any] = np.ma.filled(np.ma.asarray(axes.images[0].get_array(), dtype=float), np.nan)
    names = []
    for name, size in (("yaxis", matrix.shape[0]), ("xaxis", matrix.shape[1])):
        shown = [[text.get_text() for text in getattr(other, name).get_ticklabels()] for other in panels]
        names.append(next((words for words in shown if len(words) == size and any(words)), list(map(str, range(size)))))
    rows = [_numbers(row, axes, "") for row in matrix]
    return {"rows": names[0], "columns": names[1], "values": rows}
