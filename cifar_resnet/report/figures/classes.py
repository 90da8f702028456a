"""Confusion matrices: one per network, in percent of each class's test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from cifar_resnet.report.figures import fonts, style
from cifar_resnet.report.runs.confusion import Confusion

# The most classes for which there is room for numbers in the cells, and for names at the sides.
_MOST_NUMBERS, _MOST_NAMES = 10, 20
_LONGEST_NAME = 11
_COLORS = colormaps["Blues"].with_extremes(bad="#d0d0d0")


def draw_confusion(found: Sequence[Confusion]) -> Figure | None:
    """One matrix per network, with the images' classes as rows and the predictions as columns.

    The diagonal (correct predictions) is gray, so that colors show only the mistakes.

    Returns:
        None if no run has predictions.
    """
    if not found:
        return None
    models = list(dict.fromkeys(one.model for one in found))
    depths = sorted({one.depth for one in found})
    if len(models) == 1:
        grid = [[(model, depth) for depth in depths] for model in models]
    else:
        # One column per model, as in the other figures.
        grid = [[(model, depth) for model in models] for depth in depths]
    shares = {(one.model, one.depth): _mistakes(one) for one in found}
    highest = max(1.0, max(float(np.nanmax(matrix, initial=0.0)) for matrix in shares.values()))
    rows, columns = len(grid), len(grid[0])
    side = 2.1 if columns > 1 else 2.9
    figure = Figure(figsize=(side * columns + 1.3, (side + 0.2) * rows + 0.75), dpi=style.DPI)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    image = None
    for row, keys in zip(panels, grid, strict=True):
        for axes, key in zip(row, keys, strict=True):
            if key not in shares:
                axes.set_axis_off()
                continue
            image = _matrix(axes, shares[key], highest, columns)
            axes.set_title(f"{key[0]}, {key[1]} layers")
            # The outermost panels that exist, since a grid may have gaps.
            first = next(other for other in keys if other in shares) == key
            last = [line[keys.index(key)] for line in grid if line[keys.index(key)] in shares][-1] == key
            _names(axes, found[0].classes, first, last)
    assert image is not None
    figure.colorbar(
        image, ax=panels, shrink=min(1.0, 0.9 / rows + 0.1), aspect=30, label="share of the class's images (%)"
    )
    return figure


def _mistakes(one: Confusion) -> np.ndarray[Any, Any]:
    shares = one.shares.copy()
    np.fill_diagonal(shares, np.nan)
    return shares


def _matrix(axes: Axes, shares: np.ndarray[Any, Any], highest: float, columns: int) -> AxesImage:
    axes.grid(False)
    image = axes.imshow(shares, cmap=_COLORS, vmin=0.0, vmax=highest, interpolation="nearest")
    if len(shares) <= _MOST_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.5:
                shade = "white" if share > 0.6 * highest else "black"
                size = 6.5 if columns == 1 else 5.5
                axes.text(column, row, str(int(share + 0.5)), ha="center", va="center", color=shade, fontsize=size)
    return image


def _names(axes: Axes, classes: Sequence[str], first: bool, last: bool) -> None:
    """Class names to the left of the first column and below the last row; none if there are too many classes."""
    if len(classes) <= _MOST_NAMES:
        shown = fonts.drawable(classes, _LONGEST_NAME)
        names, places = shown.names, range(len(classes))
        axes.set_yticks(places, names if first else [""] * len(names), fontsize=6.5, fontfamily=shown.fonts)
        # Digits and other short names don't need to be rotated.
        turned = 90 if max(map(len, names)) > 2 else 0
        labels = names if last else [""] * len(names)
        axes.set_xticks(places, labels, fontsize=6.5, fontfamily=shown.fonts, rotation=turned)
    if first:
        axes.set_ylabel("class")
    if last:
        axes.set_xlabel("prediction")
