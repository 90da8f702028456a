"""The table of all figures. To add one, write a function that draws it and add its entry to `FIGURES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from cifar_resnet.report.figures import (
    classes,
    curves,
    diagnostics,
    forest,
    headline,
    paper,
    search,
    settings,
    summary,
    unfinished,
)
from cifar_resnet.report.figures.subject import Subject

SECTIONS = ("setup", "curves", "comparison", "ablation", "classes", "discussion", "left-out")
"""The parts of the report that show figures, in its order; the templates call them by these names."""


@dataclass(frozen=True)
class FigureSpec:
    """A figure that the report may have.

    Attributes:
        name: stem of its files, <out>/figures/<name>.png and .svg.
        section: the part of the report that shows it, one of SECTIONS.
        caption: one or two sentences; `{of.…}` is replaced by a property of the `Subject`.
        draw: makes the figure; returns None where the runs have nothing to show.
        of_finished: whether it shows finished runs, and is skipped where there are none.
    """

    name: str
    section: str
    caption: str
    draw: Callable[[Subject], Figure | None]
    of_finished: bool = True

    def caption_of(self, subject: Subject) -> str:
        """The caption for the runs of a data set."""
        return self.caption.format(of=subject)


FIGURES = (
    FigureSpec(
        "left_out",
        "left-out",
        "Training error per epoch of {of.unfinished_runs}, one line per run, with a mark where it ended. These runs "
        "appear in no other figure, and only in the tables that list runs.",
        lambda of: unfinished.draw_unfinished(of.unfinished_epochs),
        of_finished=False,
    ),
    FigureSpec(
        "training_loss",
        "curves",
        "Training loss per epoch (mean over its batches), {of.lines}.",
        lambda of: curves.draw(of.epochs, "train_loss", "training loss\n(cross-entropy{})", of.default),
    ),
    FigureSpec(
        "test_error",
        "curves",
        "Test error per epoch, {of.lines}.",
        lambda of: curves.draw(of.epochs_with("test_error"), "test_error", "test error\n(%{})", of.default),
    ),
    FigureSpec(
        "validation_error",
        "curves",
        "Error on the held-out training images per epoch, {of.lines}.",
        lambda of: curves.draw(of.epochs_with("val_error"), "val_error", "validation error\n(%{})", of.default),
    ),
    FigureSpec(
        "models_by_depth",
        "comparison",
        "The models at equal depth: training error (dashed) and {of.watched} (solid) per epoch, with the final errors "
        "beside the lines' ends, in their order (moved apart where they would overlap). The linear axis ends a little "
        "above them, below the errors of the first epochs; arrows mark networks that end above it."
        "{of.omitted_depths}{of.in_setting}",
        lambda of: headline.draw_by_depth(of.main_epochs),
    ),
    FigureSpec(
        "degradation",
        "comparison",
        "Plain networks of two depths: training error (left) and {of.watched} (right), as in Figure 1 of He et al. "
        "(2015).{of.in_setting}",
        lambda of: paper.draw_degradation(of.main_epochs),
    ),
    FigureSpec(
        "training_and_test_error",
        "comparison",
        "Training error (dashed) and {of.watched} (solid) per epoch, as in Figure 6 of He et al. (2015)."
        "{of.in_setting}",
        lambda of: paper.draw_train_and_test(of.main_epochs),
    ),
    FigureSpec(
        "error_against_depth",
        "comparison",
        "Final test error against depth{of.side_by_side}{of.published_marks}{of.in_setting}",
        lambda of: summary.draw_error_against_depth(of.main_runs, of.published),
    ),
    FigureSpec(
        "differences",
        "comparison",
        "All comparisons of models and depths: how much higher the error of the second network is, with the interval "
        "that is corrected for the number of comparisons{of.clearest_comparisons}",
        lambda of: forest.draw_forest(of.comparisons, of.runs.smallest),
    ),
    FigureSpec(
        "settings",
        "ablation",
        "Final {of.ranked_settings}",
        lambda of: settings.draw_settings(of.finished, of.references),
    ),
    FigureSpec(
        "setting_differences",
        "ablation",
        "How much higher the error of each setting is than that of the reference of the same network and length, "
        "with the interval that is corrected for the number of comparisons{of.clearest_settings}",
        lambda of: forest.draw_forest(of.ablations, of.runs.smallest),
    ),
    FigureSpec(
        "searched_values",
        "ablation",
        "Final {of.compared_side} against each searched value, one mark per run{of.lost_trials}",
        lambda of: search.draw_searched(of.finished, of.runs.unfinished),
    ),
    FigureSpec(
        "error_against_length",
        "ablation",
        "Final test error against the length of training, in epochs (left) and in time (right). Each point is the mean "
        "over the seeds of one length; its time is that of training at the median speed of the fastest of these runs.",
        lambda of: summary.draw_error_against_length(of.finished),
    ),
    FigureSpec(
        "error_against_time",
        "comparison",
        "Final test error against the time of training and evaluation, one mark per network{of.bars}{of.measured_on}",
        lambda of: summary.draw_error_against_time(of.timed_runs),
    ),
    FigureSpec(
        "confusion",
        "classes",
        "{of.confusion_matrices} {of.largest_confusions}{of.omitted_depths}{of.in_setting}",
        lambda of: classes.draw_confusion(of.confusions),
    ),
    FigureSpec(
        "learning_rate",
        "setup",
        "Learning rate at the end of each epoch.",
        lambda of: curves.draw_learning_rate(of.epochs),
    ),
    FigureSpec(
        "gradient_of_weights",
        "discussion",
        "Norm of the loss's gradient with respect to the weights of each 3×3 convolution.{of.in_setting}",
        lambda of: diagnostics.draw_by_layer(of.main_layers, "weight_grad_norm", "norm of the weights'\ngradient{}"),
    ),
    FigureSpec(
        "gradient_of_outputs",
        "discussion",
        "Norm of the loss's gradient with respect to the output of each 3×3 convolution: what is left of the backward "
        "signal at that layer.{of.in_setting}",
        lambda of: diagnostics.draw_by_layer(of.main_layers, "output_grad_norm", "norm of the outputs'\ngradient{}"),
    ),
    FigureSpec(
        "responses",
        "discussion",
        "Standard deviation of each 3×3 convolution's response after training, measured after batch normalization "
        "(where it follows the convolution: in a pre-activation block none follows the second one) and before "
        "non-linearity and addition, as in Figure 7 of He et al. (2015).{of.in_setting}",
        lambda of: diagnostics.draw_responses(of.main_layers),
    ),
    FigureSpec(
        "branch_ratio",
        "discussion",
        "Magnitude of what a block's residual branch adds, relative to what its shortcut carries.{of.in_setting}",
        lambda of: diagnostics.draw_by_layer(of.main_layers, "branch_ratio", "branch ÷ shortcut{}"),
    ),
)
