"""Figures show what was measured; the artists of their axes are checked, not pixels."""

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.report import figures
from cifar_resnet.report.figures import (
    FIGURES,
    SECTIONS,
    curves,
    diagnostics,
    forest,
    paper,
    search,
    settings,
    style,
    summary,
    unfinished,
)
from cifar_resnet.report.figures.subject import Subject, published_beside
from cifar_resnet.report.runs import load
from cifar_resnet.report.runs.groups import collect, with_references
from cifar_resnet.run.files import digest
from cifar_resnet.run.states import State
from tests.report.conftest import CIFAR10_FOLDER


@pytest.fixture
def drawn(tmp_path):
    """Draws all figures of the runs under `runs`; returns their names and the folder."""

    def draw():
        (data,) = load.load([tmp_path / "runs"]).datasets
        runs = load.load([tmp_path / "runs"]).of(data)
        made = figures.draw_all(runs, data, tmp_path / "report", for_page=False)
        return [figure.name for figure in made], tmp_path / "report/figures"

    return draw


@pytest.fixture
def epochs(tmp_path):
    """The epochs of the runs under `runs`."""
    return lambda: load.load([tmp_path / "runs"]).of("digits").epochs


@pytest.fixture
def finished(tmp_path):
    """The finished runs under `runs`, one row each."""
    return lambda: load.load([tmp_path / "runs"]).of("digits").finished


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_line_is_the_mean_over_seeds_and_its_band_the_lowest_and_highest(make_run, epochs):
    for seed, final in enumerate((6.0, 8.0, 13.0)):
        make_run(f"r{seed}", [50.0, final], seed=seed)
    figure = curves.draw(epochs(), "test_error", "test error (%{})")
    (axes,) = figure.axes
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[1.0, 50.0], [2.0, 9.0]]
    band = axes.collections[0].get_paths()[0].vertices
    assert {6.0, 13.0} <= set(band[band[:, 0] == 2.0][:, 1])
    assert axes.get_title() == "resnet"
    assert legend_of(figure) == ["20 layers", "mean of 3 seeds; band: lowest to highest"]
    # The page hides a line together with its band.
    assert line.get_label() == axes.collections[0].get_label() == "resnet · 20 layers"


def test_one_seed_has_no_band_and_no_legend_of_one(make_run, epochs):
    make_run("a", [50.0, 6.0])
    figure = curves.draw(epochs(), "test_error", "{}")
    assert len(figure.axes[0].collections) == 0
    assert legend_of(figure) == ["20 layers"]


def test_a_run_of_one_epoch_is_a_point(make_run, epochs):
    make_run("a", [50.0])
    (line,) = curves.draw(epochs(), "test_error", "{}").axes[0].lines
    assert line.get_marker() == "o"


def test_models_are_panels_and_depths_are_shades_from_light_to_dark(make_run, epochs):
    for model, depth in itertools.product(reversed(ARCHITECTURES), (110, 20, 56)):
        make_run(f"{model}{depth}", [50.0, 6.0], model=model, depth=depth)
    figure = curves.draw(epochs(), "test_error", "{}")
    assert [axes.get_title() for axes in figure.axes] == list(ARCHITECTURES)
    for axes in figure.axes:
        brightness = [np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) for line in axes.lines]
        assert brightness == sorted(brightness, reverse=True)
        widths = [line.get_linewidth() for line in axes.lines]
        assert widths == sorted(widths)
    assert legend_of(figure) == ["20 layers", "56 layers", "110 layers"]


def test_a_run_at_chance_makes_the_axis_logarithmic_and_the_label_says_so(make_run, epochs):
    make_run("a", [50.0, 2.0])
    make_run("b", [90.0, 90.0], model="plain", depth=56)
    axes = curves.draw(epochs(), "test_error", "test error (%{})").axes[0]
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "test error (%, log scale)")


def test_alike_errors_have_a_plain_axis(make_run, epochs):
    make_run("a", [12.0, 8.0])
    axes = curves.draw(epochs(), "test_error", "test error (%{})").axes[0]
    assert (axes.get_yscale(), axes.get_ylabel()) == ("linear", "test error (%)")


def test_no_error_at_all_lies_at_the_edge_of_a_logarithmic_axis(make_run, epochs):
    make_run("a", [50.0, 2.0, 0.0])
    axes = curves.draw(epochs(), "test_error", "test error (%{})").axes[0]
    assert axes.get_ylabel() == "test error (%, log scale, 0 at the edge)"
    assert axes.lines[0].get_ydata()[-1] == pytest.approx(axes.get_ylim()[0])
    assert axes.get_ylim()[0] < 2.0


def test_an_ablation_has_one_line_per_setting_in_panels_of_model_and_depth(make_run, epochs):
    for lr, depth in itertools.product((0.1, 0.05), (20, 56)):
        make_run(f"{lr}-{depth}", [50.0, 100 * lr], depth=depth, optim__lr=lr)
    figure = curves.draw(epochs(), "test_error", "{}")
    assert [axes.get_title() for axes in figure.axes] == ["resnet, 20 layers", "resnet, 56 layers"]
    finals = [sorted(line.get_ydata()[-1] for line in axes.lines) for axes in figure.axes]
    assert finals == [[5.0, 10.0], [5.0, 10.0]]
    assert sorted(legend_of(figure)) == ["lr=0.05", "lr=0.1"]
    first, second = ([line.get_color() for line in axes.lines] for axes in figure.axes)
    assert first == second == style.setting_colors(2)


def test_settings_keep_their_colors_among_the_times(make_run, finished):
    make_run("a", [6.0], optim__lr=0.1)
    make_run("b", [9.0], optim__lr=0.05, model="plain")
    (axes,) = (figure := summary.draw_error_against_time(finished())).axes
    marks = {line.get_marker(): line.get_color() for line in axes.lines}
    legend = {handle.get_label(): handle.get_color() for handle in figure.legends[0].legend_handles}
    assert (marks["o"], marks["s"]) == (legend["lr=0.05"], legend["lr=0.1"])
    assert {"plain", "resnet"} <= set(legend)


def test_of_many_settings_each_of_the_best_has_a_panel_and_the_default_is_there(make_run, epochs):
    for index in range(45):
        make_run(f"r{index}", [80.0, 20.0 + index], optim__lr=0.001 * (index + 1))
    figure = curves.draw(epochs(), "test_error", "{}", "lr=0.045")
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == curves.MOST_PANELS
    assert titles[0] == "lr=0.001"
    assert titles[-1] == "lr=0.045 (reference)"
    gray, own = figure.axes[0].lines
    assert (gray.get_ydata()[-1], own.get_ydata()[-1]) == (64.0, 20.0)
    assert len(figure.axes[-1].lines) == 1
    assert legend_of(figure) == ["resnet · 20 layers", "the reference setting"]


def test_few_settings_share_a_panel_and_the_default_is_named(make_run, epochs):
    for lr in (0.1, 0.05):
        make_run(f"r{lr}", [50.0, 6.0], optim__lr=lr)
    assert legend_of(curves.draw(epochs(), "test_error", "{}", "lr=0.1")) == ["lr=0.05", "lr=0.1 (reference)"]


def test_the_labs_figure_has_training_left_and_test_right_of_plain_20_and_56(make_run, epochs):
    for depth, error in ((20, 9.0), (56, 12.0), (110, 30.0)):
        make_run(f"p{depth}", [60.0, error], [70.0, error - 5], model="plain", depth=depth)
        make_run(f"r{depth}", [60.0, 5.0], depth=depth)
    left, right = paper.draw_degradation(epochs()).axes
    assert (left.get_title(), right.get_title()) == ("training error", "test error")
    assert [line.get_ydata()[-1] for line in left.lines] == [4.0, 7.0]
    assert [line.get_ydata()[-1] for line in right.lines] == [9.0, 12.0]


def test_training_is_dashed_and_test_is_solid(make_run, epochs):
    make_run("a", [60.0, 5.0], [70.0, 1.0])
    figure = paper.draw_train_and_test(epochs())
    train, test = figure.axes[0].lines
    assert (train.get_ydata()[-1], train.is_dashed()) == (1.0, True)
    assert (test.get_ydata()[-1], test.is_dashed()) == (5.0, False)
    assert (figure.axes[0].get_title(), legend_of(figure)) == ("resnet, 20 layers", ["training error", "test error"])


def test_error_against_depth_has_means_seeds_and_published_values(make_run, tmp_path):
    for depth, seed in itertools.product((20, 110), (0, 1)):
        make_run(f"{depth}-{seed}", [50.0, 8.0 + seed], depth=depth, seed=seed, data__kind="cifar10", data__name="c")
    finished = load.load([tmp_path / "runs"]).of("c").finished
    published = published_beside(finished)
    assert [(item.depth, item.error) for item in published] == [(20, 8.75), (110, 6.61)]
    (axes,) = summary.draw_error_against_depth(finished, published).axes
    mean, seeds, *hollow = axes.lines
    assert mean.get_ydata().tolist() == [8.5, 8.5]
    assert seeds.get_ydata().tolist() == [8.0, 9.0, 8.0, 9.0]
    assert [mark.get_ydata()[0] for mark in hollow] == [8.75, 6.61]
    assert {mark.get_marker() for mark in hollow} == {"*"}
    # Side by side: the published value, the mean, the seeds.
    assert hollow[0].get_xdata()[0] < mean.get_xdata()[0] < seeds.get_xdata()[0]


def test_an_entry_of_a_legend_has_the_mark_that_it_explains(make_run, tmp_path):
    for depth, seed in itertools.product((20, 110), (0, 1)):
        make_run(f"{depth}-{seed}", [50.0, 8.0 + seed], depth=depth, seed=seed, data__kind="cifar10", data__name="c")
    finished = load.load([tmp_path / "runs"]).of("c").finished
    figure = summary.draw_error_against_depth(finished, published_beside(finished))
    entries = {handle.get_label(): handle for handle in figure.legends[0].legend_handles}
    for line in figure.axes[0].lines:
        entry = entries[line.get_label().split(style.SEPARATOR)[-1]]
        assert (entry.get_marker(), entry.get_markersize()) == (line.get_marker(), line.get_markersize())


def test_a_network_at_chance_breaks_the_axis_of_depths(make_run, finished):
    for model, depth, error in (("plain", 20, 9.0), ("plain", 110, 90.0), ("resnet", 20, 8.5), ("resnet", 110, 6.5)):
        make_run(f"{model}{depth}", [50.0, error], model=model, depth=depth)
    figure = summary.draw_error_against_depth(finished())
    above, below = figure.axes
    assert above.get_ylim()[0] < 90 < above.get_ylim()[1]
    assert below.get_ylim()[0] < 6.5 and 9 < below.get_ylim()[1] < 15
    assert (above.get_yscale(), below.get_yscale()) == ("linear", "linear")
    assert below.get_ylabel() == "final test error (%, axis broken)"


def test_a_broken_axis_hides_no_mean(make_run, finished):
    for model, depth, found in (("plain", 20, (9.0,)), ("resnet", 20, (8.5,)), ("resnet", 110, (6.5,))):
        make_run(f"{model}{depth}", [50.0, *found], model=model, depth=depth)
    for seed, error in enumerate((90.0, 20.0)):  # their mean is between them
        make_run(f"p{seed}", [50.0, error], model="plain", depth=110, seed=seed)
    for draw in (summary.draw_error_against_depth, summary.draw_error_against_time):
        limits = [axes.get_ylim() for axes in draw(finished()).axes]
        assert len(limits) == 2 and any(low < 55 < high for low, high in limits)


@pytest.mark.parametrize(("deviation", "beside"), [(0.2470, [8.75]), (0.2458, [])])
def test_published_values_stand_beside_cifar10_as_a_folder(make_run, finished, deviation, beside):
    data = CIFAR10_FOLDER | {"std": [deviation, 0.2435, 0.2616]}
    make_run("a", [8.0], status={"data": data}, data__kind="image_folder")
    assert [item.error for item in published_beside(finished())] == beside


def test_published_values_stand_beside_no_other_data(make_run, finished):
    make_run("a", [6.0])
    make_run("b", [7.0], depth=110)
    assert published_beside(finished()) == []


def test_error_against_time_has_each_network_in_a_fitting_unit(make_run, finished):
    make_run("a", [6.0], status={"seconds": 600.0})
    make_run("b", [7.0], seed=1, status={"seconds": 900.0})
    make_run("c", [5.0], depth=56, status={"seconds": 1200.0})
    (axes,) = summary.draw_error_against_time(finished()).axes
    assert axes.get_xlabel() == "training and evaluation time (minutes)"
    line, bar, *_ = axes.lines
    assert line.get_xydata().tolist() == [[10.0, 6.5], [20.0, 5.0]]
    assert bar.get_xydata().tolist() == [[10.0, 6.0], [10.0, 7.0]]


def test_the_caption_of_times_names_what_is_a_mean_and_what_the_fastest(make_run, tmp_path):
    (spec,) = (spec for spec in FIGURES if spec.name == "error_against_time")
    make_run("a", [6.0])
    make_run("deep", [5.0], depth=56)
    assert "one mark per network; measured on a CPU." in spec.caption_of(Subject(load.load([tmp_path]), "digits"))
    make_run("b", [7.0], seed=1)
    caption = spec.caption_of(Subject(load.load([tmp_path]), "digits"))
    assert (
        "one mark per network: the mean error over its seeds at the time of the fastest one, with a bar from the "
        "lowest to the highest error; measured on a CPU."
    ) in caption


@pytest.mark.parametrize("second", [100.0, 101.0, 900.0])
def test_times_begin_at_zero_so_that_alike_ones_look_alike(make_run, finished, second):
    make_run("a", [6.0], status={"seconds": 100.0})
    make_run("b", [7.0], depth=56, status={"seconds": second})
    (axes,) = summary.draw_error_against_time(finished()).axes
    low, high = axes.get_xlim()
    assert (axes.get_xscale(), low) == ("linear", 0)
    assert max(line.get_xdata()[0] for line in axes.lines) < high
    assert len([tick for tick in axes.get_xticks() if low <= tick <= high]) in range(3, 8)


def test_times_that_span_decades_are_on_a_logarithmic_axis(make_run, finished):
    make_run("a", [6.0], status={"seconds": 3.0})
    make_run("b", [7.0], depth=56, status={"seconds": 40_000.0})
    (axes,) = summary.draw_error_against_time(finished()).axes
    assert axes.get_xlabel() == "training and evaluation time (hours, log scale)"


def test_settings_that_take_as_long_are_not_piled_up_at_one_time(make_run, tmp_path):
    for lr, seconds in ((0.1, 60.0), (0.05, 61.0)):
        make_run(f"r{lr}", [6.0], optim__lr=lr, status={"seconds": seconds})
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    assert list(subject.timed_runs["setting"]) == ["lr=0.1"]
    make_run("slow", [6.0], optim__lr=0.2, status={"seconds": 90.0})
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    assert len(subject.timed_runs) == 3


def drawn_settings(runs):
    references = [reference for reference, _ in with_references(collect(runs)["digits"].values())]
    return settings.draw_settings(runs, references)


def test_settings_are_rows_with_the_best_at_the_top_and_the_default_marked(make_run, finished):
    for shortcut, error in (("A", 9.0), ("B", 6.0)):
        make_run(f"r{shortcut}", [error], model__shortcut=shortcut)
    (axes,) = drawn_settings(finished()).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["shortcut=B", "shortcut=A (reference)"]
    means, ring = axes.lines
    assert sorted(means.get_xydata().tolist()) == [[6.0, 0.0], [9.0, 1.0]]
    assert ring.get_xydata().tolist() == [[9.0, 1.0]]


def test_the_default_setting_is_shown_however_bad_it_is(make_run, finished):
    frame = pd.DataFrame({"setting": [f"kind={index}x" for index in range(settings.MAX_SETTINGS + 5)]})
    make_run("a", [50.0, 6.0])
    one = finished().iloc[[0]].drop(columns=["setting", "off_default", "test_error"])
    runs = frame.join(pd.concat([one] * len(frame), ignore_index=True))
    runs = runs.assign(off_default=(frame.index > 0).astype(int), test_error=50.0 - frame.index)
    labels = [label.get_text() for label in drawn_settings(runs).axes[0].get_yticklabels()]
    assert len(labels) == settings.MAX_SETTINGS
    assert labels[-1] == "kind=0x (reference)"


@pytest.mark.parametrize("lrs", [(0.05, 0.02), (0.05, 0.02, 0.01)], ids=["rows", "axis"])
def test_the_setting_with_a_ring_is_the_one_that_the_table_compares_with(make_run, tmp_path, lrs):
    # Of plain-20 alone, most runs have lr=0.02; of both networks together, lr=0.05. Of preact-20, none of these
    # has finished.
    for model, counts in (("resnet", (3, 1, 1)), ("plain", (1, 2, 1)), ("preact", (1, 1, 1))):
        for lr, count in zip(lrs, counts, strict=False):
            for seed in range(count):
                state = "failed" if (model, lr) == ("preact", 0.05) else "finished"
                make_run(f"{model}{lr}{seed}", [10 * lr + seed], state=state, model=model, seed=seed, optim__lr=lr)
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    axes = settings.draw_settings(subject.finished, subject.references).axes[0]
    rings = {line.get_label(): len(line.get_xdata()) for line in axes.lines if line.get_label().endswith("reference")}
    assert rings == dict.fromkeys((f"{model} · 20 layers · reference" for model in ("plain", "resnet", "preact")), 1)
    compared_with = {each.first.model: each.first.setting for each in subject.ablations}
    assert compared_with == {"plain": "lr=0.05", "resnet": "lr=0.05", "preact": "lr=0.02"}
    assert {group.model: group.setting for group in subject.references} == compared_with
    assert subject.default == "lr=0.05"


def test_a_numeric_factor_has_an_axis_and_the_others_panels(make_run, finished):
    for lr, shortcut in itertools.product((0.01, 0.1, 1.0), ("A", "B")):
        make_run(f"r{lr}{shortcut}", [5.0 + lr + (shortcut == "B")], optim__lr=lr, model__shortcut=shortcut)
    figure = drawn_settings(finished())
    assert [axes.get_title() for axes in figure.axes] == ["shortcut=A", "shortcut=B"]
    first, second = figure.axes
    assert (first.get_xscale(), first.get_xlabel()) == ("log", "lr, log scale")
    line, ring = first.lines
    assert line.get_xydata().tolist() == [[0.01, 5.01], [0.1, 5.1], [1.0, 6.0]]
    assert ring.get_xydata().tolist() == [[0.1, 5.1]]
    assert second.lines[1].get_xydata().tolist() == []


def test_evenly_spaced_values_have_a_linear_axis(make_run, finished):
    for width in (8, 16, 24):
        make_run(f"r{width}", [6.0], model__width=width)
    assert drawn_settings(finished()).axes[0].get_xscale() == "linear"


def test_searched_values_are_drawn_one_factor_per_panel(make_run, finished):
    for index in range(8):
        make_run(f"r{index}", [6.0 + index], optim__lr=0.01 * 2**index, optim__momentum=0.9 - 0.01 * index)
    figure = search.draw_searched(finished())
    assert [axes.get_xlabel() for axes in figure.axes] == ["lr, log scale", "momentum"]
    assert figure.axes[0].lines[0].get_xydata().tolist()[0] == [0.01, 6.0]


def test_a_search_shows_choices_and_lost_trials_too(make_run, tmp_path):
    for index in range(9):
        keys = {"optim__lr": 0.01 * 2**index, "optim__momentum": 0.9 - 0.01 * index}
        state = {7: "failed", 8: "diverged"}.get(index, "finished")
        make_run(f"r{index}", [6.0 + index], state=state, model__shortcut="AB"[index % 2], **keys)
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    figure = search.draw_searched(subject.finished, subject.runs.unfinished)
    lr, choice = (next(axes for axes in figure.axes if axes.get_xlabel().startswith(key)) for key in ("lr", "shortcut"))
    assert [label.get_text() for label in choice.get_xticklabels()] == ["A", "B"]
    assert [line.get_label().rpartition(" · ")[2] for line in lr.lines] == ["20 layers", "diverged", "failed"]
    finished, diverged, failed = lr.lines
    assert len(finished.get_xdata()) == 7
    assert (list(diverged.get_xdata()), list(failed.get_xdata())) == ([2.56], [1.28])
    assert diverged.get_ydata() == failed.get_ydata() == [1.0]  # the upper edge
    assert subject.default is None
    assert "default" not in subject.ranked_settings + subject.lines


def test_a_forest_plot_has_each_comparison_with_its_interval(make_run, tmp_path):
    for seed, (model, error) in itertools.product(range(3), (("plain", 9.0), ("resnet", 6.0), ("preact", 6.0))):
        make_run(f"{model}{seed}", [50.0, error + 0.1 * seed], model=model, seed=seed)
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    figure = forest.draw_forest(subject.comparisons, 0.1)
    test, _ = figure.axes
    assert [label.get_text() for label in test.get_yticklabels()] == ["plain-20 → resnet-20", "resnet-20 → preact-20"]
    (first, *_), (second, *_) = ([each.one for each in subject.comparisons if each.measure == "test_error"], [0])
    del second
    lines = {line.get_label(): line for line in reversed(test.lines)}
    interval = lines["plain-20 → resnet-20 · better"]
    assert interval.get_xdata().tolist() == pytest.approx([first.low, first.high])
    assert "resnet-20 → preact-20 · inconclusive" in lines
    assert legend_of(figure) == ["better", "inconclusive", "less than 0.1 points: not worth naming"]
    assert subject.clearest_comparisons == "."  # nothing is beyond the axes


def test_a_caption_explains_that_an_interval_continues_beyond_the_axis(make_run, tmp_path):
    # The last difference is far from the others, but within their intervals; its own interval is wider.
    errors = ((0.1, (6.0, 6.1)), (0.2, (6.0, 6.3)), (0.3, (5.9, 6.4)), (0.4, (5.0, 9.0)))
    for lr, both in errors:
        for seed, error in enumerate(both):
            make_run(f"r{lr}{seed}", [50.0, error], optim__lr=lr, seed=seed)
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    (axes,) = forest.draw_forest(subject.ablations, 0.1).axes
    assert not axes.texts
    assert subject.clearest_settings == ". Intervals that reach the end of the axis continue beyond it."


def test_of_many_comparisons_the_clearest_are_drawn_and_one_far_away_is_a_number(make_run, tmp_path):
    for index in range(forest.MOST + 3):
        make_run(f"r{index}", [6.0 + 0.1 * index if index < 40 else 90.0], optim__lr=0.001 * (index + 1))
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    (axes,) = forest.draw_forest(subject.ablations, 0.1).axes
    assert len(axes.get_yticks()) == forest.MOST
    arrows = " A number with an arrow is a difference beyond the end of the axis."
    assert subject.clearest_settings == "; the 40 clearest of 42 pairs." + arrows
    assert sum(text.get_text().endswith("→") for text in axes.texts) == 3


def test_settings_with_held_out_images_are_drawn_by_those(make_run, finished):
    for lr, test, val in ((0.1, 5.0, 8.0), (0.05, 7.0, 6.0)):
        make_run(f"r{lr}", [test], val=[val], optim__lr=lr)
    (axes,) = drawn_settings(finished()).axes
    assert axes.get_xlabel() == "final validation error (%)"
    assert sorted(axes.lines[0].get_xydata().tolist()) == [[6.0, 0.0], [8.0, 1.0]]


def test_a_long_setting_takes_lines_and_keeps_its_end(make_run, finished):
    names = {"optim__lr": 0.01, "optim__weight_decay": 1e-5, "optim__momentum": 0.5, "model__width": 20}
    make_run("a", [6.0])
    make_run("b", [7.0], **names)
    (axes,) = drawn_settings(finished()).axes
    label = axes.get_yticklabels()[1].get_text()
    assert label.replace("\n", " ") == "width=20, lr=0.01, momentum=0.5, weight_decay=1e-05"
    assert label.count("\n") == 1


def test_lengths_of_training_are_one_line_per_recipe_against_epochs_and_time(make_run, finished):
    one_cycle = {"optim__schedule": "onecycle", "optim__lr": 0.2}
    for seed, epochs in itertools.product((0, 1), (2, 4)):
        lasting = {"optim__epochs": epochs, "seed": seed, "status": {"seconds": 1e4 * epochs}}
        for name, error, keys in (("lab", 9.0, {}), ("one", 8.0, one_cycle)):
            run = make_run(f"{name}{seed}{epochs}", [error - epochs + seed] * epochs, **lasting, **keys)
            # The second seed is slower throughout, and one epoch of the longer runs much slower, because of other work.
            speeds = [1.0 if epoch == 3 else 143.7 / (1 + seed) for epoch in range(epochs)]
            head, *rows = run.metrics.read_text().splitlines(keepends=True)
            rows = [row.replace(",100\n", f",{speed}\n") for row, speed in zip(rows, speeds, strict=True)]
            run.metrics.write_text(head + "".join(rows))
            run.update_status(metrics_digest=digest(run.metrics))
    make_run("once", [5.0], depth=56, optim__epochs=1)
    figure = summary.draw_error_against_length(finished())
    in_epochs, in_time = figure.axes
    means = [line.lines[0].get_xydata().tolist() for line in in_epochs.containers]
    assert means == [[[2.0, 7.5], [4.0, 5.5]], [[2.0, 6.5], [4.0, 4.5]]]
    assert [line.lines[0].get_xdata().tolist() for line in in_time.containers] == [pytest.approx([20.0, 40.0])] * 2
    assert legend_of(figure) == [
        "resnet · 20 layers · optim=lab",
        "resnet · 20 layers · optim=onecycle",
        "lowest to highest seed",
    ]


def test_one_length_is_no_figure_of_lengths(make_run, finished):
    make_run("a", [9.0, 6.0])
    assert summary.draw_error_against_length(finished()) is None


def test_a_legend_of_many_lines_leaves_the_panels_their_height(make_run, epochs):
    for index in range(4):
        keys = {"optim__lr": 0.01 * (index + 1), "optim__weight_decay": 1e-5 * (index + 1), "model__width": 16 + index}
        make_run(f"r{index}", [90.0, 2.0 + index], **keys, optim__momentum=0.5 + 0.05 * index)
    with style.applied():
        figure = curves.draw(epochs(), "test_error", "{}")
        figure.draw_without_rendering()
    assert all("\n" in label for label in legend_of(figure))
    (axes,) = figure.axes
    assert axes.get_position().height * figure.get_figheight() > 1.2


def test_schedules_are_named_for_who_had_them(make_run, epochs):
    for depth in (20, 56, 110):
        run = make_run(f"r{depth}", [50.0, 6.0], depth=depth)
        if depth == 110:
            run.metrics.write_text(run.metrics.read_text().replace("1,1,0.1", "1,1,0.01"))
    figure = curves.draw_learning_rate(epochs())
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [[0.1, 0.1], [0.01, 0.1]]
    assert legend_of(figure) == ["20, 56 layers", "110 layers"]


def test_gradients_are_drawn_by_layer_at_both_ends_of_training(make_run, make_layers, tmp_path):
    make_layers(make_run("a", [50.0, 6.0]), [0.5, 0.25, 0.125], [1.0, 0.1, 0.01])
    measured = load.load([tmp_path / "runs"]).diagnostics
    figure = diagnostics.draw_by_layer(measured, "output_grad_norm", "norm{}")
    assert [axes.get_title() for axes in figure.axes] == ["resnet, at initialization", "resnet, after training"]
    for axes in figure.axes:
        assert axes.lines[0].get_xydata().tolist() == [[1.0, 1.0], [2.0, 0.1], [3.0, 0.01]]
        assert axes.get_ylabel() == "norm\n(log scale)"


def test_the_two_convolutions_of_a_block_are_lines_of_their_own(make_run, make_layers, tmp_path):
    run = make_run("a", [50.0, 6.0])
    make_layers(run, [0.5] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    text = run.diagnostics.read_text()
    for layer, name in enumerate(("conv1", "b.0.conv1", "b.0.conv2", "b.1.conv1", "b.1.conv2"), 1):
        text = text.replace(f"stage1.{layer}", name)
    run.diagnostics.write_text(text)
    figure = diagnostics.draw_by_layer(load.load([tmp_path / "runs"]).diagnostics, "output_grad_norm", "norm{}")
    lines = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert lines == {
        "resnet · 20 layers": [[1.0, 1.0]],
        "resnet · 20 layers · first convolution of a block": [[2.0, 2.0], [4.0, 4.0]],
        "resnet · 20 layers · second convolution of a block": [[3.0, 3.0], [5.0, 5.0]],
    }
    assert legend_of(figure) == ["20 layers", diagnostics.FIRST, *diagnostics.PLACES.values()]


def test_responses_are_drawn_in_order_and_sorted(make_run, make_layers, tmp_path):
    make_layers(make_run("a", [50.0, 6.0]), [0.25, 0.5, 0.125], [1.0, 1.0, 1.0])
    in_order, by_size = diagnostics.draw_responses(load.load([tmp_path / "runs"]).diagnostics).axes
    assert in_order.lines[0].get_ydata().tolist() == [0.25, 0.5, 0.125]
    assert by_size.lines[0].get_xydata().tolist() == [[1.0, 0.5], [2.0, 0.25], [3.0, 0.125]]


def test_figures_without_data_are_not_drawn(make_run, drawn, unsaved):
    make_run("a", [50.0, 6.0])
    names, folder = drawn()
    assert {"training_loss", "test_error", "training_and_test_error"} <= set(names)
    assert not {
        "learning_rate",
        "degradation",
        "error_against_depth",
        "settings",
        "confusion",
        "responses",
        "left_out",
    } & set(names)
    assert {path.stem for path in folder.iterdir()} == set(names)


def test_every_figure_has_a_name_of_its_own_and_a_section_of_the_report():
    assert len({spec.name for spec in FIGURES}) == len(FIGURES)
    assert {spec.section for spec in FIGURES} <= set(SECTIONS)


@pytest.mark.parametrize("spec", FIGURES, ids=lambda spec: spec.name)
def test_every_figure_has_a_caption_of_whole_sentences(spec, make_run, tmp_path):
    for lr in (0.1, 0.05):
        make_run(f"r{lr}", [50.0, 6.0], optim__lr=lr)
    caption = spec.caption_of(Subject(load.load([tmp_path / "runs"]), "digits"))
    assert caption[0].isupper() and caption.endswith(".")
    assert not set("{}") & set(caption)


def test_a_figure_of_an_earlier_report_does_not_stay(make_run, drawn, unsaved):
    make_run("a", [50.0, 6.0])
    _, folder = drawn()
    (folder / "degradation.png").write_bytes(b"old")
    drawn()
    assert not (folder / "degradation.png").exists()


def test_unfinished_runs_have_their_own_figure(make_run, drawn, unsaved):
    make_run("a", [90.0, 90.0], state="diverged")
    assert drawn()[0] == ["left_out"]
    make_run("b", [50.0, 6.0], model="plain")
    names, _ = drawn()
    assert names[0] == "left_out" and "training_loss" in names


def test_each_unfinished_run_is_a_line_with_a_mark_of_its_state_at_its_end(make_run, epochs):
    make_run("a", [90.0, 80.0, 70.0], [91.0, 81.0, 71.0], state="diverged")
    make_run("b", [60.0], [61.0], state="failed", seed=1)
    figure = unfinished.draw_unfinished(epochs())
    first, second = figure.axes[0].lines
    assert first.get_xydata().tolist() == [[1.0, 91.0], [2.0, 81.0], [3.0, 71.0]]
    assert second.get_xydata().tolist() == [[1.0, 61.0]]
    assert (first.get_markevery(), second.get_markevery()) == ([2], [0])
    assert first.get_marker() != second.get_marker()
    entries = {handle.get_label(): handle.get_marker() for handle in figure.legends[0].legend_handles}
    assert (entries["diverged"], entries["failed"]) == (first.get_marker(), second.get_marker())
    assert first.get_label() == "resnet · 20 layers · seed 0 · diverged"


@pytest.mark.parametrize("state", [state for state in State if state is not State.FINISHED])
def test_every_state_of_an_unfinished_run_has_a_mark(state, make_run, epochs):
    make_run("a", [90.0, 80.0], state=state.value)
    frame = epochs().assign(state=state.value)
    assert state.value in legend_of(unfinished.draw_unfinished(frame))


def test_of_many_unfinished_runs_the_furthest_are_drawn_and_the_caption_says_so(make_run, tmp_path):
    for seed in range(unfinished.MOST + 1):
        make_run(f"r{seed}", [90.0] * (1 if seed == 3 else 2), state="failed", seed=seed)
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    (axes,) = unfinished.draw_unfinished(subject.unfinished_epochs).axes
    assert len(axes.lines) == unfinished.MOST
    assert not any("seed 3 " in line.get_label() for line in axes.lines)
    assert subject.unfinished_runs == "the 30 furthest of each model's runs that haven't finished"


def test_what_has_no_epoch_yet_is_not_drawn(make_run, drawn):
    make_run("a", [], state="running")
    assert drawn()[0] == []


def test_a_hold_out_split_is_drawn_in_place_of_the_test_set(make_run, drawn, unsaved):
    run = make_run("a", [50.0, 6.0], data__holdout=100)
    run.metrics.write_text(
        "epoch,step,lr,train_loss,train_error,val_loss,val_error,test_loss,test_error,"
        "train_seconds,test_seconds,images_per_second\n"
        "1,1,0.1,1.5,9,1,8,,,2,1,100\n2,2,0.1,1.5,7,1,6,1,5,2,1,100\n"
    )
    run.update_status(metrics_digest=digest(run.metrics))
    names, _ = drawn()
    assert "validation_error" in names
    assert "test_error" not in names


def test_files_have_200_dots_per_inch_and_no_date(make_run, drawn):
    for model in ARCHITECTURES:
        make_run(model, [50.0, 6.0], model=model)
    names, folder = drawn()
    expected = {f"{name}.{kind}" for name in names for kind in ("png", "svg", "pdf")} | {figures.OVERVIEW}
    assert {path.name for path in folder.iterdir()} == expected
    with Image.open(folder / "test_error.png") as image:
        assert image.width == round(style.PAGE * 200)
    for name in names:
        text = (folder / f"{name}.svg").read_text()
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "<dc:date>" not in text


def test_small_numbers_keep_their_digits_in_svg(make_run, drawn, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", [spec for spec in FIGURES if spec.name == "learning_rate"])
    make_run("b", [50.0, 6.0, 5.0], depth=56)
    run = make_run("a", [50.0, 6.0, 5.0])
    run.metrics.write_text(run.metrics.read_text().replace("2,2,0.1", "2,2,0.01").replace("3,3,0.1", "3,3,0.0005"))
    run.update_status(metrics_digest=digest(run.metrics))
    _, folder = drawn()
    texts = {element.text for element in ET.parse(folder / "learning_rate.svg").iter() if element.text}
    assert {"0.01", "0.001"} <= texts


@pytest.mark.parametrize("rows", [1, 9, 45])
def test_text_does_not_overlap_and_is_large_enough(make_run, tmp_path, rows):
    runs = list(itertools.product(ARCHITECTURES, (20, 56, 110), range(5)))[:: 45 // rows]
    for index, (model, depth, seed) in enumerate(runs):
        make_run(f"r{index}", [90.0, 50.0, 2.0 + index % 7], model=model, depth=depth, seed=seed)
    loaded = load.load([tmp_path / "runs"]).of("digits")
    with style.applied():
        for spec in FIGURES:
            if (figure := spec.draw(Subject(loaded, "digits"))) is not None:
                assert_legible(figure, spec.name)


def test_long_names_of_settings_do_not_overlap(make_run, tmp_path):
    for index in range(12):
        keys = {"optim__lr": 0.01 * (index + 1), "optim__weight_decay": 1e-5 * (index + 1), "model__width": 16 + index}
        make_run(f"r{index}", [90.0, 50.0, 2.0 + index], **keys)
    loaded = load.load([tmp_path / "runs"]).of("digits")
    with style.applied():
        for spec in FIGURES:
            if (figure := spec.draw(Subject(loaded, "digits"))) is not None:
                assert_legible(figure, spec.name)


def assert_legible(figure, name):
    """All text has at least 7 points, is inside the figure, and doesn't overlap."""
    figure.draw_without_rendering()
    renderer = figure._get_renderer()
    texts = [text for axes in figure.axes if axes.axison for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
    for axes in figure.axes:
        for place, axis in enumerate((axes.xaxis, axes.yaxis)):
            low, high = sorted(axis.get_view_interval())
            labels = [label for label in axis.get_majorticklabels() if label.get_visible()]
            texts += [label for label in labels if low <= label.get_position()[place] <= high]
    texts += figure.legends[0].get_texts()
    texts = [text for text in texts if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert text.get_fontsize() >= 7, (name, text)
        assert figure.bbox.x0 - 1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1, (name, text)
        assert figure.bbox.y0 - 1 <= box.y0 and box.y1 <= figure.bbox.y1 + 1, (name, text)
    for (one, a), (other, b) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        # A pixel or two of the boxes' margins may touch.
        assert not a.padded(-1.5).overlaps(b.padded(-1.5)), (name, one, other)


# Machado, Oliveira and Fernandes 2009, severity 1: what people without one kind of cone see, in linear RGB.
_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "none": np.eye(3),
}


def lab(color, blindness="none"):
    """CIELAB of a color as seen with this color vision; a distance of about 2 is just noticeable."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(_BLIND[blindness]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ linear / (0.9505, 1.0, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("blindness", _BLIND)
def test_the_color_blind_can_distinguish_models(blindness):
    seen = [lab(style.color(model), blindness) for model in ARCHITECTURES]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


@pytest.mark.parametrize("blindness", _BLIND)
def test_settings_can_be_distinguished_by_the_color_blind_and_visible_on_white_paper(blindness):
    seen = [lab(color, blindness) for color in style.setting_colors(style.MAX_LINES)]
    assert len(seen) == style.MAX_LINES
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15
    assert max(lightness for lightness, _, _ in seen) < 75


@pytest.mark.parametrize("model", [*ARCHITECTURES, None])
def test_three_depths_can_be_distinguished_in_gray(model):
    lightness = [lab(shade)[0] for shade in style.shades(model, 3)]
    assert min(a - b for a, b in itertools.pairwise(lightness)) > 15
    # The lightest is still visible on white paper.
    assert lightness[0] < 72


def test_models_have_marks_of_their_own():
    assert len({style.model_mark(model) for model in ARCHITECTURES}) == len(ARCHITECTURES)


def test_an_axis_of_nothing_but_zeros_stays_plain():
    figure, ((axes,),) = style.figure_of(1, 1)
    assert style.scale([axes], pd.Series([0.0, 0.0])) == ""
    assert axes.get_yscale() == "linear"
    assert figure.get_figwidth() == style.COLUMN


@pytest.mark.parametrize(("other", "limits"), [(0.99999, (0.499995, 1.5)), (0.9, (0.0, 1.0))])
def test_values_that_differ_by_rounding_are_a_flat_line(other, limits):
    axes = Figure().add_subplot()
    assert style.scale([axes], pd.Series([1.0, other])) == ""
    assert axes.get_ylim() == pytest.approx(limits)
