"""The lab's question in one figure: the models at equal depth, one panel per depth, on an axis that shows the ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.curves import draw_line
from cifar_resnet.report.figures.paper import SIDES, watched
from cifar_resnet.report.figures.seeds import band_label, over_seeds
from cifar_resnet.report.runs.confusion import shown_depths

# An error this many times the lowest one is off the scale.
_FAR = 4.0
# The axis ends at the largest error on the scale times this.
_ROOM = 1.6
# The smallest distance of two labels at the lines' ends, as a share of the axis.
_GAP = 0.085
_DROPS = "the learning rate drops"
_MILESTONE: dict[str, Any] = {"color": "#888888", "linewidth": 0.8, "linestyle": ":"}


def cut(finals: pd.Series[float]) -> float | None:
    """Where an error axis ends so that differences between networks that learned can be seen, in percent.

    Args:
        finals: the networks' final errors in percent.

    Returns:
        None if all of them fit on one axis.

    >>> cut(pd.Series([8.0, 12.0, 90.0])), cut(pd.Series([8.0, 12.0])), cut(pd.Series([8.4, 30.2, 47.3]))
    (20.0, None, None)
    """
    limit = _FAR * max(1.0, float(finals.min()))
    end = _ceiling(_ROOM * float(finals[finals <= limit].max()))
    return end if (finals > end).any() else None


def _ceiling(value: float) -> float:
    """The next higher one of 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, … 95."""
    steps = [1, 2, 3, 4, 5, 6, 8, *range(10, 100, 5)]
    return float(next((step for step in steps if step >= value), 100))


def draw_by_depth(epochs: pd.DataFrame, table: Sequence[Sequence[str]] = ()) -> Figure | None:
    """One panel per depth with all models: training error dashed, test error solid, final errors at the lines' ends.

    Of more than three depths, the shallowest, the middle and the deepest one are shown.

    Args:
        epochs: one row per run and epoch, of one data set and setting.
        table: header and rows of a table below the panels; none by default.

    Returns:
        None unless two models have runs.
    """
    models = [str(model) for model in epochs["model"].unique()]
    if len(models) < 2:
        return None
    depths = list(shown_depths(epochs["depth"]))
    epochs = epochs[epochs["depth"].isin(depths)]
    columns = ("train_error", watched(epochs))
    means = pd.concat([over_seeds(epochs, column, ["epoch"]).assign(column=column) for column in columns])
    finals = means.groupby(["model", "depth", "column"], observed=True)["mean"].last()
    tests = finals[finals.index.get_level_values("column") == columns[1]]
    # The first epochs of every network are far above its end.
    end = min(_ceiling(1.02 * float(means["high"].max())), cut(tests) or _ceiling(2 * float(tests.max())))
    figure, panels = _panels(len(depths), len(table))
    for axes, depth in zip(panels, depths, strict=True):
        part = means[means["depth"] == depth]
        axes.set(ylim=(0, end), title=f"{depth} layers", xlabel="epoch", xlim=(0, float(epochs["epoch"].max())))
        _draw_lines(axes, part, columns, models)
        for epoch in milestones(epochs[epochs["depth"] == depth]):
            axes.axvline(epoch, zorder=0.5, label=_DROPS, **_MILESTONE)
        style.integer_ticks(axes)
    panels[0].set_ylabel("error (%)")
    handles: list[Artist] = [style.line_handle(model, color=style.color(model)) for model in models]
    handles += [
        style.line_handle(SIDES[columns[0]], color=style.NEUTRAL[1], dashes=style.TRAINING_DASHES),
        style.line_handle(SIDES[columns[1]], color=style.NEUTRAL[1]),
    ]
    if any(milestones(epochs[epochs["depth"] == depth]) for depth in depths):
        handles.append(style.line_handle(_DROPS, **_MILESTONE))
    if band := band_label(epochs):
        handles.append(style.band_handle(band))
    style.legend(figure, handles)
    return figure


def _panels(count: int, lines: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in a row and, below them, a table with this many lines."""
    figure, (panels,) = style.figure_of(1, count, height=2.4)
    if count < 3:
        # A panel is as wide as one of three.
        figure.set_figwidth(style.COLUMN if count == 1 else 5.2)
    if lines:
        figure.set_figheight(figure.get_figheight() + _table_height(lines))
        grid = GridSpec(2, count, figure=figure, height_ratios=[2.4, _table_height(lines)])
        for index, axes in enumerate(panels):
            axes.set_subplotspec(grid[0, index])
    return figure, panels


def _table_height(lines: int) -> float:
    """In inches, with room for the panels' labels above it."""
    return 0.19 * lines + 0.45


def _draw_lines(axes: Axes, part: pd.DataFrame, columns: tuple[str, str], models: Sequence[str]) -> None:
    """The lines of one panel; in words, the models that have none, and the final errors of lines that end above it."""
    end = axes.get_ylim()[1]
    labels: list[tuple[float, str, str, str]] = []
    away: list[tuple[str, float, str]] = []
    for model in part["model"].astype(str).unique():
        ends: dict[str, float] = {}
        for column in columns:
            line = part[(part["model"].astype(str) == model) & (part["column"] == column)]
            drawn: dict[str, Any] = {"color": style.color(model), "linewidth": 1.2}
            if column == "train_error":
                drawn |= {"dashes": style.TRAINING_DASHES, "linewidth": 1.0}
            depth = f"{int(line['depth'].iloc[0])} layers" if len(line) else ""
            if len(line):
                draw_line(axes, line, label=style.name(model, depth, SIDES[column]), **drawn)
                ends[column] = float(line["mean"].iloc[-1])
        dark = style.shades(model, 3)[2]
        labels += [
            (value, f"{value:.1f}", dark, style.name(model, SIDES[column]))
            for column, value in ends.items()
            if value <= end
        ]
        for column, value in sorted(ends.items(), key=lambda item: item[0] != columns[1]):
            if value > end and not any(who == model for who, _, _ in away):
                side = "" if column == columns[1] else f", {SIDES[column]}"
                line = part[(part["model"].astype(str) == model) & (part["column"] == column)]
                inside = line["epoch"][line["mean"] <= end]
                left = float(inside.iloc[-1]) if len(inside) else math.nan
                away.append((model, left, f"{model}{side}: {value:.0f} % ↑"))
    _label_ends(axes, labels)
    away += [(model, math.nan, f"{model}: no finished run") for model in models if model not in set(part["model"])]
    for index, (model, left, words) in enumerate(away):
        _say_away(axes, words, left, index, style.shades(model, 3)[2])


def _say_away(axes: Axes, words: str, left: float, index: int, color: str) -> None:
    """Words at the upper edge, where a line leaves the panel, or at the right if it was never inside."""
    low, high = axes.get_xlim()
    share = 1.0 if math.isnan(left) else (left - low) / (high - low)
    axes.annotate(
        words,
        (min(max(share, 0.05), 0.98), 0.97 - 0.09 * index),
        xycoords="axes fraction",
        ha="left" if share < 0.3 else "right",
        va="top",
        color=color,
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
    )


def _label_ends(axes: Axes, labels: Sequence[tuple[float, str, str, str]]) -> None:
    """The final errors to the right of the panel, moved apart where they would overlap.

    Args:
        axes: the panel.
        labels: error, text, color and name of each.
    """
    end = axes.get_ylim()[1]
    ordered = sorted(labels)
    for place, (_, words, color, name) in zip(
        spread([value / end for value, *_ in ordered], _GAP), ordered, strict=True
    ):
        axes.annotate(
            words,
            (1.015, place),
            xycoords="axes fraction",
            ha="left",
            va="center",
            color=color,
            fontsize=7,
            annotation_clip=False,
            label=name,
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places in [0, 1], moved as little as needed to be at least `gap` apart.

    >>> [round(place, 3) for place in spread([0.1, 0.1, 0.5], 0.1)]
    [0.05, 0.15, 0.5]
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        # Blocks that touch become one block around the mean of its members.
        while len(blocks) > 1 and _first(blocks[-1], gap) - _last(blocks[-2], gap) < gap:
            top = blocks.pop()
            blocks[-1] += top
    return [_first(block, gap) + index * gap for block in blocks for index in range(len(block))]


def _first(block: Sequence[float], gap: float) -> float:
    """Where the lowest label of a block is; none is below the axis."""
    return max(0.0, float(np.mean(block)) - gap * (len(block) - 1) / 2)


def _last(block: Sequence[float], gap: float) -> float:
    return _first(block, gap) + gap * (len(block) - 1)


def milestones(epochs: pd.DataFrame) -> list[int]:
    """The last epochs before the learning rate drops to less than half, where all runs agree on them.

    A schedule that changes the rate in most epochs has none.
    """
    found: set[tuple[int, ...]] = set()
    for _, run in epochs.groupby("folder", sort=False, observed=True):
        change = run["lr"].to_numpy()[1:] / run["lr"].to_numpy()[:-1]
        steady = np.count_nonzero(change != 1) <= len(change) / 2
        found.add(tuple(int(run["epoch"].iloc[place]) for place in np.flatnonzero((change < 0.5) & steady)))
    return list(found.pop()) if len(found) == 1 else []


def draw_overview(epochs: pd.DataFrame, table: Sequence[Sequence[str]], title: str) -> Figure | None:
    """The panels of `draw_by_depth` and a table below them, for a README or a slide, which have no caption."""
    figure = draw_by_depth(epochs, table)
    if figure is None:
        return None
    figure.suptitle(title, fontsize=10, fontweight="bold")
    figure.set_figheight(figure.get_figheight() + 0.2)
    axes = figure.add_subplot(GridSpec(2, 1, figure=figure, height_ratios=[2.4, _table_height(len(table))])[1])
    axes.set_axis_off()
    axes.grid(False)
    made = axes.table([list(row) for row in table], loc="center", cellLoc="center", edges="horizontal")
    made.auto_set_font_size(False)
    made.set_fontsize(8)
    for (row, column), cell in made.get_celld().items():
        cell.set_edgecolor("#bbbbbb")
        cell.set_linewidth(0.6)
        if row == 0:
            cell.set_text_props(weight="bold")
        if column == 0:
            cell.set_text_props(ha="left")
            if row:
                cell.get_text().set_color(style.shades(table[row][0], 3)[2])
    return figure
