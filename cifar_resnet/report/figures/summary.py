"""Final errors against depth, training time and length of training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.curves import rank
from cifar_resnet.report.figures.headline import cut
from cifar_resnet.report.figures.layout import Layout
from cifar_resnet.report.figures.seeds import GROUP, over_seeds
from cifar_resnet.report.published import Published
from cifar_resnet.report.runs.factors import split_length
from cifar_resnet.report.wording import time_unit

# In inches: marks that are side by side need more room than a column has.
_WIDTH = 4.6


def draw_error_against_depth(runs: pd.DataFrame, published: Sequence[Published] = ()) -> Figure | None:
    """Final test error against depth: a line of means per model, a dot per seed, stars for published values.

    Where a network's error is far above the others', such as at chance, the axis is broken.

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
    beside = [item for item in published if item.depth in depths]
    values = [runs["test_error"].dropna(), means["mean"], pd.Series([item.error for item in beside], dtype=float)]
    figure, panels, suffix = _broken(means["mean"], pd.concat(values))
    figure.set_figwidth(_WIDTH)
    models = [str(model) for model in runs["model"].unique()]
    step = 0.03 * (depths[-1] - depths[0])
    handles: list[Artist] = []
    for index, model in enumerate(models):
        # Models are side by side, so that their marks at the same depth don't overlap.
        shift = (index - (len(models) - 1) / 2) * step
        look: dict[str, Any] = {"color": style.color(model), "marker": style.model_mark(model), "markersize": 5}
        mean = means[means["model"].astype(str) == model].sort_values("depth")
        own = runs[runs["model"].astype(str) == model]
        for axes in panels:
            axes.plot(mean["depth"] + shift, style.on_axis(mean["mean"], axes), label=model, **look)
            if (mean["n"] > 1).any():
                seeds = {**_DOT, "color": style.shades(model, 3)[2], "label": style.name(model, "one seed")}
                axes.plot(own["depth"] + shift + 0.4 * step, style.on_axis(own["test_error"], axes), **seeds)
            for item in beside:
                if item.model == model:
                    star = {**_STAR, "color": style.color(model), "label": style.name(model, "published")}
                    axes.plot(item.depth + shift - 0.4 * step, item.error, **star)
        handles.append(style.line_handle(model, **look))
    if (means["n"] > 1).any():
        handles.append(style.line_handle("one seed", color=style.NEUTRAL[1], **_DOT))
    if beside:
        handles.append(style.line_handle("published", color=style.NEUTRAL[1], **_STAR))
    panels[-1].set(xlabel="depth (layers)", ylabel=f"final test error (%{suffix})")
    style.depth_ticks(panels[-1], depths)
    style.legend(figure, handles)
    return figure


_DOT: dict[str, Any] = {"marker": ".", "markersize": 4, "linestyle": "none", "zorder": 3}
_STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 8,
    "markerfacecolor": "white",
    "markeredgewidth": 0.9,
    "linestyle": "none",
    "zorder": 4,
}


def _broken(means: pd.Series[float], everything: pd.Series[float]) -> tuple[Figure, list[Axes], str]:
    """A figure with one panel, or with two for an axis that is broken; its panels and what its label says of scale."""
    limit = cut(means)
    if limit is None:
        figure, ((axes,),) = style.figure_of(1, 1)
        return figure, [axes], style.scale([axes], everything)
    figure, ((above,), (below,)) = style.figure_of(2, 1, sharey=False, height=1.3)
    grid = GridSpec(2, 1, figure=figure, height_ratios=[1, 3])
    for row, axes in enumerate((above, below)):
        axes.set_subplotspec(grid[row])
    above.sharex(below)
    for axes, values in ((above, everything[everything > limit]), (below, everything[everything <= limit])):
        margin = max(0.12 * float(values.max() - values.min()), 0.02 * float(values.max()))
        axes.set_ylim(max(0.0, float(values.min()) - margin), float(values.max()) + margin)
    above.spines["bottom"].set_visible(False)
    below.spines["top"].set_visible(False)
    above.tick_params(bottom=False, labelbottom=False)
    above.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    cut_marks: dict[str, Any] = {
        "marker": [(-1, -0.6), (1, 0.6)],
        "markersize": 8,
        "linestyle": "none",
        "color": "#666666",
    }
    for axes, edge in ((above, 0), (below, 1)):
        axes.plot([0, 1], [edge, edge], transform=axes.transAxes, clip_on=False, label="_break", **cut_marks)
    return figure, [above, below], ", axis broken"


def draw_error_against_time(runs: pd.DataFrame) -> Figure | None:
    """Final test error against training time: one mark per network, larger with depth.

    A mark is at the mean error over the network's seeds and at the time of the fastest one. Networks of a model are
    joined by a line from shallow to deep; in an ablation, the color shows the setting.

    Returns:
        None if fewer than two networks have a time.
    """
    runs = runs.dropna(subset=["seconds", "test_error"])
    runs = runs[runs["seconds"] > 0]
    networks = over_seeds(runs, "test_error")
    if len(networks) < 2:
        return None
    unit = time_unit(float(runs["seconds"].max()))
    # Other work on the machine can only slow a run down, so the fastest run shows what training takes.
    fastest = runs.groupby(GROUP, observed=True)["seconds"].min().rename("seconds")
    networks = networks.join(fastest, on=GROUP).sort_values("depth", kind="stable")
    errors = pd.concat([networks[name] for name in ("low", "mean", "high")])
    figure, panels, y_suffix = _broken(networks["mean"], errors)
    times = networks["seconds"] / unit.seconds
    x_suffix = style.scale(panels, times, "x")
    if not x_suffix:
        # From zero, so that times that differ by a few percent look as alike as they are.
        panels[-1].set_xlim(0, 1.08 * float(times.max()))
        panels[-1].xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    depths = sorted(int(depth) for depth in runs["depth"].unique())
    sizes = dict(zip(depths, np.linspace(3.5, 7.0, len(depths)) if len(depths) > 1 else [5.0], strict=True))
    layout = Layout(runs, rank(over_seeds(runs, "test_error")))
    for axes, (model, setting) in product(panels, networks[["model", "setting"]].drop_duplicates().to_numpy()):
        own = networks[(networks["model"] == model) & (networks["setting"] == setting)]
        colors = dict(zip(layout.named, layout.colors(None), strict=True))
        shade = colors.get(setting, style.REST_COLOR) if layout.is_ablation else style.color(str(model))
        where = (layout.label(setting),) if layout.is_ablation else ()
        x, y = times[own.index], style.on_axis(own["mean"], axes)
        axes.plot(x, y, color=shade, linewidth=0.8, label=style.name(model, *where))
        for place, row in own.iterrows():
            look = {"color": shade, "label": style.name(model, f"{row['depth']} layers", *where)}
            if row["n"] > 1:
                ends = style.on_axis(pd.Series([row["low"], row["high"]]), axes)
                axes.plot([times[place]] * 2, ends, linewidth=0.8, **look)
            size = sizes[row["depth"]]
            # Small marks are above large ones, so that both can be seen where they coincide.
            mark = {"marker": style.model_mark(str(model)), "markersize": size, "zorder": 4 - size / 10}
            edge = {"markeredgecolor": "white", "markeredgewidth": 0.4, "linestyle": "none"}
            axes.plot([times[place]], [y[place]], **mark, **edge, **look)
    # With a single model, its marker is used for the settings.
    single = layout.models[0] if layout.is_ablation and len(layout.models) == 1 else None
    handles: list[Artist] = [
        style.line_handle(
            model,
            color=style.NEUTRAL[1] if layout.is_ablation else style.color(model),
            marker=style.model_mark(model),
            linewidth=0.8,
        )
        for model in ([] if single else layout.models)
    ]
    if len(depths) > 1:
        few = depths if len(depths) <= 5 else [depths[0], depths[len(depths) // 2], depths[-1]]
        handles += [
            style.line_handle(
                f"{depth} layers", color=style.NEUTRAL[1], marker="p", markersize=sizes[depth], linestyle="none"
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
    panels[-1].set(
        xlabel=f"training and evaluation time ({unit.name}{x_suffix})", ylabel=f"final test error (%{y_suffix})"
    )
    style.legend(figure, handles, columns=3)
    return figure


def draw_error_against_length(runs: pd.DataFrame) -> Figure | None:
    """Final test error against the length of training, in epochs and in time.

    One line per network and setting with several lengths, through the means over seeds. The time is that of training at
    the median speed of the fastest seed, without evaluation; a part of an epoch at the end counts as a whole one.

    Args:
        runs: one row per finished run, of one data set.

    Returns:
        None if nothing was trained for several lengths.
    """
    runs = runs.assign(kind=[split_length(str(setting))[0] for setting in runs["setting"]])
    kinds = ["model", "depth", "kind"]
    means = over_seeds(runs, "test_error", ["kind", "epochs"])
    # Other work on the machine slows down some epochs of some runs, but hardly the median epoch of the fastest run.
    seconds = runs["epochs"] * runs["train_images"] / runs["images_per_second"]
    runs = runs.assign(training_seconds=seconds.where(runs["seconds"].notna()))  # not where devices are mixed
    means = means.join(runs.groupby([*kinds, "epochs"], observed=True)["training_seconds"].min(), on=[*kinds, "epochs"])
    lines = {key: part.sort_values("epochs") for key, part in means.groupby(kinds, sort=False, observed=True)}
    lines = {key: part for key, part in lines.items() if part["epochs"].nunique() > 1}
    if not lines:
        return None
    shown = pd.concat(lines.values())
    unit = time_unit(float(shown["training_seconds"].max()))
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
            for axes, x in zip(panels, (points["epochs"], points["training_seconds"] / unit.seconds), strict=True):
                axes.errorbar(
                    x, errors, yerr=spread if (points["n"] > 1).any() else None, capsize=2, label=label, **look
                )
            handles.append(style.line_handle(label, **look))
    panels[0].set(xlabel="epochs of training", ylabel=f"final test error (%{suffix})")
    panels[1].set(xlabel=f"time of training ({unit.name})")
    style.depth_ticks(panels[0], sorted(int(epochs) for epochs in shown["epochs"].unique()))
    if (shown["n"] > 1).any():
        handles.append(
            style.line_handle("lowest to highest seed", color=style.NEUTRAL[1], marker="|", linestyle="none")
        )
    style.legend(figure, handles)
    return figure
