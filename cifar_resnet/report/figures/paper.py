"""The two best-known figures of He et al. (2015): Figure 1, which the lab starts with, and Figure 6."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.curves import draw_line
from cifar_resnet.report.figures.seeds import band_label, over_seeds

SIDES = {"train_error": "training error", "test_error": "test error", "val_error": "validation error"}


def watched(epochs: pd.DataFrame) -> str:
    """The column of the error measured every epoch: on the hold-out split if there is one, else on the test set."""
    return "val_error" if "val_error" in epochs and epochs["val_error"].notna().any() else "test_error"


def draw_degradation(epochs: pd.DataFrame) -> Figure | None:
    """Plain networks of two depths, training error on the left, test error on the right: Figure 1 of the paper.

    The depths are 20 and 56 if both exist, else the shallowest and the deepest; None with fewer than two.
    """
    plain = epochs[epochs["model"].astype(str) == "plain"]
    depths = sorted(int(depth) for depth in plain["depth"].unique())
    if len(depths) < 2:
        return None
    pair = [20, 56] if {20, 56} <= set(depths) else [depths[0], depths[-1]]
    shown = plain[plain["depth"].isin(pair)]
    columns = ("train_error", watched(shown))
    means = {column: over_seeds(shown, column, ["epoch"]) for column in columns}
    figure, (panels,) = style.figure_of(1, 2)
    suffix = style.scale(panels, pd.concat([mean[side] for mean in means.values() for side in ("low", "high")]))
    styles = style.line_styles("plain", 2)
    for axes, column in zip(panels, columns, strict=True):
        dashes: dict[str, Any] = {"dashes": style.TRAINING_DASHES} if column == "train_error" else {}
        for depth, drawn in zip(pair, styles, strict=True):
            label = style.name("plain", f"{depth} layers", SIDES[column])
            draw_line(axes, means[column][means[column]["depth"] == depth], label=label, **drawn, **dashes)
        axes.set(title=SIDES[column], xlabel="epoch")
        style.integer_ticks(axes)
    panels[0].set_ylabel(f"error (%{suffix})")
    handles: list[Artist] = [
        style.line_handle(style.name("plain", f"{depth} layers"), **drawn)
        for depth, drawn in zip(pair, styles, strict=True)
    ]
    if band := band_label(shown):
        handles.append(style.band_handle(band))
    style.legend(figure, handles)
    return figure


def draw_train_and_test(epochs: pd.DataFrame) -> Figure | None:
    """One panel per model, one line per depth; training error dashed, test error solid: Figure 6 of the paper."""
    if epochs.empty:
        return None
    columns = ("train_error", watched(epochs))
    means = {column: over_seeds(epochs, column, ["epoch"]) for column in columns}
    models = [str(model) for model in epochs["model"].unique()]
    depths = sorted(int(depth) for depth in epochs["depth"].unique())
    figure, (panels,) = style.figure_of(1, len(models))
    suffix = style.scale(panels, pd.concat([mean[side] for mean in means.values() for side in ("low", "high")]))
    for axes, model in zip(panels, models, strict=True):
        for column in columns:
            dashes: dict[str, Any] = {"dashes": style.TRAINING_DASHES} if column == "train_error" else {}
            part = means[column][means[column]["model"].astype(str) == model]
            for index, (depth, drawn) in enumerate(zip(depths, style.line_styles(model, len(depths)), strict=True)):
                points = part[part["depth"] == depth]
                if len(points):
                    label = style.name(model, f"{depth} layers", SIDES[column])
                    draw_line(axes, points, index, label=label, **drawn, **dashes)
        axes.set(title=model if len(depths) > 1 else f"{model}, {depths[0]} layers", xlabel="epoch")
        style.integer_ticks(axes)
    panels[0].set_ylabel(f"error (%{suffix})")
    handles: list[Artist] = []
    if len(depths) > 1:  # a single depth's line would look like that of the test error
        single = models[0] if len(models) == 1 else None
        styles = style.line_styles(single, len(depths))
        handles += [style.line_handle(f"{depth} layers", **drawn) for depth, drawn in zip(depths, styles, strict=True)]
    middle = style.shades(None, 1)[0]
    handles += [
        style.line_handle(SIDES[columns[0]], color=middle, dashes=style.TRAINING_DASHES),
        style.line_handle(SIDES[columns[1]], color=middle),
    ]
    if band := band_label(epochs):
        handles.append(style.band_handle(band))
    style.legend(figure, handles)
    return figure
