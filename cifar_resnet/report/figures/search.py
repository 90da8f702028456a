"""Final errors of a search against each searched value."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.paper import SIDES
from cifar_resnet.report.figures.settings import networks, value_axis, values_of
from cifar_resnet.report.figures.unfinished import END_MARKS
from cifar_resnet.report.runs import factors
from cifar_resnet.report.runs.groups import compared
from cifar_resnet.run.states import State

# A factor of a grid needs so many values for a panel of its own; more factors than `_MOST` don't fit.
_FEWEST_VALUES, _MOST = 8, 6
_COLUMNS = 3
_LOST = (State.DIVERGED, State.FAILED)


def draw_searched(runs: pd.DataFrame, others: pd.DataFrame | None = None) -> Figure | None:
    """Final error (see `compared`) against each searched value: one panel per factor, one mark per run.

    Outside a search, only factors with many values have a panel.

    Args:
        runs: one row per finished run, of one data set.
        others: the same of the other runs; those that diverged or failed are marked at the upper edge.

    Returns:
        None if there is no search and no factor has enough values.
    """
    lost = runs.iloc[:0] if others is None else others[others["state"].isin([state.value for state in _LOST])]
    settings = [str(setting) for setting in pd.concat([runs["setting"], lost["setting"]]).unique()]
    places, names = _places(settings)
    if not factors.are_drawn(settings):
        places = {key: values for key, values in places.items() if len(set(values.values())) >= _FEWEST_VALUES}
    if not places:
        return None
    column = compared(runs)
    shown = list(places)[:_MOST]
    columns = min(len(shown), _COLUMNS)
    figure, grid = style.figure_of(-(-len(shown) // columns), columns, height=1.8)
    panels = list(chain.from_iterable(grid))
    suffix = style.scale(panels, runs[column].dropna())
    for axes, key in zip(panels, shown, strict=False):
        for (model, depth), look in networks(pd.concat([runs, lost])).items():
            name = style.name(model, f"{depth} layers")
            own = runs[(runs["model"] == model) & (runs["depth"] == depth)]
            x, errors = own["setting"].map(places[key]), style.on_axis(own[column], axes)
            axes.plot(x, errors, linestyle="none", label=name, alpha=0.8, **look)
            _mark_lost(axes, lost[(lost["model"] == model) & (lost["depth"] == depth)], places[key], name, look)
        if key in names:
            axes.set_xticks(range(len(names[key])), names[key])
            axes.margins(x=0.2)
        else:
            value_axis(axes, sorted(set(places[key].values())))
        axes.set_xlabel(f"{key}{', log scale' if axes.get_xscale() == 'log' else ''}")
        axes.tick_params(labelbottom=True)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel(f"final {SIDES[column]}\n(%{suffix})")
    handles: list[Artist] = [
        style.line_handle(style.name(model, f"{depth} layers"), linestyle="none", **look)
        for (model, depth), look in networks(pd.concat([runs, lost])).items()
    ]
    for state in _LOST:
        if (lost["state"] == state.value).any():
            mark: dict[str, Any] = {"marker": END_MARKS[state], "markersize": 5.5, "linestyle": "none"}
            handles.append(style.line_handle(state.value, color=style.NEUTRAL[1], **mark))
    style.legend(figure, handles)
    return figure


def _places(settings: list[str]) -> tuple[dict[str, dict[str, float]], dict[str, list[str]]]:
    """Factor → setting → where it is on the axis, and factor → words for the places 0, 1, … where they aren't numbers.

    Factors with a single value are left out.
    """
    parts = {setting: factors.values(setting) for setting in settings}
    numbers, places, names = values_of(settings), dict[str, dict[str, float]](), dict[str, list[str]]()
    for key in dict.fromkeys(chain.from_iterable(parts.values())):
        words = sorted({values[key] for values in parts.values() if key in values})
        if len(words) > 1:
            places[key] = numbers.get(key) or {
                setting: float(words.index(values[key])) for setting, values in parts.items() if key in values
            }
            if key not in numbers:
                names[key] = words
    return places, names


def _mark_lost(axes: Axes, lost: pd.DataFrame, places: dict[str, float], name: str, look: dict[str, Any]) -> None:
    for state in _LOST:
        x = lost["setting"][lost["state"] == state.value].map(places)
        if len(x):
            axes.plot(
                x,
                [1.0] * len(x),
                transform=axes.get_xaxis_transform(),
                clip_on=False,
                linestyle="none",
                marker=END_MARKS[state],
                markersize=5.5,
                color=look["color"],
                label=style.name(name, state.value),
            )
