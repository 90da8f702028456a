"""Draws the figures of one data set's runs, as PNG and SVG; leaves out what there is nothing to show of."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from cifar_resnet import reference
from cifar_resnet.report.figures import classes, curves, diagnostics, paper, style, summary
from cifar_resnet.report.groups import compared
from cifar_resnet.report.load import Runs
from cifar_resnet.run.files import write_atomically
from cifar_resnet.run.folder import State

FOLDER = "figures"


@dataclass(frozen=True)
class Drawn:
    """A figure that was written.

    name: the files' stem, of `<out>/figures/<name>.png` and `.svg`.
    caption: what it shows, a sentence or two of plain text.
    section: the part of the report it belongs to: setup, curves, comparison, ablation, classes, discussion, left-out.
    """

    name: str
    caption: str
    section: str

    @property
    def png(self) -> str:
        """The PNG file, relative to the report's folder."""
        return f"{FOLDER}/{self.name}.png"

    @property
    def svg(self) -> str:
        """The SVG file, relative to the report's folder."""
        return f"{FOLDER}/{self.name}.svg"


def draw_all(runs: Runs, data: str, out: Path) -> list[Drawn]:
    """Draws every figure that the runs of a data set allow into `out`/figures, in the report's order.

    Raises:
        OSError: `out` can't be written to.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with style.applied():
        for drawn, make in _figures(runs, data):
            figure = make()
            for kind in ("png", "svg"):
                (folder / f"{drawn.name}.{kind}").unlink(missing_ok=True)
            if figure is not None:
                _save(figure, folder / drawn.name)
                written.append(drawn)
    return written


def _save(figure: Figure, stem: Path) -> None:
    # The layout is solved once, and each canvas draws once: savefig would do both again for each format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    style.save_png(figure, stem.with_name(f"{stem.name}.png"))
    text = io.StringIO()
    # Without a date and a program's version, the same data give the same bytes.
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    # Hundredths of a point are finer than any screen, and halve the file. Text stays: 0.001 is a tick's label.
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), text.getvalue()).encode()
    write_atomically(stem.with_name(f"{stem.name}.svg"), lambda file: file.write(svg))


def _figures(runs: Runs, data: str) -> Iterator[tuple[Drawn, Callable[[], Figure | None]]]:
    """Every figure that there may be, with its caption, and what makes it."""
    finished = runs.finished
    ended = runs.epochs["state"].astype(str) == State.FINISHED.value
    epochs, so_far = runs.epochs[ended], runs.epochs[~ended]
    yield (
        Drawn(
            "left_out",
            "How far runs that haven't finished have come: the training error of each epoch. No other figure has them, "
            "and no table but those of runs.",
            "left-out",
        ),
        lambda: curves.draw(so_far, "train_error", "training error\n(%{})"),
    )
    if finished.empty or epochs.empty:
        return
    main = runs.main_settings[data]
    main_epochs, main_runs = epochs[epochs["setting"] == main], finished[finished["setting"] == main]
    of_setting = f" Setting: {main}." if finished["setting"].nunique() > 1 and main else ""
    lines = "a line a setting" if finished["setting"].nunique() > 1 else "a line a depth"

    yield (
        Drawn("training_loss", f"Training loss of each epoch (mean over its batches), {lines}.", "curves"),
        lambda: curves.draw(epochs, "train_loss", "training loss\n(cross-entropy{})"),
    )
    yield (
        Drawn("test_error", f"Test error of each epoch, {lines}.", "curves"),
        lambda: curves.draw(_watching(epochs, "test_error"), "test_error", "test error\n(%{})"),
    )
    yield (
        Drawn("validation_error", f"Error on the held-out training images of each epoch, {lines}.", "curves"),
        lambda: curves.draw(_watching(epochs, "val_error"), "val_error", "validation error\n(%{})"),
    )
    yield (
        Drawn(
            "degradation",
            f"Plain networks of two depths: training error on the left, {paper.SIDES[paper.watched(main_epochs)]} on "
            f"the right, as in figure 1 of He et al. (2015).{of_setting}",
            "comparison",
        ),
        lambda: paper.draw_degradation(main_epochs),
    )
    yield (
        Drawn(
            "training_and_test_error",
            f"Training error (dashed) and {paper.SIDES[paper.watched(main_epochs)]} (solid) of each epoch, as in "
            f"figure 6 of He et al. (2015).{of_setting}",
            "comparison",
        ),
        lambda: paper.draw_train_and_test(main_epochs),
    )
    published = _published(main_runs)
    yield (
        Drawn(
            "error_against_depth",
            "Final test error against depth"
            + ("; hollow marks are the values published by He et al. (2015, 2016)." if published else ".")
            + of_setting,
            "comparison",
        ),
        lambda: summary.draw_error_against_depth(main_runs, published),
    )
    yield (
        Drawn("settings", _settings_caption(finished), "ablation"),
        lambda: summary.draw_settings(finished),
    )
    yield (
        Drawn(
            "error_against_length",
            "Final test error against the length of training, in epochs on the left and in time on the right: a point "
            "is the mean over the seeds of runs of that length, and its time that of the fastest of them.",
            "ablation",
        ),
        lambda: summary.draw_error_against_length(finished),
    )
    devices = ", ".join(sorted({str(device) for device in finished["device"].dropna()}))
    yield (
        Drawn(
            "error_against_time",
            "Final test error against the time of training and evaluation, a mark a run"
            + (f"; measured on {devices}." if devices else "."),
            "comparison",
        ),
        lambda: summary.draw_error_against_time(finished),
    )
    yield (
        Drawn(
            "confusion",
            "Which class the final networks take for which: percent of each class's test images, over all seeds; the "
            f"diagonal, what is right, is grey.{of_setting}",
            "classes",
        ),
        lambda: classes.draw_confusion(runs.confusions[data]),
    )
    yield (
        Drawn("learning_rate", "Learning rate at the end of each epoch.", "setup"),
        lambda: curves.draw_learning_rate(epochs),
    )
    yield from _diagnostic_figures(runs.diagnostics, main, of_setting)


def _diagnostic_figures(
    measured: pd.DataFrame, main: str, of_setting: str
) -> Iterator[tuple[Drawn, Callable[[], Figure | None]]]:
    if measured.empty:
        return
    shown = measured[(measured["setting"] == main) & (measured["state"].astype(str) == State.FINISHED.value)]
    for name, column, label, caption in (
        (
            "gradient_of_weights",
            "weight_grad_norm",
            "norm of the weights'\ngradient{}",
            "Norm of the loss's gradient with respect to the weights of each 3×3 convolution.",
        ),
        (
            "gradient_of_outputs",
            "output_grad_norm",
            "norm of the outputs'\ngradient{}",
            "Norm of the loss's gradient with respect to the output of each 3×3 convolution: what is left of the "
            "backward signal at that layer.",
        ),
    ):
        yield (
            Drawn(name, caption + of_setting, "discussion"),
            partial(diagnostics.draw_by_layer, shown, column, label),
        )
    yield (
        Drawn(
            "responses",
            "Standard deviation of each 3×3 convolution's response after training, after batch norm (where one "
            "follows: none does behind a pre-activation block's second) and before the non-linearity and the addition, "
            f"as in figure 7 of He et al. (2015).{of_setting}",
            "discussion",
        ),
        lambda: diagnostics.draw_responses(shown),
    )
    yield (
        Drawn(
            "branch_ratio",
            f"Size of what a block's branch adds, against what its shortcut carries.{of_setting}",
            "discussion",
        ),
        lambda: diagnostics.draw_by_layer(shown, "branch_ratio", "branch ÷ shortcut{}"),
    )


def _watching(epochs: pd.DataFrame, column: str) -> pd.DataFrame:
    """The epochs of the runs that measured this split every epoch, and not once at the end."""
    has_val = epochs["val_error"].notna() if "val_error" in epochs else pd.Series(False, index=epochs.index)
    held_out = epochs["folder"].isin(epochs["folder"][has_val].unique())
    return epochs[held_out if column == "val_error" else ~held_out]


def _settings_caption(finished: pd.DataFrame) -> str:
    most, settings = summary.MAX_SETTINGS, finished["setting"].nunique()
    which = f"the {most} best of {settings} settings" if settings > most else "each setting"
    return f"Final {paper.SIDES[compared(finished)]} of {which}, the best at the top."


def _published(runs: pd.DataFrame) -> list[reference.Published]:
    """The papers' values for these networks, where the images are the same."""
    if runs.empty or not all(
        reference.is_comparable(row["kind"], row["train_images"], row["test_images"]) for row in runs.to_dict("records")
    ):
        return []
    pairs = runs[["model", "depth"]].drop_duplicates().itertuples(index=False)
    return [item for model, depth in pairs for item in reference.published(str(model), int(depth), "paper")]
