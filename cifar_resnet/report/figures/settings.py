"""Final errors of the settings of an ablation: against a factor that is a number, or as rows of marks."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.layout import best_with_default, setting_label
from cifar_resnet.report.figures.paper import SIDES
from cifar_resnet.report.figures.seeds import over_seeds
from cifar_resnet.report.runs import factors
from cifar_resnet.report.runs.groups import Group, compared

# The most settings in a figure: the reference and the best ones.
MAX_SETTINGS = 30
# The fewest values of a factor for an axis of its own, and the most combinations of the other factors' values.
_FEWEST_VALUES, _MOST_PANELS = 3, 9
_COLUMNS = 3
_DOT: dict[str, Any] = {"marker": ".", "markersize": 4, "linestyle": "none"}


def default_of(references: Sequence[Group]) -> str | None:
    """Of the references of several networks and lengths, the setting nearest to conf/; of equally near ones the most
    frequent.

    None without a reference.
    """
    counts = Counter(group.setting for group in references)
    nearest = min(references, key=lambda group: (group.off_default, -counts[group.setting]), default=None)
    return None if nearest is None else nearest.setting


def values_of(settings: Iterable[str]) -> dict[str, dict[str, float]]:
    """Factor → setting → value, for the factors that are a number in every setting.

    >>> values_of(["shortcut=A, lr=0.1", "shortcut=B, lr=0.05"])
    {'lr': {'shortcut=A, lr=0.1': 0.1, 'shortcut=B, lr=0.05': 0.05}}
    """
    parts = {setting: factors.values(setting) for setting in settings}
    found = {}
    for key in dict.fromkeys(chain.from_iterable(parts.values())):
        try:
            found[key] = {setting: float(values[key]) for setting, values in parts.items()}
        except (KeyError, ValueError):
            continue
    return found


def draw_settings(runs: pd.DataFrame, references: Sequence[Group] = ()) -> Figure | None:
    """Final error (see `compared`) of each setting; the references of all networks are marked.

    If a factor is a number with at least three values, the error is drawn against it, with one panel for each
    combination of the other factors. Otherwise each setting is a row, the best at the top.

    Returns:
        None if there is only one setting.
    """
    if runs["setting"].nunique() < 2:
        return None
    if factor := axis_of(runs):
        return _draw_against(runs, factor, references)
    return _draw_rows(runs, references)


def axis_of(runs: pd.DataFrame) -> str | None:
    """The factor that the error is drawn against; None if there is none."""
    counts = {key: len(set(values.values())) for key, values in values_of(runs["setting"].unique()).items()}
    for key in sorted(counts, key=lambda key: -counts[key]):
        others = {_without(str(setting), key) for setting in runs["setting"].unique()}
        if counts[key] >= _FEWEST_VALUES and len(others) <= _MOST_PANELS:
            return key
    return None


def _without(setting: str, key: str) -> str:
    return ", ".join(part for part in setting.split(", ") if part.partition("=")[0] != key)


def _draw_against(runs: pd.DataFrame, factor: str, references: Sequence[Group]) -> Figure:
    column = compared(runs)
    value = values_of(runs["setting"].unique())[factor]
    means = over_seeds(runs, column)
    others = list(dict.fromkeys(_without(str(setting), factor) for setting in runs["setting"]))
    columns = min(len(others), _COLUMNS)
    figure, grid = style.figure_of(-(-len(others) // columns), columns, height=1.75)
    panels = list(chain.from_iterable(grid))
    suffix = style.scale(panels, runs[column].dropna())
    for axes, other in zip(panels, others, strict=False):
        axes.set_title("\n".join(textwrap.wrap(other, 30)))
        in_panel = means[[_without(str(setting), factor) == other for setting in means["setting"]]]
        for (model, depth), look in networks(runs).items():
            mean = in_panel[(in_panel["model"].astype(str) == model) & (in_panel["depth"] == depth)]
            mean = mean.assign(x=mean["setting"].astype(str).map(value)).sort_values("x")
            if mean.empty:
                continue
            name = style.name(model, f"{depth} layers")
            axes.plot(mean["x"], style.on_axis(mean["mean"], axes), linewidth=1.0, label=name, **look)
            own = runs[(runs["model"] == model) & (runs["depth"] == depth) & runs["setting"].isin(mean["setting"])]
            if (mean["n"] > 1).any():
                seeds = {**_DOT, "color": look["color"], "alpha": 0.6, "label": style.name(name, "one seed")}
                axes.plot(own["setting"].map(value), style.on_axis(own[column], axes), **seeds)
            marked = mean[_is_reference(mean, references)]
            axes.plot(marked["x"], style.on_axis(marked["mean"], axes), label=style.name(name, "reference"), **_RING)
        value_axis(axes, sorted(set(value.values())))
    for axes in panels[len(others) :]:
        axes.set_axis_off()
    last = max(len(others) - columns, 0)
    for index, axes in enumerate(panels[: len(others)]):
        axes.set_xlabel(f"{factor}{', log scale' if axes.get_xscale() == 'log' else ''}" if index >= last else "")
        axes.tick_params(labelbottom=True)
    for row in grid:
        row[0].set_ylabel(f"final {SIDES[column]}\n(%{suffix})")
    style.legend(figure, _handles(runs, means, references))
    return figure


def _is_reference(means: pd.DataFrame, references: Sequence[Group]) -> pd.Series[bool]:
    """Which rows of a table of means are those of a reference."""
    known = {(group.model, group.depth, group.setting) for group in references}
    rows = zip(means["model"].astype(str), means["depth"], means["setting"].astype(str), strict=True)
    return pd.Series([row in known for row in rows], means.index, dtype=bool)


_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 10,
    "markerfacecolor": "none",
    "markeredgecolor": "#000000",
    "markeredgewidth": 0.9,
    "linestyle": "none",
}


def value_axis(axes: Axes, values: Sequence[float]) -> None:
    """The factor's axis, logarithmic if its values span a factor of more than three in steps that grow."""
    if values[0] > 0 and values[-1] / values[0] > 3 and not np.allclose(np.diff(values, 2), 0):
        axes.set_xscale("log")
    if sum(len(style.plain_number(value)) + 2 for value in values) <= 30:
        axes.xaxis.set_major_locator(FixedLocator(list(values)))
    elif axes.get_xscale() == "log":
        decades = np.log10(values[-1] / values[0])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if decades < 1.6 else (1,), numticks=5))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(style.plain_number))
    axes.margins(x=0.12)


def networks(runs: pd.DataFrame) -> dict[tuple[str, int], dict[str, Any]]:
    """Model and depth → color and mark."""
    depths = sorted(int(depth) for depth in runs["depth"].unique())
    return {
        (str(model), depth): {
            "color": style.shades(str(model), len(depths))[place],
            "marker": style.model_mark(str(model)),
            "markersize": 4.5,
        }
        for model in runs["model"].unique()
        for place, depth in enumerate(depths)
        if ((runs["model"] == model) & (runs["depth"] == depth)).any()
    }


def _handles(runs: pd.DataFrame, means: pd.DataFrame, references: Sequence[Group]) -> list[Artist]:
    handles: list[Artist] = [
        style.line_handle(style.name(model, f"{depth} layers"), linewidth=1.0, **look)
        for (model, depth), look in networks(runs).items()
    ]
    if (means["n"] > 1).any():
        handles.append(style.line_handle("one seed", color=style.NEUTRAL[1], **_DOT))
    if references:
        handles.append(style.line_handle("reference", **{**_RING, "markersize": 8}))
    return handles


def _draw_rows(runs: pd.DataFrame, references: Sequence[Group]) -> Figure:
    column = compared(runs)
    means = over_seeds(runs, column)
    best = means.groupby("setting", sort=False, observed=True)["mean"].mean().sort_values()
    shown = best_with_default([str(setting) for setting in best.index], default_of(references), MAX_SETTINGS)
    row_of = {setting: row for row, setting in enumerate(shown)}
    means, runs = (frame[frame["setting"].isin(shown)] for frame in (means, runs))
    named = {group.setting for group in references}
    labels = [_wrapped(setting_label(setting, setting if setting in named else None)) for setting in shown]
    lines = max(label.count("\n") + 1 for label in labels)
    figure, ((axes,),) = style.figure_of(1, 1, height=0.6 + (0.07 + 0.13 * lines) * len(shown))
    figure.set_figwidth(style.PAGE)
    suffix = style.scale([axes], runs[column].dropna(), "x")
    drawn = networks(runs)
    for index, ((model, depth), look) in enumerate(drawn.items()):
        mean = means[(means["model"].astype(str) == model) & (means["depth"] == depth)]
        shift = 0.5 * (index - (len(drawn) - 1) / 2) / len(drawn)
        name = style.name(model, f"{depth} layers")
        rows = mean["setting"].astype(str).map(row_of) + shift
        axes.plot(style.on_axis(mean["mean"], axes, "x"), rows, label=name, linestyle="none", **look)
        marked = _is_reference(mean, references)
        ring = {**_RING, "label": style.name(name, "reference")}
        axes.plot(style.on_axis(mean["mean"][marked], axes, "x"), rows[marked], **ring)
        if (mean["n"] > 1).any():
            own = runs[(runs["model"].astype(str) == model) & (runs["depth"] == depth)]
            error, places = style.on_axis(own[column], axes, "x"), own["setting"].astype(str).map(row_of) + shift
            seeds = {**_DOT, "color": look["color"], "alpha": 0.6, "label": style.name(name, "one seed")}
            axes.plot(error, places, **seeds)
    axes.set(xlabel=f"final {SIDES[column]} (%{suffix})", ylim=(len(shown) - 0.5, -0.5))
    axes.set_yticks(range(len(shown)), labels)
    for label, setting in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_fontweight("bold" if setting in named else "normal")
    handles = _handles(runs, means, references)
    for handle in handles:
        handle.set(linestyle="none")
    style.legend(figure, handles)
    return figure


def _wrapped(setting: str) -> str:
    return "\n".join(textwrap.wrap(setting, 48, max_lines=4, placeholder=" …"))
