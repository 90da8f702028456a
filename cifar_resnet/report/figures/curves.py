"""Training loss, errors and learning rate against the epoch."""

from __future__ import annotations

import textwrap
from itertools import chain
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.layout import Layout, best_with_default
from cifar_resnet.report.figures.seeds import GROUP, band_label, over_seeds

BAND_ALPHA = 0.22
MOST_OVERLAID, MOST_PANELS = 4, 8
"""The most settings that share panels, and the most that have their own: the reference and the best ones."""
_COLUMNS = 4
_BEHIND = "the reference setting"
_GRAY: dict[str, Any] = {"color": "#b0b0b0", "linewidth": 0.9, "zorder": 1}


def draw(epochs: pd.DataFrame, column: str, label: str, default: str | None = None) -> Figure | None:
    """A column of the epochs: one panel per model, one line per depth or setting (the mean over seeds, with a band).

    With more than `MOST_OVERLAID` settings, each has a panel, since their lines would cover each other.

    Args:
        epochs: one row per run and epoch, of one data set.
        column: what is drawn.
        label: label of its axis, with a placeholder for the scale, such as "test error (%{})".
        default: the reference setting, which is marked.

    Returns:
        None if no run has the column.
    """
    if column not in epochs or epochs[column].isna().all():
        return None
    means = over_seeds(epochs, column, ["epoch"])
    layout = Layout(_by_model(means, epochs), rank(means), default)
    if layout.is_ablation and len(layout.settings) > MOST_OVERLAID:
        return _draw_multiples(layout, label, band_label(epochs))
    figure, grid = style.figure_of(len(layout.rows), len(layout.models))
    panels = list(chain.from_iterable(grid))
    for axes in panels[1:]:
        axes.sharex(panels[0])
    suffix = style.scale(panels, pd.concat([means["low"], means["high"]]))
    for axes, model, part in layout.panels(grid):
        for index, drawn, points in layout.lines(part, model):
            draw_line(axes, points, index, **drawn)
        style.integer_ticks(axes)
    for row in grid:
        row[0].set_ylabel(label.format(suffix))
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    handles = layout.handles()
    if band := band_label(epochs):
        handles.append(style.band_handle(band))
    style.legend(figure, handles)
    return figure


def _draw_multiples(layout: Layout, label: str, band: str | None) -> Figure:
    """One panel per setting with a line per network, in front of the reference setting's lines in gray."""
    means, default = layout.frame, layout.default
    ranked = [setting for setting in layout.ranked if setting in layout.settings]
    shown = best_with_default(ranked, default, MOST_PANELS)
    figure, grid = style.figure_of(-(-len(shown) // _COLUMNS), min(len(shown), _COLUMNS), height=1.45)
    panels = list(chain.from_iterable(grid))
    suffix = style.scale(panels, pd.concat([means["low"], means["high"]]))
    styles = {model: style.line_styles(model, len(layout.depths)) for model in layout.models}
    networks = [(model, depth) for model in layout.models for depth in layout.depths]
    for axes, setting in zip(panels, shown, strict=False):
        for model, depth in networks:
            own = means[(means["model"].astype(str) == model) & (means["depth"] == depth)]
            drawn = styles[model][layout.depths.index(depth)] | {"linewidth": 1.0}
            points, before = own[own["setting"] == setting], own[own["setting"] == default]
            if setting != default and len(before):
                axes.plot(before["epoch"], style.on_axis(before["mean"], axes), label=_BEHIND, **_GRAY)
            if len(points):
                name = style.name(model, f"{depth} layers", layout.label(setting))
                draw_line(axes, points, label=name, **drawn)
        axes.set_title("\n".join(textwrap.wrap(layout.label(setting), 22)), fontsize=7.5)
        style.integer_ticks(axes, 4)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes in panels[max(0, len(shown) - _COLUMNS) : len(shown)]:
        axes.set_xlabel("epoch")
    for row in grid:
        row[0].set_ylabel(label.format(suffix))
    handles: list[Artist] = [
        style.line_handle(style.name(model, f"{depth} layers"), **styles[model][layout.depths.index(depth)])
        for model, depth in networks
        if ((means["model"].astype(str) == model) & (means["depth"] == depth)).any()
    ]
    if default is not None:
        handles.append(style.line_handle(_BEHIND, **_GRAY))
    if band:
        handles.append(style.band_handle(band))
    style.legend(figure, handles)
    return figure


def _by_model(means: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Sorts by model, in the order of the table of runs."""
    order = {str(model): index for index, model in enumerate(epochs["model"].unique())}
    return means.sort_values("model", key=lambda models: models.astype(str).map(order), kind="stable")


def rank(means: pd.DataFrame) -> list[str]:
    """Settings from best to worst, by the mean of their ranks at the last epoch within each model and depth."""
    last = means.groupby(GROUP, sort=False, observed=True)["mean"].last().reset_index()
    last["rank"] = last.groupby(["model", "depth"], observed=True)["mean"].rank()
    return [str(setting) for setting in last.groupby("setting", observed=True)["rank"].mean().sort_values().index]


def draw_line(axes: Axes, points: pd.DataFrame, index: int = 0, x: str = "epoch", **drawn: Any) -> None:
    """One line of means, with a band if there are several seeds."""
    (line,) = axes.plot(points[x], style.on_axis(points["mean"], axes), **drawn)
    if len(points) == 1:
        # A run of one epoch has no line to draw.
        line.set_marker("o")
    elif line.get_marker() != "None":
        line.set_markevery(style.mark_every(len(points), index))
    if (points["n"] > 1).any():
        low, high = (style.on_axis(points[side], axes) for side in ("low", "high"))
        axes.fill_between(
            points[x], low, high, color=line.get_color(), alpha=BAND_ALPHA, linewidth=0, label=line.get_label()
        )


def draw_learning_rate(epochs: pd.DataFrame) -> Figure | None:
    """The learning rate at the end of each epoch: one line per distinct schedule, labeled with its runs.

    Returns:
        None if all runs have the same schedule, which the text describes.
    """
    schedules: dict[tuple[float, ...], list[tuple[str, int, str]]] = {}
    for _, run in epochs.drop_duplicates([*GROUP, "epoch"]).groupby(GROUP, sort=False, observed=True):
        own = (str(run["model"].iloc[0]), int(run["depth"].iloc[0]), str(run["setting"].iloc[0]))
        schedules.setdefault(tuple(run["lr"]), []).append(own)
    if len(schedules) < 2:
        return None
    figure, ((axes,),) = style.figure_of(1, 1)
    suffix = style.scale([axes], epochs["lr"]).removeprefix(", ")
    label = f"learning rate ({suffix})" if suffix else "learning rate"
    named = list(schedules.items())[: style.MAX_LINES]
    handles = []
    for index, ((rates, who), drawn) in enumerate(
        zip(named, style.styles_of(style.setting_colors(len(named))), strict=True)
    ):
        label_of_runs = _whose(who, [group for groups in schedules.values() for group in groups])
        (line,) = axes.step(range(1, len(rates) + 1), rates, where="mid", label=label_of_runs, **drawn)
        line.set_markevery(style.mark_every(len(rates), index))
        if len(rates) == 1:
            line.set_marker("o")
        handles.append(style.line_handle(label_of_runs, **drawn))
    if rest := list(schedules)[style.MAX_LINES :]:
        look: dict[str, Any] = {"label": f"{len(rest)} other schedules", "color": style.REST_COLOR, "linewidth": 0.6}
        for rates in rest:
            axes.step(range(1, len(rates) + 1), rates, where="mid", zorder=1, **look)
        handles.append(style.line_handle(**look))
    axes.set(xlabel="epoch", ylabel=label)
    style.integer_ticks(axes)
    style.legend(figure, handles, columns=1)
    return figure


def _whose(who: list[tuple[str, int, str]], everyone: list[tuple[str, int, str]]) -> str:
    """The shortest label that distinguishes the runs of a schedule from the others."""
    if len(who) == len(everyone):
        return "all runs"
    for part, name in ((1, "{} layers"), (0, "{}"), (2, "{}")):
        values = list(dict.fromkeys(group[part] for group in who))
        if all((group in who) == (group[part] in values) for group in everyone):
            shown = ", ".join(map(str, values[:4])) + (f" and {len(values) - 4} more" if len(values) > 4 else "")
            return name.format(shown) if shown else "the reference setting"
    names = [f"{model}-{depth}" + (f" ({setting})" if setting else "") for model, depth, setting in who]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
