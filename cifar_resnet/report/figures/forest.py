"""Forest plots: every comparison of a table with its interval, around zero."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifar_resnet.notation import number
from cifar_resnet.report.figures import style
from cifar_resnet.report.intervals import BETTER, OPEN, SAME, WORSE, Difference
from cifar_resnet.report.tables.differences import MEASURES, Comparison

# The most comparisons in a figure: the clearest ones.
MOST = 40
# A difference this many times the median one is off the scale.
_FAR = 6.0
# In characters, so that a narrow screen has room for the intervals.
_LONGEST_LINE = 30
_LOOKS: dict[str, dict[str, Any]] = {
    BETTER: {"color": "#0072b2", "marker": "<"},
    WORSE: {"color": "#d55e00", "marker": ">"},
    SAME: {"color": "#202020", "marker": "s"},
    OPEN: {"color": "#8a8a8a", "marker": "o"},
}


def draw_forest(made: Sequence[Comparison], smallest: float) -> Figure | None:
    """One row per pair of networks, one panel per measure: the difference with its corrected interval.

    Of more than `MOST` pairs, the ones with the smallest p-values are drawn, in the order of the table.

    Args:
        made: the comparisons of one table.
        smallest: the smallest difference worth naming, in points; shown as a band around zero.

    Returns:
        None if there is nothing to compare.
    """
    rows = _rows(made)
    if not rows:
        return None
    measured = _measured(rows)
    labels = ["\n".join(textwrap.wrap(name, _LONGEST_LINE)) for name in rows]
    lines = max(label.count("\n") + 1 for label in labels)
    figure, (panels,) = style.figure_of(1, len(measured), height=0.55 + (0.04 + 0.13 * lines) * len(rows))
    figure.set_figwidth(style.PAGE)
    shown: list[tuple[str, bool]] = []
    for axes, (measure, found) in zip(panels, measured.items(), strict=True):
        axes.set_xlim(_limits(found.values(), smallest))
        axes.axvspan(-smallest, smallest, color="#000000", alpha=0.08, linewidth=0, label="not worth naming")
        axes.axvline(0, color="#444444", linewidth=0.8, label="no difference")
        for place, one in found.items():
            verdict = one.verdict(smallest)
            shown.append((verdict, one.one_seed))
            _draw_row(axes, place, one, verdict, list(rows)[place])
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel=f"{MEASURES[measure].words}:\ndifference (points)")
        axes.grid(axis="y", visible=False)
    # Shared by all panels.
    panels[0].set_yticks(range(len(rows)), labels)
    handles: list[Artist] = [
        style.line_handle(verdict, linestyle="none", markersize=5, **look)
        for verdict, look in _LOOKS.items()
        if any(one == verdict for one, _ in shown)
    ]
    if any(one_seed for _, one_seed in shown):
        hollow = {"color": style.NEUTRAL[1], "markerfacecolor": "white", "marker": "o", "markersize": 5}
        handles.append(style.line_handle("hollow: one seed", linestyle="none", **hollow))
    handles.append(style.band_handle(f"less than {number(smallest)} points: not worth naming", "#000000", 0.12))
    style.legend(figure, handles)
    return figure


def _rows(made: Sequence[Comparison]) -> dict[str, dict[str, Difference]]:
    """Name of a pair → measure → difference, for the clearest pairs in the order of the table."""
    rows: dict[str, dict[str, Difference]] = {}
    for each in made:
        if each.one is not None:
            rows.setdefault(_name(each), {})[each.measure] = each.one
    clearest = sorted(rows, key=lambda name: min(one.p for one in rows[name].values()))[:MOST]
    return {name: row for name, row in rows.items() if name in set(clearest)}


def _name(each: Comparison) -> str:
    first, second = each.first, each.second
    if first.setting == second.setting:
        setting = f" ({first.setting})" if first.setting else ""
        return f"{first.name} → {second.name}{setting}"
    return f"{second.name}, {second.setting or 'reference'}"


def _measured(rows: dict[str, dict[str, Difference]]) -> dict[str, dict[int, Difference]]:
    """Measure → place of a row → difference: what each panel shows."""
    panels: dict[str, dict[int, Difference]] = {}
    for place, row in enumerate(rows.values()):
        for measure, one in row.items():
            panels.setdefault(measure, {})[place] = one
    return panels


def _limits(found: Collection[Difference], smallest: float) -> tuple[float, float]:
    """The ends of the axis on which most differences can be seen."""
    sizes = [abs(one.mean) for one in found]
    near = [one for one in found if abs(one.mean) <= _FAR * max(float(np.median(sizes)), smallest)]
    ends = [end for one in near for end in (one.low, one.high, one.mean) if np.isfinite(end)]
    low, high = min([*ends, -2 * smallest]), max([*ends, 2 * smallest])
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def beyond(made: Sequence[Comparison], smallest: float) -> tuple[bool, bool]:
    """Whether `draw_forest` shows differences that are off the axis, and intervals of others that end off it."""
    differences, intervals = False, False
    for panel in _measured(_rows(made)).values():
        low, high = _limits(panel.values(), smallest)
        on_axis = [one for one in panel.values() if low <= one.mean <= high]
        differences |= len(on_axis) < len(panel)
        intervals |= any(one.low < low or high < one.high for one in on_axis)
    return differences, intervals


def _draw_row(axes: Axes, place: int, one: Difference, verdict: str, name: str) -> None:
    look, (low, high) = _LOOKS[verdict], axes.get_xlim()
    label = style.name(name, verdict)
    if not low <= one.mean <= high:
        # The number stands where the mark would be.
        right = one.mean > high
        words = f"{one.mean:+.1f} →" if right else f"← {one.mean:+.1f}"
        axes.annotate(
            words.replace("-", "−"),
            (0.985 if right else 0.015, place),
            xycoords=("axes fraction", "data"),
            ha="right" if right else "left",
            va="center",
            fontsize=7,
            color=look["color"],
            label=label,
        )
        return
    ends = np.clip([one.low, one.high], low, high)
    axes.plot(ends, [place, place], color=look["color"], linewidth=1.1, label=label)
    face: dict[str, Any] = {"markerfacecolor": "white"} if one.one_seed else {}
    axes.plot([one.mean], [place], markersize=5, linestyle="none", label=label, **look, **face)
