"""Confusion matrices: one per network, in percent of each class's test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifar_resnet.report.figures import fonts, style
from cifar_resnet.report.runs.confusion import Confusion
from cifar_resnet.report.runs.groups import chance_error

# The most classes for which there is room for numbers in the cells, and for names at the sides.
_MOST_NUMBERS, _MOST_NAMES = 10, 20
_LONGEST_NAME = 11
# A network that makes no mistake as often as this, in percent of a class's images and in images, shows only noise.
_LEAST_SHARE, _LEAST_IMAGES = 2.0, 5
# Mistakes as frequent as this share of what guessing makes are those of a network that learned nothing.
_GUESSING = 0.9
_COLORS = colormaps["Blues"].with_extremes(bad="#d0d0d0")


def worth_showing(found: Sequence[Confusion]) -> list[Confusion]:
    """The networks that learned something and make some mistake often, so that their matrices show a pattern."""
    return [one for one in found if not why_hidden(one)]


def why_hidden(one: Confusion) -> str:
    """Why a network's matrix isn't `worth_showing`, to complete "not shown, with …"; empty if it is.

    >>> why_hidden(Confusion("resnet", 20, ["cat", "dog"], [np.array([[98, 2], [4, 96]])]))
    'no mistake made at least 5 times and on 2 % of the images of a class'
    """
    counts = one.counts.copy()
    wrong = 100.0 * (1 - float(np.trace(counts)) / float(counts.sum()))
    if wrong >= _GUESSING * chance_error(len(counts)):
        return "an error near chance"
    np.fill_diagonal(counts, 0)
    if np.any((counts >= _LEAST_IMAGES) & (np.nan_to_num(one.shares) >= _LEAST_SHARE)):
        return ""
    return f"no mistake made at least {_LEAST_IMAGES} times and on {_LEAST_SHARE:g} % of the images of a class"


def name_largest(found: Sequence[Confusion], most: int = 3) -> str:
    """The most frequent mistakes in words, with the mean share over the networks.

    >>> one = Confusion("resnet", 20, ["cat", "dog"], [np.array([[90, 10], [4, 96]])])
    >>> name_largest([one])
    'cat taken for dog (10 %), dog taken for cat (4 %)'
    """
    shares = np.mean([np.nan_to_num(_mistakes(one)) for one in found], axis=0)
    order = np.argsort(-shares, axis=None, kind="stable")[:most]
    cells = [np.unravel_index(place, shares.shape) for place in order if shares.flat[place] > 0]
    classes = found[0].classes
    return ", ".join(
        f"{classes[row]} taken for {classes[column]} ({shares[row, column]:.0f} %)" for row, column in cells
    )


def draw_confusion(found: Sequence[Confusion]) -> Figure | None:
    """One matrix per network, with the images' classes as rows and the predictions as columns.

    The diagonal (correct predictions) is gray, so that colors show only the mistakes. The title gives the largest
    value of each matrix.

    Returns:
        None if no network has a matrix `worth_showing`.
    """
    found = worth_showing(found)
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
    rows, columns = len(grid), len(grid[0])
    side = 2.1 if columns > 1 else 2.9
    figure = Figure(figsize=(side * columns + 0.7, (side + 0.35) * rows + 0.75), dpi=style.DPI)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for row, keys in zip(panels, grid, strict=True):
        for axes, key in zip(row, keys, strict=True):
            if key not in shares:
                axes.set_axis_off()
                continue
            highest = float(np.nanmax(shares[key]))
            _matrix(axes, shares[key], highest, columns)
            axes.set_title(f"{key[0]}, {key[1]} layers\n(largest: {highest:.0f} %)")
            # The outermost panels that exist, since a grid may have gaps.
            first = next(other for other in keys if other in shares) == key
            last = [line[keys.index(key)] for line in grid if line[keys.index(key)] in shares][-1] == key
            _names(axes, found[0].classes, first, last)
    return figure


def _mistakes(one: Confusion) -> np.ndarray[Any, Any]:
    shares = one.shares.copy()
    np.fill_diagonal(shares, np.nan)
    return shares


def _matrix(axes: Axes, shares: np.ndarray[Any, Any], highest: float, columns: int) -> None:
    axes.grid(False)
    axes.imshow(shares, cmap=_COLORS, vmin=0.0, vmax=highest, interpolation="nearest")
    if len(shares) <= _MOST_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.5:
                shade = "white" if share > 0.6 * highest else "black"
                size = 6.5 if columns == 1 else 5.5
                number = axes.text(column, row, str(int(share + 0.5)), color=shade, fontsize=size)
                number.set(ha="center", va="center")
                # It lies inside the panel, whatever the layout.
                number.set_in_layout(False)


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
