"""Published values are compared only with runs that they apply to."""

import pytest

from cifar_resnet.report import published
from cifar_resnet.report.document.findings import Findings
from cifar_resnet.report.runs import load
from cifar_resnet.report.tables.beside import beside_published, why_not
from tests.report.conftest import REAL


@pytest.mark.parametrize(
    ("is_cifar10", "is_network", "train", "test", "comparable"),
    [
        (True, True, 50_000, 10_000, True),
        (True, True, 45_000, 10_000, True),
        (True, True, 44_999, 10_000, False),
        (True, True, 50_000, 1_000, False),
        (True, True, None, None, False),
        (False, True, 50_000, 10_000, False),
        (True, False, 50_000, 10_000, False),
    ],
)
def test_only_published_networks_on_the_whole_cifar10_are_comparable(is_cifar10, is_network, train, test, comparable):
    run = {"is_cifar10": is_cifar10, "is_published_network": is_network, "train_images": train, "test_images": test}
    assert published.is_comparable(run) is comparable


@pytest.mark.parametrize(
    ("changed", "is_network"),
    [
        ({}, True),
        ({"model__init_linear": "small"}, True),
        ({"optim__lr": 0.2}, True),
        ({"model__width": 64}, False),
        ({"model__shortcut": "B"}, False),
        ({"model__norm": "none"}, False),
        ({"init_from": "outputs/a"}, False),
    ],
)
def test_another_network_has_no_published_error(make_run, tmp_path, changed, is_network):
    make_run("a", [6.0], data__kind="cifar10", data__name="cifar10", **changed)
    runs = load.load([tmp_path / "runs"])
    assert bool(runs.runs["is_published_network"].all()) is is_network
    assert (beside_published(runs, "cifar10") is not None) is is_network
    assert ("networks differ from them" in why_not(runs, "cifar10")) is not is_network
    lowest = Findings(runs, "cifar10").results[0]
    assert ("report 8.75 % for this network" in lowest) is is_network


@pytest.mark.parametrize(
    ("accuracy", "mark"),
    [(93.01, 100), (93.0, 90), (90.0, 90), (89.99, 80), (87.0, 80), (86.99, 70), (10.6, 70), (10.5, 0), (10.0, 0)],
)
def test_the_labs_mark(accuracy, mark):
    assert published.lab_mark(accuracy) == mark


def test_the_papers_mean_is_the_one_compared_with():
    (one,) = published.published("resnet", 110, "paper")
    assert (one.text, one.note) == ("6.61 ± 0.16", "mean of 5 runs; best 6.43")
    assert published.published("plain", 20, "paper") == []


def test_what_differs_from_the_labs_recipe_stands_below_published_values(make_run, tmp_path):
    changed = {"data__augment": False, "optim__lr": 0.05, "optim__epochs": 164}
    changed |= {"optim__milestones": [81, 122]}
    for depth in (20, 56):
        make_run(f"a{depth}", [6.0], depth=depth, data__kind="cifar10", data__name="cifar10", **changed)
    note = beside_published(load.load([tmp_path / "runs"]), "cifar10").note
    assert note.endswith("Unlike the lab's recipe, ours use data.augment=false and optim.lr=0.05.")
    make_run("b", [6.0], data__kind="cifar10", data__name="cifar10", **changed | {"optim__lr": 0.1})
    note = beside_published(load.load([tmp_path / "runs"]), "cifar10").note
    assert note.endswith("Unlike the lab's recipe, ours use data.augment=false.")


def test_milestones_are_named_below_published_values_unless_they_follow_from_the_recipe(make_run, tmp_path):
    as_usual = {**REAL, "data__augment": True, "optim__epochs": 164, "optim__milestones": [81, 122]}
    make_run("a", [6.0], **as_usual)
    assert "Unlike" not in beside_published(load.load([tmp_path / "runs"]), "cifar10").note
    make_run("a", [6.0], **as_usual | {"optim__milestones": [60, 120]})
    note = beside_published(load.load([tmp_path / "runs"]), "cifar10").note
    assert note.endswith("Unlike the lab's recipe, ours use optim.milestones=[60,120].")
