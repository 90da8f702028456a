"""The curves of training loss and test error, a panel a model and a line a depth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from cifar_resnet.report.load import Runs
from cifar_resnet.run_dir import State, write_atomically

# file name → column of the epochs, axis label with a place for the scale
FIGURES = {
    "training_loss": ("train_loss", "training loss\n(cross-entropy{})"),
    "test_error": ("test_error", "test error\n(%{})"),
}
# Beyond this ratio of largest to smallest, curves at the bottom would be flattened by those at the top.
LOG_RATIO = 10.0
_DASHES = ((), (4, 1.5), (1, 1), (6, 1.5, 1, 1.5), (3, 1, 1, 1, 1, 1))


def draw_all(runs: Runs, out: Path) -> list[str]:
    """Draws each figure of each data set into `out` as PNG of 200 dots an inch; returns the files' names."""
    epochs = runs.epochs[runs.epochs["state"] == State.FINISHED.value]
    names = []
    for data, part in epochs.groupby("data", sort=False):
        suffix = f"-{data}" if epochs["data"].nunique() > 1 else ""
        for name, (column, label) in FIGURES.items():
            shown = part.dropna(subset=[column])
            if shown.empty:
                continue
            names.append(f"{name}{suffix}.png")
            figure = draw(shown, column, label, str(data))
            write_atomically(out / names[-1], partial(figure.savefig, dpi=200, format="png"))
    return names


def draw(epochs: pd.DataFrame, column: str, label: str, data: str) -> Figure:
    """A panel a model, a line a depth and setting: the mean over seeds, with a band from the lowest to the highest."""
    epochs = epochs.assign(line=_line_names(epochs))
    lines = list(epochs.sort_values(["depth", "setting"])["line"].unique())
    palette = dict(
        zip(lines, sns.color_palette("colorblind" if len(lines) <= 10 else "viridis", len(lines)), strict=True)
    )
    dashes = {line: _DASHES[index % len(_DASHES)] for index, line in enumerate(lines)}
    models = list(epochs["model"].unique())
    with mpl.rc_context({**sns.axes_style("whitegrid"), **sns.plotting_context("paper", font_scale=1.15)}):
        figure = Figure(figsize=(max(4.6, 2.9 * len(models)), 3.3), layout="constrained")
        panels: Sequence[Axes] = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for axes, model in zip(panels, models, strict=True):
            sns.lineplot(
                epochs[epochs["model"] == model],
                x="epoch",
                y=column,
                hue="line",
                style="line",
                hue_order=lines,
                style_order=lines,
                palette=palette,
                dashes=dashes,
                estimator="mean",
                errorbar=("pi", 100),
                legend=False,
                ax=axes,
                linewidth=1.6,
            )
            axes.set(title=model, xlabel="epoch", ylabel="")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            for drawn in axes.lines:
                # One point makes no line: a run of one epoch, or the single test of a run with a hold-out split.
                if np.size(drawn.get_xdata()) == 1:
                    drawn.set_marker("o")
        log = _scale(panels, epochs[column])
        panels[0].set_ylabel(label.format(", log scale" if log else ""))
        handles = [
            mpl.lines.Line2D(
                [], [], color=palette[line], dashes=dashes[line] or (None, None), linewidth=1.6, label=line
            )
            for line in lines
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(lines), 4), frameon=False)
        figure.suptitle(f"{data}{_seeds(epochs)}", fontsize="medium")
    return figure


def _line_names(epochs: pd.DataFrame) -> pd.Series[str]:
    depth = epochs["depth"].astype(str) + " layers"
    return depth.where(epochs["setting"] == "", depth + ", " + epochs["setting"])


def _seeds(epochs: pd.DataFrame) -> str:
    """How many seeds the lines are means of, for the title."""
    seeds = epochs.groupby(["model", "line"])["seed"].nunique()
    if seeds.max() == 1:
        return ", one seed"
    count = str(seeds.max()) if seeds.nunique() == 1 else f"{seeds.min()} to {seeds.max()}"
    return f", mean of {count} seeds (band: lowest to highest)"


def _scale(panels: Sequence[Axes], values: pd.Series[float]) -> bool:
    """A logarithmic axis with plain numbers where the curves span more than a decade; whether it was needed."""
    positive = values[values > 0]
    if positive.empty or positive.max() / positive.min() < LOG_RATIO:
        return False
    for axes in panels:
        # A run without a single error has no place on a logarithmic axis; it is drawn at the lower edge.
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(positive.min() / 1.3, positive.max() * 1.3)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    return True
