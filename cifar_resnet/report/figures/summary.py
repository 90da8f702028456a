"""Final errors against depth, training time and length of training, and by setting."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.curves import rank
from cifar_resnet.report.figures.layout import DEFAULT_SETTING, Layout
from cifar_resnet.report.figures.paper import SIDES
from cifar_resnet.report.figures.seeds import GROUP, over_seeds
from cifar_resnet.report.published import Published
from cifar_resnet.report.runs.factors import split_length
from cifar_resnet.report.runs.groups import compared
from cifar_resnet.report.wording import time_unit

# The most settings in a figure: the best ones.
MAX_SETTINGS = 30


def draw_error_against_depth(runs: pd.DataFrame, published: Sequence[Published] = ()) -> Figure | None:
    """Final test error against depth: a line of means per model, a point per seed, published values as hollow marks.

    Args:
        runs: one row per finished run, of one data set and setting.
        published: published values to compare with.

    Returns:
        None with fewer than two depths.
    """
    depths = sorted(int(depth) for depth in runs["depth"].unique())
    if len(depths) < 2:
        return None
    means = over_seeds(runs, "test_error")
    figure, ((axes,),) = style.figure_of(1, 1)
    everything = pd.concat([runs["test_error"], pd.Series([item.error for item in published], dtype=float)])
    suffix = style.scale([axes], everything)
    models = [str(model) for model in runs["model"].unique()]
    handles: list[Artist] = []
    for model, shift in zip(models, _dodge(models, depths), strict=True):
        look: dict[str, Any] = {"color": style.color(model), "marker": style.model_mark(model), "markersize": 4.5}
        mean = means[means["model"].astype(str) == model].sort_values("depth")
        axes.plot(mean["depth"] + shift, style.on_axis(mean["mean"], axes), label=model, **look)
        handles.append(style.line_handle(model, **look))
        if (mean["n"] > 1).any():
            own = runs[runs["model"].astype(str) == model]
            _seed_points(axes, own["depth"] + shift, style.on_axis(own["test_error"], axes), model)
        beside = [item for item in published if item.model == model and item.depth in depths]
        for item in beside:
            axes.plot(
                item.depth + shift, item.error, **_hollow(model), linestyle="none", label=style.name(model, "published")
            )
    if (means["n"] > 1).any():
        handles.append(
            style.line_handle("one seed", color=style.NEUTRAL[1], marker="_", markersize=6, linestyle="none")
        )
    if published:
        handles.append(
            style.line_handle("published", **{**_hollow(models[0]), "color": style.NEUTRAL[1]}, linestyle="none")
        )
    axes.set(xlabel="depth (layers)", ylabel=f"final test error (%{suffix})")
    style.depth_ticks(axes, depths)
    style.legend(figure, handles)
    return figure


def _dodge(models: Sequence[str], depths: Sequence[int]) -> np.ndarray[Any, Any]:
    """Small shifts along the axis, so that the markers of models at the same depth don't overlap."""
    step = 0.015 * (depths[-1] - depths[0])
    return (np.arange(len(models)) - (len(models) - 1) / 2) * step


def _seed_points(axes: Axes, x: pd.Series[float], y: pd.Series[float], model: str) -> None:
    # A dash instead of the model's marker, so that seeds can be seen on both sides of the mean's marker.
    axes.plot(
        x,
        y,
        linestyle="none",
        marker="_",
        markersize=6,
        color=style.shades(model, 3)[2],
        label=style.name(model, "one seed"),
        zorder=3,
    )


def _hollow(model: str) -> dict[str, Any]:
    return {
        "color": style.color(model),
        "marker": style.model_mark(model),
        "markersize": 8,
        "markerfacecolor": "none",
        "markeredgewidth": 1.0,
    }


def draw_error_against_time(runs: pd.DataFrame) -> Figure | None:
    """Final test error against training time: one marker per run, by model, larger and darker with depth.

    In an ablation, the color shows the setting.

    Returns:
        None if fewer than two runs have a time.
    """
    runs = runs.dropna(subset=["seconds", "test_error"])
    runs = runs[runs["seconds"] > 0]
    if len(runs) < 2:
        return None
    unit = time_unit(float(runs["seconds"].max()))
    figure, ((axes,),) = style.figure_of(1, 1)
    times = runs["seconds"] / unit.seconds
    y_suffix, x_suffix = style.scale([axes], runs["test_error"]), style.scale([axes], times, "x")
    depths = sorted(int(depth) for depth in runs["depth"].unique())
    sizes = dict(zip(depths, np.linspace(3.5, 6.5, len(depths)) if len(depths) > 1 else [5.0], strict=True))
    layout = Layout(runs, rank(over_seeds(runs, "test_error")))
    for _, own in runs.groupby(GROUP, sort=False, observed=True):
        model, depth, setting = str(own["model"].iloc[0]), int(own["depth"].iloc[0]), str(own["setting"].iloc[0])
        colors = dict(zip(layout.named, layout.colors(model), strict=True))
        axes.plot(
            times[own.index],
            style.on_axis(own["test_error"], axes),
            linestyle="none",
            marker=style.model_mark(model),
            markersize=sizes[depth],
            color=colors.get(setting if layout.is_ablation else depth, style.REST_COLOR),
            markeredgecolor="white",
            markeredgewidth=0.4,
            label=style.name(model, f"{depth} layers", layout.label(setting) if layout.is_ablation else ""),
        )
    # With a single model, its marker is used for the settings.
    single = layout.models[0] if layout.is_ablation and len(layout.models) == 1 else None
    handles: list[Artist] = [
        style.line_handle(
            model,
            color=style.NEUTRAL[1] if layout.is_ablation else style.color(model),
            marker=style.model_mark(model),
            linestyle="none",
        )
        for model in ([] if single else layout.models)
    ]
    if len(depths) > 1:
        few = depths if len(depths) <= 5 else [depths[0], depths[len(depths) // 2], depths[-1]]
        handles += [
            style.line_handle(
                f"{depth} layers",
                color=style.shades(None, len(depths))[depths.index(depth)],
                marker="p",
                markersize=sizes[depth],
                linestyle="none",
            )
            for depth in few
        ]
    if layout.is_ablation:
        marks: dict[str, Any] = {"marker": style.model_mark(single) if single else "o", "linestyle": "none"}
        handles += [
            style.line_handle(layout.label(setting), color=color, **marks)
            for setting, color in zip(layout.named, layout.colors(None), strict=True)
        ]
        if others := len(layout.settings) - len(layout.named):
            handles.append(style.line_handle(f"the other {others} settings", color=style.REST_COLOR, **marks))
    axes.set(xlabel=f"training and evaluation time ({unit.name}{x_suffix})", ylabel=f"final test error (%{y_suffix})")
    style.legend(figure, handles, columns=3)
    return figure


def draw_error_against_length(runs: pd.DataFrame) -> Figure | None:
    """Final test error against the length of training, in epochs and in time.

    One line per network and setting with several lengths, through the means over seeds.

    Args:
        runs: one row per finished run, of one data set.

    Returns:
        None if nothing was trained for several lengths.
    """
    runs = runs.assign(kind=[split_length(str(setting))[0] for setting in runs["setting"]])
    kinds = ["model", "depth", "kind"]
    means = over_seeds(runs, "test_error", ["kind", "epochs"])
    # Other work on the machine can only slow a run down, so the fastest run shows what training takes.
    seconds = runs.groupby([*kinds, "epochs"], observed=True)["seconds"].min()
    means = means.join(seconds, on=[*kinds, "epochs"])
    lines = {key: part.sort_values("epochs") for key, part in means.groupby(kinds, sort=False, observed=True)}
    lines = {key: part for key, part in lines.items() if part["epochs"].nunique() > 1}
    if not lines:
        return None
    shown = pd.concat(lines.values())
    unit = time_unit(float(shown["seconds"].max()))
    figure, (panels,) = style.figure_of(1, 2)
    suffix = style.scale(panels, pd.concat([shown["low"], shown["high"]]))
    handles: list[Artist] = []
    for model in dict.fromkeys(model for model, _, _ in lines):
        own = [key for key in lines if key[0] == model]
        for key, look in zip(own, style.line_styles(str(model), len(own)), strict=True):
            look |= {"marker": style.model_mark(str(model)), "markersize": 4.5}
            points, label = lines[key], style.name(model, f"{key[1]} layers", key[2])
            errors = style.on_axis(points["mean"], panels[0])
            spread = [
                (errors - style.on_axis(points["low"], panels[0])),
                style.on_axis(points["high"], panels[0]) - errors,
            ]
            for axes, x in zip(panels, (points["epochs"], points["seconds"] / unit.seconds), strict=True):
                axes.errorbar(
                    x, errors, yerr=spread if (points["n"] > 1).any() else None, capsize=2, label=label, **look
                )
            handles.append(style.line_handle(label, **look))
    panels[0].set(xlabel="epochs of training", ylabel=f"final test error (%{suffix})")
    panels[1].set(xlabel=f"training and evaluation ({unit.name})")
    style.depth_ticks(panels[0], sorted(int(epochs) for epochs in shown["epochs"].unique()))
    if (shown["n"] > 1).any():
        handles.append(
            style.line_handle("lowest to highest seed", color=style.NEUTRAL[1], marker="|", linestyle="none")
        )
    style.legend(figure, handles)
    return figure


def draw_settings(runs: pd.DataFrame) -> Figure | None:
    """Final error (see `compared`) of each setting, the best at the top; markers are means, dashes are seeds.

    Returns:
        None if there is only one setting.
    """
    if runs["setting"].nunique() < 2:
        return None
    column = compared(runs)
    means = over_seeds(runs, column)
    best = means.groupby("setting", sort=False, observed=True)["mean"].mean().sort_values()
    shown = [str(setting) for setting in best.index[:MAX_SETTINGS]]
    row_of = {setting: row for row, setting in enumerate(shown)}
    means, runs = (frame[frame["setting"].isin(shown)] for frame in (means, runs))
    labels = [_wrapped(setting) for setting in shown]
    lines = max(label.count("\n") + 1 for label in labels)
    figure, ((axes,),) = style.figure_of(1, 1, height=0.6 + (0.07 + 0.13 * lines) * len(shown))
    figure.set_figwidth(style.PAGE)
    suffix = style.scale([axes], runs[column], "x")
    depths = sorted(int(depth) for depth in means["depth"].unique())
    models = [str(model) for model in means["model"].unique()]
    cells = [(model, depth) for model in models for depth in depths]
    handles: list[Artist] = []
    for index, (model, depth) in enumerate(cells):
        mean = means[(means["model"].astype(str) == model) & (means["depth"] == depth)]
        if mean.empty:
            continue
        shift = 0.5 * (index - (len(cells) - 1) / 2) / len(cells)
        look: dict[str, Any] = {
            "color": style.shades(model, len(depths))[depths.index(depth)],
            "marker": style.model_mark(model),
            "markersize": 5,
            "linestyle": "none",
        }
        label = style.name(model, f"{depth} layers")
        places = mean["setting"].astype(str).map(row_of) + shift
        axes.plot(style.on_axis(mean["mean"], axes, "x"), places, label=label, **look)
        handles.append(style.line_handle(label, **look))
        if (mean["n"] > 1).any():
            own = runs[(runs["model"].astype(str) == model) & (runs["depth"] == depth)]
            rows = own["setting"].astype(str).map(row_of) + shift
            error = style.on_axis(own[column], axes, "x")
            label = style.name(label, "one seed")
            axes.plot(error, rows, linestyle="none", marker="|", markersize=6, color=look["color"], label=label)
    if (means.groupby(GROUP, observed=True)["n"].max() > 1).any():
        handles.append(style.line_handle("one seed", color=style.NEUTRAL[1], marker="|", linestyle="none"))
    axes.set(xlabel=f"final {SIDES[column]} (%{suffix})", ylim=(len(shown) - 0.5, -0.5))
    axes.set_yticks(range(len(shown)), labels)
    style.legend(figure, handles)
    return figure


def _wrapped(setting: str) -> str:
    return "\n".join(textwrap.wrap(setting or DEFAULT_SETTING, 48, max_lines=4, placeholder=" …"))
