"""How every figure looks: colours, dashes, marks, sizes, axes; draws no data.

- A model has one colour and one mark wherever it appears: plain vermilion circles, resnet blue squares, preact green
  triangles (after Okabe and Ito's colours, which stay apart for the colour-blind).
- Depth is the shade: shallow is light and thin, deep is dark and thick, so that grey print keeps the order.
- Where lines are an ablation's settings, titles say the model and the depth, and a setting has a colour and a mark.
- Training is dashed; test, or the split watched in its place, is solid.
- A band goes from the lowest to the highest seed.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from cifar_resnet.run.files import write_atomically

COLUMN, PAGE = 3.4, 7.0
"""Widths in inches: a column of a two-column page, and a page."""
PANEL_HEIGHT = 2.1
DPI = 200

# light, middle and dark of each model
_SHADES: Mapping[str, tuple[str, str, str]] = {
    "plain": ("#ee8f4d", "#c44e00", "#6b2a00"),
    "resnet": ("#5ca6da", "#006099", "#002f54"),
    "preact": ("#59bf9e", "#1f956a", "#004630"),
}
_OTHERS = (("#cf8fc0", "#a3498b", "#54204a"), ("#a3a3a3", "#707070", "#303030"))
# Of settings, which have no order: Okabe and Ito's and Tol's, chosen to stay apart for the colour-blind.
_SETTINGS_COLOURS = ("#000000", "#e69f00", "#56b4e9", "#aa4499", "#332288", "#117733", "#882255", "#d55e00")
REST_COLOUR = "#bbbbbb"
_MODEL_MARKS = {"plain": "o", "resnet": "s", "preact": "^"}
_LINE_MARKS = ("", "D", "v", "P", "X", "<", "p", "*")
TRAINING_DASHES = (3.2, 1.4)
NEUTRAL = ("#9a9a9a", "#606060", "#202020")

# Beyond this ratio of largest to smallest, curves at the bottom would be flattened by those at the top.
LOG_RATIO = 10.0
# Values closer than this ratio are equal to the eye.
FLAT_RATIO = 1.001
# Of more lines than this in a panel, the best are drawn and the rest are a band.
MAX_LINES = 8

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.5,
    "grid.color": "#dddddd",
    "axes.edgecolor": "#666666",
    "xtick.bottom": True,
    "ytick.left": True,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    # Text stays text in SVG: small, searchable, and read out by a screen reader.
    "svg.fonttype": "none",
    # The ids of an SVG come from what it holds, so the same data give the same bytes.
    "svg.hashsalt": "cifar-resnet",
}


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """The style's settings, while figures are made and saved."""
    settings: Any = {**sns.axes_style("whitegrid"), **_SETTINGS}
    with mpl.rc_context(settings):
        yield


def shades(model: str | None, count: int) -> list[str]:
    """`count` colours of a model from light to dark; its middle one where there is one line. None: neutral grey."""
    triple = NEUTRAL if model is None else _SHADES.get(model) or _OTHERS[sum(map(ord, model)) % len(_OTHERS)]
    if count == 1:
        return [triple[1]]
    return [to_hex(colour) for colour in sns.blend_palette(triple, count)]


def colour(model: str) -> str:
    """The model's colour where depth isn't told by shade."""
    return shades(model, 1)[0]


def model_mark(model: str) -> str:
    """The model's mark among points."""
    return _MODEL_MARKS.get(model, "D")


def setting_colours(count: int) -> list[str]:
    """Colours of up to `MAX_LINES` settings."""
    return list(_SETTINGS_COLOURS[:count])


def line_styles(model: str | None, count: int) -> list[dict[str, Any]]:
    """How a model's lines are drawn, from the first depth to the last: colour, width, and marks from four lines on."""
    return styles_of(shades(model, count))


def styles_of(colours: Sequence[str]) -> list[dict[str, Any]]:
    """The same of lines in these colours."""
    count = len(colours)
    widths = np.linspace(1.0, 1.9, count) if count > 1 else [1.4]
    styles = []
    for index, (shade, width) in enumerate(zip(colours, widths, strict=True)):
        # Thin lines lie above thick ones, so that two that coincide are both seen.
        style: dict[str, Any] = {"color": shade, "linewidth": float(width), "zorder": 3 - index / count}
        if count > 3 and (mark := _LINE_MARKS[index % len(_LINE_MARKS)]):
            style |= {"marker": mark, "markersize": 3.5, "markeredgecolor": "white", "markeredgewidth": 0.4}
        styles.append(style)
    return styles


def mark_every(points: int, index: int) -> tuple[int, int]:
    """Where a line of so many points has its marks: about six, and not above its neighbours'."""
    step = max(1, points // 6)
    return (index * step // MAX_LINES) % step, step


def figure_of(
    rows: int, columns: int, *, height: float = PANEL_HEIGHT, sharey: bool | Literal["row"] = True
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows × columns of panels: a column wide for one panel, a page wide from three on."""
    width = {1: COLUMN, 2: 5.2}.get(columns, max(PAGE, 1.5 * columns))
    figure = Figure(
        figsize=(width, height * rows + 0.55), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06), dpi=DPI
    )
    panels = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    return figure, [list(row) for row in panels]


def legend(figure: Figure, handles: Sequence[Artist], columns: int | None = None) -> None:
    """A legend under the figure, in as many columns as its longest label leaves room for."""
    longest_line = int((figure.get_figwidth() - 0.7) / 0.062)
    for handle in handles:
        handle.set_label("\n".join(textwrap.wrap(str(handle.get_label()), longest_line)))
    longest = max(len(line) for handle in handles for line in str(handle.get_label()).splitlines())
    # A character is about 0.058 inches wide at the legend's size; a handle and its gaps take about 0.5 inches.
    room = max(1, int(figure.get_figwidth() / (0.058 * longest + 0.5)))
    ncols = min(columns or len(handles), room, len(handles))
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=ncols,
        frameon=False,
        handlelength=2.4,
        columnspacing=1.4,
    )
    # Columns are filled one after the other; the highest one takes its room under the panels, not from them.
    lines = [len(str(handle.get_label()).splitlines()) for handle in handles]
    highest = max(sum(column) for column in np.array_split(lines, ncols))
    figure.set_figheight(figure.get_figheight() + 0.16 * (highest - 1))


def line_handle(label: str, **style: Any) -> Line2D:
    """A legend's entry of a line."""
    return Line2D([], [], label=label, **style)


def band_handle(label: str, colour: str = NEUTRAL[0], alpha: float = 0.3) -> Patch:
    """A legend's entry of a band."""
    return Patch(facecolor=colour, alpha=alpha, linewidth=0, label=label)


def scale(panels: Sequence[Axes], values: pd.Series[float], axis: str = "y") -> str:
    """Makes the axis logarithmic where values span more than a decade, so that none flattens the others.

    Values that are all but equal are drawn as a flat line.

    Returns:
        What the axis label must add: "", ", log scale" or ", log scale, 0 at the edge".
    """
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    if positive.empty or positive.max() / positive.min() < LOG_RATIO:
        if len(positive) == len(values) > 1 and positive.max() / positive.min() < FLAT_RATIO:
            # Rounding errors would be drawn as large as the panel.
            for axes in panels:
                axes.set(**{f"{axis}lim": (float(positive.min()) / 2, float(positive.max()) * 1.5)})
        return ""
    low, high = float(positive.min()) / 1.4, float(positive.max()) * 1.3
    for axes in panels:
        # A run without a single error has no place on a logarithmic axis; it is drawn at the edge.
        axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
        side = axes.yaxis if axis == "y" else axes.xaxis
        decades = np.log10(high / low)
        side.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.5 else (1,)))
        side.set_major_formatter(FuncFormatter(plain_number))
        side.set_minor_formatter(NullFormatter())
        side.set_minor_locator(NullLocator())
    return ", log scale, 0 at the edge" if (values == 0).any() else ", log scale"


def on_axis(values: pd.Series[float], axes: Axes, axis: str = "y") -> pd.Series[float]:
    """The values, with 0 moved to the edge of a logarithmic axis."""
    if (axes.get_yscale() if axis == "y" else axes.get_xscale()) != "log":
        return values
    return values.clip(lower=(axes.get_ylim() if axis == "y" else axes.get_xlim())[0])


def plain_number(value: float, _: object = None) -> str:
    """A tick's label: 0.05, 20, 1e-06."""
    return f"{value:g}"


def integer_ticks(axes: Axes, bins: int = 6) -> None:
    """Ticks of an axis that counts epochs or layers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=bins))


def depth_ticks(axes: Axes, depths: Sequence[int]) -> None:
    """A tick a depth where they have room, else round numbers."""
    if len(depths) <= 5 and (len(depths) == 1 or min(np.diff(depths)) > 0.08 * (depths[-1] - depths[0])):
        axes.xaxis.set_major_locator(FixedLocator(list(depths)))
    else:
        integer_ticks(axes)


def save_png(figure: Figure, path: Path) -> None:
    """Writes the figure as PNG, without a program's version, so that the same data give the same bytes.

    Raises:
        OSError: `path` can't be written to.
    """
    write_atomically(path, partial(FigureCanvasAgg(figure).print_png, metadata={"Software": None}))
