"""Figures of diagnostics.csv: gradient norms, responses and branch ratios, layer by layer.

Layers are the 3×3 convolutions, numbered from 1 at the input.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifar_resnet.report.figures import style
from cifar_resnet.report.figures.curves import draw_line
from cifar_resnet.report.figures.seeds import GROUP, band_label, over_seeds

PLACES = {"1": "first convolution of a block", "2": "second convolution of a block"}
"""The end of a layer's name → its place in the block."""
FIRST = "first convolution of the network"


def draw_by_layer(diagnostics: pd.DataFrame, column: str, label: str) -> Figure | None:
    """A column against the layer: one panel per model, one line per depth and place in the block.

    Initialization is above, after training below.

    Args:
        diagnostics: one row per run, epoch and layer, of one data set and setting.
        column: what is drawn.
        label: label of its axis, with a placeholder for the scale.

    Returns:
        None if no run has the column.
    """
    measured = _at_both_ends(diagnostics, column)
    if measured.empty:
        return None
    means = over_seeds(_with_places(measured), column, ["moment", "place", "layer"])
    models = [str(model) for model in measured["model"].unique()]
    depths = sorted(int(depth) for depth in measured["depth"].unique())
    moments = [moment for moment in ("at initialization", "after training") if (means["moment"] == moment).any()]
    figure, grid = style.figure_of(len(moments), len(models), height=1.85)
    suffix = style.scale(list(chain.from_iterable(grid)), pd.concat([means["low"], means["high"]]))
    for row, moment in zip(grid, moments, strict=True):
        row[0].set_ylabel(label.format(_on_its_own_line(suffix)))
        for axes, model in zip(row, models, strict=True):
            part = means[(means["model"].astype(str) == model) & (means["moment"] == moment)]
            _draw_depths(axes, part, model, depths)
            axes.set_title(f"{model}, {moment}")
    for axes in grid[-1]:
        axes.set_xlabel("layer, from the input")
    style.legend(figure, _handles(measured, models, depths))
    return figure


def draw_responses(diagnostics: pd.DataFrame) -> Figure | None:
    """Standard deviations of the layers' responses after training, as in Figure 7 of He et al. (2015).

    In the order of the layers above, sorted by magnitude below; one panel per model, one line per depth.
    """
    measured = _at_both_ends(diagnostics, "response_std")
    measured = measured[measured["moment"] == "after training"]
    if measured.empty:
        return None
    in_order = over_seeds(_with_places(measured), "response_std", ["place", "layer"])
    largest_first = in_order.sort_values("mean", ascending=False, kind="stable")
    largest_first["place"] = ""
    largest_first["layer"] = largest_first.groupby(GROUP, sort=False, observed=True).cumcount() + 1
    models = [str(model) for model in measured["model"].unique()]
    depths = sorted(int(depth) for depth in measured["depth"].unique())
    figure, grid = style.figure_of(2, len(models), height=1.85)
    suffix = style.scale(list(chain.from_iterable(grid)), pd.concat([in_order["low"], in_order["high"]]))
    for row, frame, head, below in zip(
        grid,
        (in_order, largest_first),
        ("in layer order", "sorted"),
        ("layer, from the input", "rank, largest first"),
        strict=True,
    ):
        row[0].set_ylabel("std of responses" + _on_its_own_line(suffix))
        for axes, model in zip(row, models, strict=True):
            part = frame[frame["model"].astype(str) == model]
            _draw_depths(axes, part, model, depths)
            axes.set(title=f"{model}, {head}", xlabel=below)
    style.legend(figure, _handles(measured, models, depths))
    return figure


def draw_initialization(measured: pd.DataFrame) -> Figure:
    """Before training: gradients of the outputs above, responses below; one panel per model and setting.

    Args:
        measured: one row per network and layer, of all data sets and settings.
    """
    pairs = list(dict.fromkeys(zip(measured["model"].astype(str), measured["setting"].astype(str), strict=True)))
    depths = sorted(int(depth) for depth in measured["depth"].unique())
    figure, grid = style.figure_of(2, len(pairs), height=1.85, sharey="row")
    for row, (column, label) in zip(
        grid,
        (("output_grad_norm", "norm of the outputs'\ngradient"), ("response_std", "std of responses")),
        strict=True,
    ):
        means = over_seeds(_with_places(measured.dropna(subset=[column])), column, ["place", "layer"])
        suffix = style.scale(row, pd.concat([means["low"], means["high"]]))
        row[0].set_ylabel(label + _on_its_own_line(suffix))
        for axes, (model, setting) in zip(row, pairs, strict=True):
            part = means[(means["model"].astype(str) == model) & (means["setting"].astype(str) == setting)]
            _draw_depths(axes, part, model, depths)
            axes.set_title(f"{model}\n{setting}" if setting else model)
    for axes in grid[-1]:
        axes.set_xlabel("layer")
    style.legend(figure, _handles(measured, [model for model, _ in pairs], depths))
    return figure


def _with_places(measured: pd.DataFrame) -> pd.DataFrame:
    """Adds the layer's place in its block; empty for a network's first convolution, and where only one was measured.

    The two convolutions of a block often differ by more than neighboring blocks, so that one line through both would
    go up and down with every layer.
    """
    ends = measured["name"].astype(str).str.extract(r"\.conv([12])$", expand=False)
    return measured.assign(place=ends.map(PLACES).fillna("") if ends.nunique() == len(PLACES) else "")


def _draw_depths(axes: Axes, points: pd.DataFrame, model: str, depths: list[int]) -> None:
    """One line per depth and place in the block against the layer."""
    for index, (depth, drawn) in enumerate(zip(depths, style.line_styles(model, len(depths)), strict=True)):
        for place in ("", *PLACES.values()):
            line = points[(points["depth"] == depth) & (points["place"] == place)]
            if len(line):
                label = style.name(model, f"{depth} layers", place)
                # The first convolution of a network is a point.
                size = {"markersize": 3} if len(line) == 1 else {}
                draw_line(axes, line, index, "layer", label=label, **drawn | _dashes(place) | size)
    style.integer_ticks(axes)


def _dashes(place: str) -> dict[str, Any]:
    return {"dashes": (1.0, 1.0)} if place == PLACES["2"] else {}


def _on_its_own_line(suffix: str) -> str:
    """The scale of an axis on its own line of the label."""
    return f"\n({suffix.removeprefix(', ')})" if suffix else ""


def _at_both_ends(diagnostics: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows of epoch 0 and of each run's last measured epoch, distinguished by a column `moment`."""
    if column not in diagnostics or diagnostics.empty:
        return pd.DataFrame(columns=[*diagnostics.columns, "moment"])
    known = diagnostics.dropna(subset=[column])
    last = known.groupby("folder", observed=True)["epoch"].transform("max")
    first = known[known["epoch"] == 0].assign(moment="at initialization")
    end = known[(known["epoch"] == last) & (known["epoch"] > 0)].assign(moment="after training")
    return pd.concat([first, end])


def _handles(measured: pd.DataFrame, models: list[str], depths: list[int]) -> list[Artist]:
    model = models[0] if len(models) == 1 else None
    handles: list[Artist] = [
        style.line_handle(f"{depth} layers", **drawn)
        for depth, drawn in zip(depths, style.line_styles(model, len(depths)), strict=True)
    ]
    if (_with_places(measured)["place"] != "").any():
        handles.append(style.line_handle(FIRST, color=style.NEUTRAL[1], marker="o", markersize=3, linestyle="none"))
        handles += [style.line_handle(place, color=style.NEUTRAL[1], **_dashes(place)) for place in PLACES.values()]
    if band := band_label(measured):
        handles.append(style.band_handle(band))
    return handles
