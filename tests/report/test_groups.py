"""Finished runs are grouped by seed, and errors have the digits that the number of images allows."""

import math

import pandas as pd
import pytest

from cifar_resnet.report import claims, tables
from cifar_resnet.report.runs import load
from cifar_resnet.report.runs.groups import Group, collect, compared, fewest


def group(*rows, model="resnet", depth=20):
    return Group(
        model, "", depth, 0, [dict(zip(("seed", "test_error", "test_images"), row, strict=True)) for row in rows]
    )


def test_values_are_by_seed_and_what_was_not_measured_is_none():
    some = group((0, 5.0, 100), (1, None, 100), (2, math.nan, 100), (3, 0.0, 100))
    assert some.values("test_error") == {0: 5.0, 3: 0.0}
    assert some.values("val_error") == {}


def test_the_fewest_images_count():
    assert group((0, 5.0, 10_000), (1, 5.0, 100)).smallest("test_images") == 100
    assert group((0, 5.0, None)).smallest("test_images") is None
    few, many, unknown = group((0, 5.0, 100)), group((0, 5.0, 10_000)), group((0, 5.0, None))
    assert fewest(few, many) == fewest(many, few) == fewest(unknown, few) == 100
    assert fewest(many, many) == 10_000
    assert fewest(unknown) is None


def test_fewest_counts_the_images_of_the_split_it_is_asked_for():
    some = group((0, 5.0, 100))
    some.rows[0]["val_images"] = 7
    assert fewest(some, column="val_images") == 7


@pytest.mark.parametrize(("val", "measure"), [([3.0, 4.0], "val_error"), ([3.0, None], "test_error")])
def test_settings_are_compared_on_held_out_images_where_all_runs_have_some(val, measure):
    assert compared(pd.DataFrame({"test_error": [1.0, 2.0], "val_error": val})) == measure
    assert compared(pd.DataFrame({"test_error": [1.0, 2.0]})) == "test_error"


def test_a_network_is_one_model_setting_and_depth_of_one_data_set(make_run, tmp_path):
    for seed in (0, 1):
        make_run(f"a{seed}", [6.0 + seed], seed=seed)
    make_run("b", [7.0], depth=56)
    make_run("c", [8.0], model="plain")
    make_run("d", [9.0], optim__lr=0.05)
    make_run("e", [9.5], data__kind="synthetic", data__name="other")
    groups = collect(load.load([tmp_path]).finished)
    assert {
        data: {key: found.values("test_error") for key, found in networks.items()} for data, networks in groups.items()
    } == {
        "digits": {
            ("plain", "lr=0.1", 20): {0: 8.0},
            ("resnet", "lr=0.05", 20): {0: 9.0},
            ("resnet", "lr=0.1", 20): {0: 6.0, 1: 7.0},
            ("resnet", "lr=0.1", 56): {0: 7.0},
        },
        "other": {("resnet", "", 20): {0: 9.5}},
    }
    assert {key: found.off_default for key, found in groups["digits"].items()} == {
        ("plain", "lr=0.1", 20): 0,
        ("resnet", "lr=0.05", 20): 1,
        ("resnet", "lr=0.1", 20): 0,
        ("resnet", "lr=0.1", 56): 0,
    }


@pytest.fixture
def measured(make_run):
    """A network of three seeds whose errors are of so many test and training images."""

    def make(model, depth, test_images, train_images, error=25.123):
        for seed in range(3):
            sizes = {"test_images": test_images, "train_images": train_images}
            status = {"data": {"kind": "cifar10", "fingerprint": "same", **sizes}}
            kind = {"data__kind": "cifar10", "data__name": "cifar10"}
            errors = [error + seed / 1000] * 2
            make_run(
                f"{model}{depth}{seed}", errors, errors, model=model, depth=depth, seed=seed, status=status, **kind
            )

    return make


@pytest.mark.parametrize("fewer", ["first", "second"])
def test_networks_of_100_and_10000_images_are_compared_in_whole_percents(measured, tmp_path, fewer):
    sizes = [(100, 100), (10_000, 50_000)]
    for depth, (test, train) in zip((20, 56), sizes if fewer == "first" else sizes[::-1], strict=True):
        measured("resnet", depth, test, train)
    measured("plain", 20, 10_000, 50_000)
    runs = load.load([tmp_path])
    for row in tables.comparison(runs, "cifar10").frame.to_dict("records"):
        exact = fewer == "second" and row["to"] == "resnet-20"
        assert (row["first (%)"], row["difference (points)"]) == (("25.12", "0.00") if exact else ("25", "0"))
    shortcuts, shallow = (one.finding for one in claims.judge(runs, "cifar10")[2:4])
    assert "resnet-20 25 %, resnet-56 25 %" in shortcuts.evidence
    assert "0 points (97.5 % interval −1 to +1" in shortcuts.evidence
    assert ("plain-20 25 %" in shallow.evidence) == (fewer == "first")


def test_each_split_has_the_digits_of_its_own_images(measured, tmp_path):
    for depth in (20, 56):
        measured("plain", depth, 100, 50_000)
        measured("resnet", depth, 100, 50_000)
    _, degradation, shortcuts, *_ = (one.finding for one in claims.judge(load.load([tmp_path]), "cifar10"))
    assert "Final training error: plain-20 25.12 %, plain-56 25.12 %." in degradation.evidence
    assert "Final test error: resnet-20 25 %, resnet-56 25 %." in shortcuts.evidence
    assert "Final training error: resnet-20 25.12 %, resnet-56 25.12 %." in shortcuts.evidence
