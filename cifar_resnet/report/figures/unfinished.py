"""The runs that haven't finished, one line each: they ended at different epochs, so that a mean would mix them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from cifar_resnet.report.figures import style
from cifar_resnet.run.states import State

# The most runs of a model that have a line.
MOST = 30
END_MARKS = {
    State.PENDING: "o",
    State.QUEUED: "o",
    State.RUNNING: ">",
    State.INTERRUPTED: "s",
    State.FAILED: "X",
    State.DIVERGED: "^",
}
"""State → the mark at the end of the run's line."""


def draw_unfinished(epochs: pd.DataFrame) -> Figure | None:
    """Training error of each run, with a mark at its end that shows its state; one panel per model, shades for depths.

    Of each model, the `MOST` runs that came furthest are drawn.

    Returns:
        None if no run has an epoch.
    """
    epochs = epochs.dropna(subset=["train_error"])
    if epochs.empty:
        return None
    models = [str(model) for model in epochs["model"].unique()]
    depths = sorted(int(depth) for depth in epochs["depth"].unique())
    figure, (panels,) = style.figure_of(1, len(models))
    suffix = style.scale(panels, epochs["train_error"])
    states = []
    for axes, model in zip(panels, models, strict=True):
        own = epochs[epochs["model"].astype(str) == model]
        looks = dict(zip(depths, style.shades(model, len(depths)), strict=True))
        for folder in furthest(own):
            run = own[own["folder"] == folder]
            depth, seed, setting = int(run["depth"].iloc[0]), run["seed"].iloc[0], str(run["setting"].iloc[0])
            state = State(str(run["state"].iloc[0]))
            states.append(state)
            errors = style.on_axis(run["train_error"], axes)
            axes.plot(
                run["epoch"],
                errors,
                color=looks[depth],
                linewidth=1.0,
                label=style.name(model, f"{depth} layers", f"seed {seed}", setting, state.value),
                marker=END_MARKS[state],
                markevery=[len(run) - 1],
                markersize=5.5,
                markeredgecolor="white",
                markeredgewidth=0.4,
                # The mark of a run that ended at the edge of the panel is whole.
                clip_on=False,
            )
        axes.set(title=model, xlabel="epoch", xlim=(0, 1.02 * float(epochs["epoch"].max())))
        style.integer_ticks(axes)
    panels[0].set_ylabel(f"training error\n(%{suffix})")
    single = models[0] if len(models) == 1 else None
    handles: list[Artist] = [
        style.line_handle(f"{depth} layers", color=shade)
        for depth, shade in zip(depths, style.shades(single, len(depths)), strict=True)
    ]
    for state in dict.fromkeys(sorted(states, key=list(State).index)):
        look: dict[str, Any] = {"color": style.NEUTRAL[1], "linestyle": "none", "markersize": 5.5}
        handles.append(style.line_handle(state.value, marker=END_MARKS[state], **look))
    style.legend(figure, handles)
    return figure


def furthest(epochs: pd.DataFrame) -> list[str]:
    """The folders of the `MOST` runs of a model with the most epochs, in the order of the table."""
    last = epochs.groupby("folder", sort=False, observed=True)["epoch"].max()
    kept = set(last.nlargest(MOST, keep="first").index)
    return [str(folder) for folder in last.index if folder in kept]
