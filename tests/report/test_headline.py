"""The headline figure and the overview picture; the artists of their axes are checked, not pixels."""

import itertools

import pandas as pd
import pytest

from cifar_resnet.report.figures import headline, style
from cifar_resnet.report.figures.subject import Subject
from cifar_resnet.report.runs import load
from tests.report.test_figures import assert_legible, legend_of


@pytest.fixture
def epochs(tmp_path):
    """The epochs of the finished runs under `runs`."""
    return lambda: (frame := load.load([tmp_path / "runs"]).of("digits").epochs)[frame["state"] == "finished"]


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


@pytest.fixture
def six(make_run):
    """Two models of three depths; plain-110 learns nothing."""
    for model, depth in itertools.product(("plain", "resnet"), (20, 56, 110)):
        error = {"plain": {20: 9.0, 56: 13.0, 110: 90.0}, "resnet": {20: 8.5, 56: 7.0, 110: 6.0}}[model][depth]
        make_run(f"{model}{depth}", [85.0, error], [85.0, error / 2], model=model, depth=depth)


def test_the_models_share_a_panel_per_depth_with_test_solid_and_training_dashed(six, epochs):
    figure = headline.draw_by_depth(epochs())
    assert [axes.get_title() for axes in figure.axes] == ["20 layers", "56 layers", "110 layers"]
    ends = {line.get_label(): (line.get_ydata()[-1], line.is_dashed()) for line in figure.axes[1].lines}
    assert ends == {
        "plain · 56 layers · training error": (6.5, True),
        "plain · 56 layers · test error": (13.0, False),
        "resnet · 56 layers · training error": (3.5, True),
        "resnet · 56 layers · test error": (7.0, False),
    }
    assert legend_of(figure) == ["plain", "resnet", "training error", "test error"]


def test_the_axis_is_linear_and_cut_and_says_who_is_above_it(six, epochs):
    middle, last = headline.draw_by_depth(epochs()).axes[1:]
    assert (middle.get_yscale(), middle.get_ylim()) == ("linear", (0.0, 25.0))
    assert texts_of(middle) == ["3.5", "6.5", "7.0", "13.0"]
    assert texts_of(last) == ["3.0", "6.0", "plain: 90 % ↑"]


def test_who_has_no_finished_run_at_a_depth_is_named(make_run, epochs):
    make_run("a", [50.0, 6.0])
    make_run("b", [50.0, 7.0], model="plain")
    make_run("c", [50.0, 5.0], depth=56)
    make_run("d", [90.0, 90.0], model="plain", depth=56, state="diverged")
    assert "plain: no finished run" in texts_of(headline.draw_by_depth(epochs()).axes[1])


def test_labels_at_the_ends_do_not_overlap(make_run, epochs):
    for index, (model, depth) in enumerate(itertools.product(("plain", "resnet", "preact"), (20, 56))):
        make_run(f"r{index}", [60.0, 6.0 + index / 100], [60.0, 5.9 + index / 100], model=model, depth=depth)
    with style.applied():
        figure = headline.draw_by_depth(epochs())
        assert_legible(figure, "models_by_depth")
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) == 6
        assert not any(a.padded(-1).overlaps(b.padded(-1)) for a, b in itertools.combinations(boxes, 2))
        assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_one_model_has_no_headline(make_run, epochs):
    make_run("a", [50.0, 6.0])
    assert headline.draw_by_depth(epochs()) is None


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.1, 0.1, 0.1, 0.01, 0.01, 0.01], [3]),
        ([0.01, 0.1, 0.1, 0.1, 0.01, 0.01], [4]),
        ([0.1, 0.09, 0.07, 0.05, 0.02, 0.001], []),
        ([0.1], []),
    ],
)
def test_milestones_are_where_a_constant_rate_drops(rates, expected):
    frame = pd.DataFrame({"folder": "a", "epoch": range(1, len(rates) + 1), "lr": rates})
    assert headline.milestones(frame) == expected


def test_runs_that_drop_the_rate_at_different_epochs_have_no_milestones():
    rates = [0.1, 0.1, 0.1, 0.01, 0.01], [0.1, 0.1, 0.01, 0.01, 0.01]
    frames = [pd.DataFrame({"folder": str(i), "epoch": range(1, 6), "lr": each}) for i, each in enumerate(rates)]
    assert headline.milestones(pd.concat(frames)) == []


def test_the_overview_has_the_panels_and_the_table(six, epochs):
    table = [["final test error (%)", "20 layers", "56 layers", "110 layers"], ["plain", "9", "13", "90"]]
    figure = headline.draw_overview(epochs(), table, "CIFAR-10, 164 epochs")
    assert figure.get_suptitle() == "CIFAR-10, 164 epochs"
    *panels, below = figure.axes
    assert [axes.get_title() for axes in panels] == ["20 layers", "56 layers", "110 layers"]
    cells = below.tables[0].get_celld()
    assert [[cells[row, column].get_text().get_text() for column in range(4)] for row in range(2)] == table
    with style.applied():
        figure.draw_without_rendering()
    top = below.tables[0].get_window_extent().y1
    assert all(axes.xaxis.label.get_window_extent().y0 >= top for axes in panels)


@pytest.mark.parametrize("depths", [[20], [20, 32, 44, 56, 110]])
def test_any_number_of_depths_has_an_overview(make_run, tmp_path, depths):
    for depth in depths:
        make_run(f"plain{depth}", [9.0, 8.0], model="plain", depth=depth)
        make_run(f"resnet{depth}", [9.0, 7.0], model="resnet", depth=depth)
    subject = Subject(load.load([tmp_path / "runs"]), "digits")
    figure = headline.draw_overview(subject.main_epochs, subject.final_errors, subject.title)
    assert figure.get_suptitle() == "digits, 2 epochs"
    *panels, below = figure.axes
    assert len(panels) == min(len(depths), 3)
    # All depths are in the table.
    assert {column for _, column in below.tables[0].get_celld()} == set(range(len(depths) + 1))
