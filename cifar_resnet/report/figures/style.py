"""The look of all figures: colors, dashes, markers, sizes and axes.

- A model has the same color and marker everywhere, those of its entry in `ARCHITECTURES`.
- Shade shows depth: shallow is light and thin, deep is dark and thick, so that print in gray keeps the order.
- Where lines are the settings of an ablation, titles give model and depth, and each setting has a color and a marker.
- Training error is dashed; test error, or validation error in its place, is solid.
- A band extends from the lowest to the highest seed.
- The label of a line, band or mark is its name on the page, made by `name`. On the page, an entry of the legend hides
  everything whose name has all parts of the entry's label.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator, Sequence
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

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.notation import number
from cifar_resnet.report.figures import fonts
from cifar_resnet.run.files import write_atomically

COLUMN, PAGE = 3.4, 7.0
"""Widths in inches of a column on a two-column page, and of a page."""
PANEL_HEIGHT = 2.1
DPI = 200

# For settings, which have no order: colors of Okabe and Ito and of Tol that the color-blind can distinguish.
_SETTINGS_COLORS = ("#000000", "#e69f00", "#56b4e9", "#aa4499", "#332288", "#117733", "#882255", "#d55e00")
REST_COLOR = "#bbbbbb"
_LINE_MARKS = ("", "D", "v", "P", "X", "<", "p", "*")
TRAINING_DASHES = (3.2, 1.4)
NEUTRAL = ("#9a9a9a", "#606060", "#202020")

# Above this ratio of largest to smallest value, a linear axis would flatten the curves at the bottom.
LOG_RATIO = 10.0
# Values closer than this ratio look equal.
FLAT_RATIO = 1.001
# The most lines of a panel that have a color of their own: of more settings, the best ones; the rest are gray.
MAX_LINES = 8
SEPARATOR = " · "

_SETTINGS: dict[str, Any] = {
    "font.family": fonts.USUAL,
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
    # Keep text as text in SVG: small, searchable and accessible to screen readers.
    "svg.fonttype": "none",
    # The ids in an SVG are derived from its contents, so the same data give the same bytes.
    "svg.hashsalt": "cifar-resnet",
}


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Applies the style while figures are drawn and saved."""
    settings: Any = {**sns.axes_style("whitegrid"), **_SETTINGS}
    with mpl.rc_context(settings):
        yield


def name(*parts: object) -> str:
    """What a line, band or mark is called on the page, from its parts; empty ones are dropped.

    >>> name("resnet", "56 layers", "")
    'resnet · 56 layers'
    """
    return SEPARATOR.join(str(part) for part in parts if part)


def shades(model: str | None, count: int) -> list[str]:
    """`count` colors of a model from light to dark; the middle one if `count` is 1. None: gray."""
    triple = NEUTRAL if model is None else ARCHITECTURES[model].shades
    if count == 1:
        return [triple[1]]
    return [to_hex(color) for color in sns.blend_palette(triple, count)]


def color(model: str) -> str:
    """The model's color where the shade doesn't show depth."""
    return shades(model, 1)[0]


def model_mark(model: str) -> str:
    """The model's marker."""
    return ARCHITECTURES[model].marker


def setting_colors(count: int) -> list[str]:
    """Colors of up to `MAX_LINES` settings."""
    return list(_SETTINGS_COLORS[:count])


def line_styles(model: str | None, count: int) -> list[dict[str, Any]]:
    """Line styles of a model from the first depth to the last: color, width and, from four lines on, markers."""
    return styles_of(shades(model, count))


def styles_of(colors: Sequence[str]) -> list[dict[str, Any]]:
    """Line styles in these colors."""
    count = len(colors)
    widths = np.linspace(1.0, 1.9, count) if count > 1 else [1.4]
    styles = []
    for index, (shade, width) in enumerate(zip(colors, widths, strict=True)):
        # Thin lines are above thick ones, so that both can be seen where they coincide.
        style: dict[str, Any] = {"color": shade, "linewidth": float(width), "zorder": 3 - index / count}
        if count > 3 and (mark := _LINE_MARKS[index % len(_LINE_MARKS)]):
            style |= {"marker": mark, "markersize": 3.5, "markeredgecolor": "white", "markeredgewidth": 0.4}
        styles.append(style)
    return styles


def mark_every(points: int, index: int) -> tuple[int, int]:
    """Where a line with this many points has its markers: about six, shifted against other lines'."""
    step = max(1, points // 6)
    return (index * step // MAX_LINES) % step, step


def figure_of(
    rows: int, columns: int, *, height: float = PANEL_HEIGHT, sharey: bool | Literal["row"] = True
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with rows × columns of panels: as wide as a column for one panel, as a page from three on."""
    width = {1: COLUMN, 2: 5.2}.get(columns, max(PAGE, 1.5 * columns))
    figure = Figure(
        figsize=(width, height * rows + 0.55), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06), dpi=DPI
    )
    panels = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    return figure, [list(row) for row in panels]


def legend(figure: Figure, handles: Sequence[Artist], columns: int | None = None) -> None:
    """A legend below the figure, in as many columns as its longest label allows."""
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
    # Columns are filled one after the other. Make the figure higher by the highest one, to keep the panels' height.
    lines = [len(str(handle.get_label()).splitlines()) for handle in handles]
    highest = max(sum(column) for column in np.array_split(lines, ncols))
    figure.set_figheight(figure.get_figheight() + 0.16 * (highest - 1))


def line_handle(label: str, **style: Any) -> Line2D:
    """A legend entry for a line."""
    return Line2D([], [], label=label, **style)


def band_handle(label: str, color: str = NEUTRAL[0], alpha: float = 0.3) -> Patch:
    """A legend entry for a band."""
    return Patch(facecolor=color, alpha=alpha, linewidth=0, label=label)


def scale(panels: Sequence[Axes], values: pd.Series[float], axis: str = "y") -> str:
    """Makes the axis logarithmic if the values span more than a decade.

    Values that are almost equal are drawn as a flat line.

    Returns:
        What to add to the axis label: "", ", log scale" or ", log scale, 0 at the edge".
    """
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    if positive.empty or positive.max() / positive.min() < LOG_RATIO:
        if len(positive) == len(values) > 1 and positive.max() / positive.min() < FLAT_RATIO:
            # Otherwise, rounding errors would fill the panel.
            for axes in panels:
                axes.set(**{f"{axis}lim": (float(positive.min()) / 2, float(positive.max()) * 1.5)})
        return ""
    low, high = float(positive.min()) / 1.4, float(positive.max()) * 1.3
    for axes in panels:
        # Zero has no place on a logarithmic axis; it is drawn at the edge.
        axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
        side = axes.yaxis if axis == "y" else axes.xaxis
        decades = np.log10(high / low)
        side.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.5 else (1,)))
        side.set_major_formatter(FuncFormatter(plain_number))
        side.set_minor_formatter(NullFormatter())
        side.set_minor_locator(NullLocator())
    return ", log scale, 0 at the edge" if (values == 0).any() else ", log scale"


def on_axis(values: pd.Series[float], axes: Axes, axis: str = "y") -> pd.Series[float]:
    """The values, with zeros moved to the edge of a logarithmic axis."""
    if (axes.get_yscale() if axis == "y" else axes.get_xscale()) != "log":
        return values
    return values.clip(lower=(axes.get_ylim() if axis == "y" else axes.get_xlim())[0])


def plain_number(value: float, _: object = None) -> str:
    """A tick's label: 0.05, 20, 10⁻⁶; a short one, so that 100,000 has a power of ten, too."""
    return number(value, largest=1e5)


def integer_ticks(axes: Axes, bins: int = 6) -> None:
    """Integer ticks, for epochs or layers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=bins))


def depth_ticks(axes: Axes, depths: Sequence[int]) -> None:
    """One tick per depth if there is room, else round numbers."""
    if len(depths) <= 5 and (len(depths) == 1 or min(np.diff(depths)) > 0.08 * (depths[-1] - depths[0])):
        axes.xaxis.set_major_locator(FixedLocator(list(depths)))
    else:
        integer_ticks(axes)


def save_png(figure: Figure, path: Path) -> None:
    """Writes the figure as PNG, without the version of Matplotlib, so that the same data give the same bytes.

    Raises:
        OSError: `path` can't be written to.
    """
    write_atomically(path, partial(FigureCanvasAgg(figure).print_png, metadata={"Software": None}))
