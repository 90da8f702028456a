"""The sentences of the report are true of the runs they are about, also where results are equal or runs are missing."""

import re

import pytest

from cifar_resnet.report import claims, tables
from cifar_resnet.report.document.findings import Findings
from cifar_resnet.report.document.text import Text
from cifar_resnet.report.runs import load


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
