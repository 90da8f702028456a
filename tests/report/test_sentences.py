"""The sentences of the report are true of the runs they are about, also where results are equal or runs are missing."""

import re

import pytest

from cifar_resnet.report import claims, tables
from cifar_resnet.report.document.findings import Findings
from cifar_resnet.report.document.text import Text
from cifar_resnet.report.runs import load
from tests.report.conftest import REAL


@pytest.fixture
def findings(tmp_path):
    """What the runs under `runs` show, in sentences."""
    return lambda data="digits": Findings(load.load([tmp_path / "runs"]), data)


@pytest.fixture
def report(tmp_path):
    """The report on the runs under `runs`, all of one data set, as Markdown and without figures."""

    def render():
        runs = load.load([tmp_path / "runs"])
        (data,) = runs.datasets
        return Text(runs, data, tables.all_tables(runs, data), claims.judge(runs, data), []).markdown

    return render


def test_networks_that_share_the_lowest_error_are_named(make_run, findings):
    for lr, error in ((0.1, 8.0), (0.05, 8.0), (0.2, 9.0)):
        make_run(f"{lr}", [50.0, error], optim__lr=lr)
    assert findings().results[0] == (
        "resnet-20 has the lowest final test error: 8.0 % (one seed, lr=0.05), shared with resnet-20 (lr=0.1)."
    )
    assert findings().ablation == [
        "resnet-20: of 3 settings, none has a lower final test error than the reference (lr=0.1, 8.0 %)."
    ]


def test_means_that_differ_only_by_rounding_are_the_same(make_run, findings):
    for model, errors in (("plain", (0.1, 0.2, 0.3)), ("resnet", (0.3, 0.2, 0.1))):
        for seed, error in enumerate(errors):
            make_run(f"{model}-{seed}", [50.0, error], model=model, seed=seed)
    assert findings().results[0].endswith("0.2 ± 0.1 % (3 seeds), shared with resnet-20.")


def test_settings_that_share_the_lowest_error_are_named(make_run, findings):
    for lr, error in ((0.1, 9.0), (0.05, 8.0), (0.2, 8.0), (0.4, 8.5)):
        make_run(f"{lr}", [50.0, error], optim__lr=lr)
    (sentence,) = findings().ablation
    assert "of 4 settings, lr=0.05 has the lowest final test error (shared with lr=0.2), 8.0 % compared" in sentence


def test_the_best_trials_of_a_search_are_counted_where_they_are_alike(make_run, findings):
    for trial in range(8):
        lr, decay = (trial + 1) / 1000, (trial + 1) / 100_000
        make_run(f"{trial}", [50.0, 8.0 if trial < 6 else 9.0], optim__lr=lr, optim__weight_decay=decay)
    sentence = findings().results[0]
    assert "shared with resnet-20 (lr=0.002, weight_decay=2e-05), " in sentence
    assert " and 2 other networks. It is one of the best of 8 trials of a search" in sentence


def test_the_introduction_describes_only_the_finished_runs(make_run, report):
    for model in ("plain", "resnet"):
        make_run(model, [50.0, 8.0], model=model, optim__lr=0.05 if model == "plain" else 0.1)
    make_run("lost", [60.0], model="plain", optim__batch_size=64, optim__lr=0.02, state="interrupted")
    introduction = report().partition("In short:")[0]
    assert (
        "2 finished runs: plain and resnet networks with 20 layers, which differ in `optim.lr`, with one seed each."
    ) in introduction
    assert "no finished run" not in introduction


def test_finished_runs_that_do_not_differ_are_not_said_to(make_run, report):
    make_run("a", [50.0, 8.0])
    make_run("b", [50.0, 8.0], seed=1)
    make_run("lost", [60.0], optim__lr=0.02, state="interrupted")
    assert "finished runs: resnet networks with 20 layers, with 2 seeds each." in report()


def test_networks_without_a_finished_run_are_named(make_run, report, findings):
    for model, depths in (("plain", (8, 14)), ("resnet", (8, 14, 20)), ("preact", (8,))):
        for depth in depths:
            make_run(f"{model}-{depth}", [50.0, 8.0], model=model, depth=depth)
    assert findings().without_results == ""
    make_run("a", [60.0], model="plain", depth=20, state="queued")
    assert findings().without_results == "plain-20 has no finished run."
    make_run("b", [60.0], model="preact", depth=110, state="failed")
    assert (
        "plain networks with 8 and 14 layers, resnet networks with 8, 14 and 20 layers, and preact networks with 8 "
        "layers, with one seed each. plain-20 and preact-110 have no finished run. 2 other folders are excluded"
    ) in report()


def test_models_with_the_same_depths_are_described_together(make_run, findings):
    for model, depth in (("plain", 8), ("resnet", 20), ("resnet", 8), ("preact", 8)):
        make_run(f"{model}-{depth}", [50.0, 8.0], model=model, depth=depth)
    assert findings().networks == "plain and preact networks with 8 layers, and resnet networks with 8 and 20 layers"


def test_the_networks_that_lack_seeds_are_those_of_the_command(make_run, report):
    for model in ("plain", "resnet", "preact"):
        make_run(model, [50.0, 8.0], model=model, depth=8)
        make_run(f"{model}-14", [50.0, 7.0], model=model, depth=14)
    wanted = report().partition("### What would make this more certain")[2]
    words, command = re.search(r"^- (.*)\n\n +```\n((?: +python.*\n)+)", wanted, re.MULTILINE).groups()
    assert words == "3 seeds of each of the following networks, which show the spread between trainings."
    assert command.strip() == "python train.py -m model=plain,resnet depth=8,14 seed=0,1,2 data=digits optim.epochs=2"


@pytest.fixture
def network(make_run):
    """A network of three seeds with these final test and training errors, a tenth of a point apart."""

    def make(model, depth, test, train):
        for seed in range(3):
            step = seed / 10
            keys = {"model": model, "depth": depth, "seed": seed, **REAL}
            make_run(f"{model}-{depth}-{seed}", [60.0, test + step], [50.0, train + step], **keys)

    return make


def test_every_decided_comparison_is_named_where_they_are_few(network, findings):
    network("plain", 20, 9.0, 5.0)
    network("plain", 56, 9.05, 11.0)
    assert findings("cifar10").comparison == [
        "plain-56 is worse than plain-20: final training error 11.10 % compared with 5.10 %.",
        "Of 2 comparisons of models and depths, in 1 the second network is worse and in 1 the result is inconclusive.",
    ]


def test_the_last_sentence_names_the_decided_comparisons_that_have_none(network, findings):
    network("plain", 20, 9.0, 5.0)
    network("plain", 56, 13.0, 11.0)
    network("resnet", 20, 8.0, 4.9)
    network("resnet", 56, 7.0, 1.0)
    assert findings("cifar10").comparison == [
        "At 56 layers, resnet-56 is better than plain-56: final test error 7.10 % compared with 13.10 %.",
        "At 20 layers, resnet-20 is better than plain-20: final test error 8.10 % compared with 9.10 %.",
        "plain-56 is worse than plain-20: final training error 11.10 % compared with 5.10 %.",
        "Of 8 comparisons of models and depths, in 5 the second network is better (resnet-20 to resnet-56, training "
        "and test error; plain-56 to resnet-56, training error), in 2 it is worse (plain-20 to plain-56, test error) "
        "and in 1 the result is inconclusive.",
    ]


def test_the_clearest_effect_of_depth_is_named_however_many_models_differ(network, findings):
    for depth, plain in ((20, 9.0), (32, 9.6), (56, 13.0), (110, 30.0)):
        network("plain", depth, plain, 2 * plain)
        network("resnet", depth, 7.0, 5.0)
    found = findings("cifar10").comparison
    assert len(found) == 4
    assert found[2] == "plain-110 is worse than plain-56: final training error 60.10 % compared with 26.10 %."


def test_networks_alike_of_another_setting_are_named_with_it(network, make_run, findings):
    for model in ("plain", "resnet", "preact"):
        network(model, 20, 9.0, 5.0)
    for model in ("plain", "resnet"):
        for seed in range(2):
            keys = {"model": model, "seed": seed, "depth": 56, "optim__lr": 0.05, **REAL}
            make_run(f"{model}{seed}-lr", [9.0, 8.01], **keys)
    assert findings("cifar10").comparison[0] == (
        "At 56 layers, there is no difference worth naming between plain-56 (lr=0.05) and resnet-56 (lr=0.05): final "
        "test error 8.01 % compared with 8.01 %."
    )


@pytest.mark.parametrize(
    ("images", "advised"),
    [
        (50_000, "`data.holdout=5000`"),
        (1437, "`data.holdout=100`"),
        (9, "A hold-out split (`data.holdout`)"),
        (None, "A hold-out split (`data.holdout`)"),
    ],
)
def test_the_advice_to_hold_images_out_fits_the_data_set(make_run, report, images, advised):
    data = {"kind": "digits", "fingerprint": "same", "train_images": images, "test_images": 360, "classes": 10}
    make_run("a", [50.0, 8.0], status={"data": data})
    assert f"has selected on the test set. {advised} avoids this." in report()


def test_the_advice_to_hold_images_out_follows_from_the_runs_that_do_not(make_run, report):
    for name, images, holdout in (("a", 2000, 0), ("b", 300, 200)):
        data = {"train_images": images, "val_images": holdout, "test_images": 360, "classes": 10}
        make_run(name, [50.0, 8.0], status={"data": data}, data__holdout=holdout)
    assert "`data.holdout=200` avoids this." in report()


def test_kernels_are_named_where_they_are_known(make_run, report):
    make_run("a", [50.0, 8.0])
    assert "computed by" not in report()
    make_run("b", [50.0, 8.0], depth=56, status={"kernels": "fused"})
    text = report()
    assert "in fp32. Their training steps were computed by fused kernels.\n\n" in text
    assert "**Several kernels.**" not in text
    make_run("c", [50.0, 8.0], depth=110, status={"kernels": "eager"})
    text = report()
    assert "computed by fused and eager kernels." in text
    assert "- **Several kernels.** The runs were trained with fused and eager kernels, which round differently." in text


def test_kernels_of_an_earlier_part_of_a_run_are_named(make_run, report):
    make_run("a", [50.0, 8.0], status={"kernels": "eager", "earlier": [{"device": "a CPU", "kernels": "fused"}]})
    assert "computed by fused and eager kernels." in report()
