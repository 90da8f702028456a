"""The sentences with numbers that the report's summary and sections begin with."""

import pytest

from cifar_resnet.report.document.findings import Findings
from cifar_resnet.report.runs import load
from tests.report.conftest import REAL


@pytest.fixture
def findings(tmp_path):
    """The findings of the runs written so far."""

    def find(data="cifar10"):
        return Findings(load.load([tmp_path]), data)

    return find


@pytest.fixture
def network(make_run):
    """A network of three seeds a hundredth of a point apart."""

    def make(model, depth, error, train=None, seeds=3, **keys):
        for seed in range(seeds):
            name = f"{model}-{depth}-{seed}-{'-'.join(map(str, keys.values()))}"
            final = error if train is None else train
            make_run(name, [error + seed / 100], [final], model=model, depth=depth, seed=seed, **(REAL | keys))

    return make


def test_results_begin_with_the_lowest_error_and_what_depth_does(network, findings):
    network("plain", 20, 9.0, 2.5)
    network("plain", 56, 13.0, 6.25)
    network("resnet", 20, 8.5, 1.5)
    network("resnet", 56, 7.0, 1.5)
    assert findings().results == [
        "resnet-56 has the lowest final test error: 7.01 ± 0.01 % (3 seeds). He et al. 2015 report 6.97 % for this "
        "network.",
        "From 20 to 56 layers, the training error of the plain network rises from 2.50 to 6.25 % and its test error "
        "rises from 9.01 to 13.01 %.",
        "From 20 to 56 layers, the training error of the residual network stays at 1.50 % and its test error falls "
        "from 8.51 to 7.01 %.",
    ]


def test_networks_that_came_to_nothing_are_among_the_results(network, findings, make_run):
    network("plain", 20, 9.0)
    network("plain", 56, 90.0)
    for seed in range(3):
        make_run(f"d{seed}", [60.0], model="plain", depth=110, seed=seed, state="diverged", **REAL)
    *_, lost, dead = findings().results
    assert lost == "Not all runs have finished: plain-110: 0 of 3 (3 diverged)."
    assert dead == "Learned nothing, with a training error near chance: plain-56 (90.00 %)."


def test_only_the_runs_that_learned_nothing_are_said_to(network, findings, make_run):
    network("plain", 56, 20.0)
    make_run("dead", [90.0], [89.5], model="plain", depth=56, seed=9, **REAL)
    assert findings().results[-1] == (
        "Learned nothing, with a training error near chance: 1 of 4 finished runs of plain-56 (89.50 %)."
    )


def test_comparisons_begin_with_those_at_equal_depth(network, findings):
    network("plain", 56, 13.0, 6.0)
    network("resnet", 56, 7.0, 0.5)
    network("preact", 56, 7.0, 0.5)
    assert findings().comparison == [
        "At 56 layers, resnet-56 is better than plain-56: final test error 7.01 % compared with 13.01 %.",
        "At 56 layers, there is no difference worth naming between resnet-56 and preact-56: final test error 7.01 % "
        "compared with 7.01 %.",
        "Of 4 comparisons of models and depths, in 2 the second network is better and in 2 there is no difference "
        "worth naming.",
    ]


def test_one_seed_is_marked_in_every_sentence_with_a_verdict(network, findings):
    network("plain", 56, 13.0, seeds=1)
    network("resnet", 56, 7.0, seeds=1)
    first, tally = findings().comparison
    assert "resnet-56 is better than plain-56 (one seed):" in first
    assert tally == "In both comparisons of models and depths (one seed each), the second network is better."
    network("resnet", 56, 9.0, seeds=1, optim__lr=0.05)
    assert findings().ablation[0].endswith("7.00 %).")
    network("resnet", 56, 5.0, seeds=1, optim__lr=0.2)
    assert findings().ablation == [
        "resnet-56: of 3 settings, lr=0.2 has the lowest final test error, 5.00 % compared with 7.00 % for the "
        "default (lr=0.1): better (one seed)."
    ]


def test_an_ablation_answers_which_setting_by_how_much(network, findings):
    network("resnet", 20, 8.0)
    network("resnet", 20, 7.0, optim__lr=0.05)
    network("resnet", 20, 9.0, optim__lr=0.2)
    assert findings().ablation == [
        "resnet-20: of 3 settings, lr=0.05 has the lowest final test error, 7.01 % compared with 8.01 % for the "
        "default (lr=0.1): better."
    ]


def test_a_default_that_is_the_best_is_said_to_be(network, findings):
    network("resnet", 20, 6.0)
    network("resnet", 20, 7.0, optim__lr=0.05)
    assert findings().ablation == [
        "resnet-20: of 2 settings, none has a lower final test error than the default (lr=0.1, 6.01 %)."
    ]


def test_the_best_of_a_search_is_chosen_on_the_held_out_images_and_said_to_be_biased(make_run, tmp_path):
    for index in range(8):
        keys = {"optim__lr": 0.01 * 2**index, "optim__momentum": 0.9 - 0.01 * index, "data__holdout": 144}
        make_run(f"t{index}", [9.0 - index], val=[5.0 + index], **keys)
    sentences = Findings(load.load([tmp_path]), "digits").results
    assert sentences[0] == (
        "resnet-20 has the lowest final validation error: 5.00 % (one seed, lr=0.01, momentum=0.9); its final test "
        "error is 9.0 %. It is the best of 8 trials of a search, so its final validation error is optimistically "
        "biased."
    )
