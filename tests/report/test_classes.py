"""Errors by class and confusion matrices are those of predictions.csv, over seeds, in the main setting."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.report import tables
from cifar_resnet.report.figures import FIGURES, classes, mistakes, style
from cifar_resnet.report.figures.subject import Subject
from cifar_resnet.report.runs import load

# Of 4 cats 1 is taken for a dog, of 2 dogs both for ships, of 4 ships none.
ONE = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 2), (1, 2), *[(2, 2)] * 4]
OTHER = [(0, 0), (0, 0), (0, 1), (0, 2), (1, 1), (1, 2), *[(2, 2)] * 4]


@pytest.fixture
def runs(tmp_path):
    return lambda: load.load([tmp_path / "runs"])


def test_errors_by_class_are_those_worked_by_hand_the_hardest_first(make_run, make_predictions, runs):
    for seed, pairs in enumerate((ONE, OTHER)):
        make_predictions(make_run(f"r{seed}", [30.0], seed=seed), pairs)
    table = tables.class_errors(runs(), "digits")
    assert table.frame.to_dict("list") == {
        "class": ["dog", "cat", "ship"],
        "images": ["2", "4", "4"],
        "resnet-20": ["75 ± 35", "38 ± 18", "0 ± 0"],
    }
    numbers = pd.read_csv(io.StringIO(table.to_csv()))
    assert numbers["resnet-20"].tolist() == [75.0, 37.5, 0.0]
    assert "2 seeds each" in table.note


@pytest.mark.parametrize(
    ("depths", "omitted"),
    [((20, 56, 110), ""), ((20, 32, 44, 56, 110), "Networks of 32 and 56 layers are not shown.")],
)
def test_depths_that_are_not_shown_are_named(make_run, make_predictions, runs, depths, omitted):
    for depth in depths:
        make_predictions(make_run(f"r{depth}", [30.0], depth=depth), ONE * 5)
    table = tables.class_errors(runs(), "digits")
    assert len(table.frame.columns) == 2 + 3
    subject = Subject(runs(), "digits")
    captions = [spec.caption_of(subject) for spec in FIGURES if spec.name in ("models_by_depth", "confusion")]
    for text in (table.note, *captions):
        assert ("not shown" in text) is bool(omitted) and omitted in text
    assert len(captions) == 2


@pytest.mark.parametrize(("times", "images"), [(1, "One image"), (2, "2 images")])
def test_the_images_of_each_class_are_counted(make_run, make_predictions, runs, times, images):
    make_predictions(make_run("a", [30.0]), [(0, 0), (1, 2), (2, 2)] * times)
    assert tables.class_errors(runs(), "digits").note.startswith(f"{images} of each class.")


def test_confusions_are_summed_over_seeds(make_run, make_predictions, runs):
    for seed, pairs in enumerate((ONE, OTHER)):
        make_predictions(make_run(f"r{seed}", [30.0], seed=seed), pairs * 2)
    (one,) = runs().confusions["digits"]
    assert one.counts.tolist() == [[10, 4, 2], [0, 2, 6], [0, 0, 16]]
    assert one.shares[1].tolist() == [0.0, 25.0, 75.0]
    figure = classes.draw_confusion([one])
    (image,) = figure.axes[0].images
    shown = np.ma.filled(image.get_array(), np.nan)
    assert np.isnan(np.diagonal(shown)).all()
    assert shown[1].tolist()[::2] == [0.0, 75.0]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["cat", "dog", "ship"]


def test_runs_without_whole_predictions_are_left_out(make_run, make_predictions, runs):
    make_run("without", [30.0])
    damaged, strange = make_run("damaged", [30.0], seed=1), make_run("strange", [30.0], seed=2)
    make_predictions(damaged, ONE)
    damaged.predictions.write_text("index,label,prediction,probability\n0,0,0,1\n")
    make_predictions(strange, [(0, 7)])
    assert runs().confusions["digits"] == []
    assert tables.class_errors(runs(), "digits") is None


def test_an_ablation_shows_its_main_setting(make_run, make_predictions, runs):
    make_predictions(make_run("a", [30.0]), ONE)
    make_predictions(make_run("b", [30.0], optim__lr=0.5), OTHER)
    (one,) = runs().confusions["digits"]
    assert len(one.matrices) == 1
    assert one.counts[0].tolist() == [3, 1, 0]


def test_of_many_networks_nine_are_shown(make_run, make_predictions, runs):
    for model, depth in itertools.product(ARCHITECTURES, (20, 32, 44, 56, 110)):
        make_predictions(make_run(f"{model}{depth}", [30.0], model=model, depth=depth), ONE * 5)
    found = runs().confusions["digits"]
    assert [(one.model, one.depth) for one in found] == list(itertools.product(ARCHITECTURES, (20, 44, 110)))[:9]
    figure = classes.draw_confusion(found)
    assert sum(bool(axes.images) for axes in figure.axes) == 9


@pytest.mark.parametrize(
    ("pairs", "shown"),
    [
        ([(0, 0)] * 95 + [(0, 1)] * 5 + [(1, 1)] * 100, True),
        # One mistake in a hundred, and a mistake of few images.
        ([(0, 0)] * 990 + [(0, 1)] * 10 + [(1, 1)] * 100, False),
        ([(0, 0)] * 30 + [(0, 1)] * 2 + [(1, 1)] * 32, False),
        # Everything is taken for one class.
        ([(0, 0)] * 100 + [(1, 0)] * 100, False),
    ],
)
def test_a_matrix_is_shown_only_where_it_has_a_pattern(pairs, shown, make_run, make_predictions, runs, tmp_path):
    make_predictions(make_run("a", [30.0]), pairs, ("cat", "dog"))
    found = runs().confusions["digits"]
    assert (classes.draw_confusion(found) is not None) == shown
    words = Subject(load.load([tmp_path / "runs"]), "digits").largest_confusions
    assert words == ("Most frequent: cat taken for dog (5 %)." if shown else "")


def test_each_matrix_has_its_own_scale_and_hidden_networks_are_named(make_run, make_predictions, runs, tmp_path):
    for depth, wrong in ((20, 10), (56, 30), (110, 100)):
        pairs = [(0, 0)] * (100 - wrong) + [(0, 1)] * wrong + [(1, 1)] * (100 - wrong) + [(1, 0)] * wrong
        make_predictions(make_run(f"r{depth}", [30.0], depth=depth), pairs, ("cat", "dog"))
    figure = classes.draw_confusion(runs().confusions["digits"])
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(0.0, 10.0), (0.0, 30.0)]
    assert [axes.get_title().partition("\n")[2] for axes in figure.axes] == ["(largest: 10 %)", "(largest: 30 %)"]
    words = Subject(load.load([tmp_path / "runs"]), "digits").largest_confusions
    assert words == (
        "Most frequent on average over these matrices: cat taken for dog (20 %), dog taken for cat (20 %). Not shown, "
        "with an error near chance: resnet-110."
    )


def test_the_caption_names_the_only_network_that_is_shown(make_run, make_predictions, tmp_path):
    (spec,) = (spec for spec in FIGURES if spec.name == "confusion")
    for depth, wrong in ((20, 10), (56, 4)):
        make_predictions(make_run(f"r{depth}", [30.0], depth=depth), [(0, 0)] * (100 - wrong) + [(0, 1)] * wrong)
    assert spec.caption_of(Subject(load.load([tmp_path / "runs"]), "digits")) == (
        "Confusion matrix of resnet-20: percentage of each class's test images, over all seeds. The diagonal (correct "
        "predictions) is gray. Most frequent: cat taken for dog (10 %). Not shown, with no mistake made at least 5 "
        "times and on 2 % of the images of a class: resnet-56."
    )


def test_a_pattern_is_a_mistake_that_is_frequent_in_both_ways(make_run, make_predictions, runs):
    # A fifth of a class of ten images, and one in a hundred of a class of a thousand.
    pairs = [(0, 0)] * 8 + [(0, 1)] * 2 + [(1, 1)] * 990 + [(1, 0)] * 10
    make_predictions(make_run("a", [30.0]), pairs, ("cat", "dog"))
    assert classes.draw_confusion(runs().confusions["digits"]) is None


def test_a_hundred_classes_have_no_numbers_and_the_table_has_the_hardest(make_run, make_predictions, runs):
    names = [f"class {number}" for number in range(100)]
    pairs = [(number, number if number % 7 else 0) for number in range(100)] * 5
    make_predictions(make_run("a", [30.0]), pairs, names)
    table = tables.class_errors(runs(), "digits")
    assert len(table.frame) == 20
    assert "Only the hardest 20 of 100 classes" in table.note
    assert len(pd.read_csv(io.StringIO(table.to_csv()))) == 100
    assert not classes.draw_confusion(runs().confusions["digits"]).axes[0].texts


def test_the_most_confident_mistakes_come_first():
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1).repeat(8, 1).repeat(8, 2)
    label, prediction = np.array([0, 1, 2, 1]), np.array([1, 1, 0, 2])
    figure = mistakes.draw(images, label, prediction, np.array([0.6, 1.0, 0.9, 0.7]), ["cat", "dog", "ship"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["cat (90.0 %)\nis ship", "ship (70.0 %)\nis dog", "dog (60.0 %)\nis cat"]
    assert [int(axes.images[0].get_array()[0, 0]) for axes in figure.axes] == [2, 3, 0]
    assert "the predicted class with the probability" in " ".join(figure.get_supxlabel().split())


def test_without_a_mistake_there_is_no_picture():
    image = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    assert mistakes.draw(image, np.array([0]), np.array([0]), np.array([1.0]), ["cat"]) is None
    assert classes.draw_confusion([]) is None
    with style.applied():
        assert classes.draw_confusion([]) is None
