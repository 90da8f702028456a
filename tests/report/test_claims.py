"""The verdict on each claim for runs that support it, contradict it, or do neither."""

import contextlib
import re

import pytest

from cifar_resnet.report import claims
from cifar_resnet.report.claims import FAILS, HOLDS, OPEN
from cifar_resnet.report.runs import load
from cifar_resnet.run.states import State
from tests.report.conftest import REAL


@pytest.fixture
def network(make_run):
    """A network with these final test and training errors, one per seed."""

    def make(model, depth, test, train=None, early=50.0, **keys):
        train = test if train is None else train
        for seed, (a, b) in enumerate(zip(test, train, strict=True)):
            name = f"{model}-{depth}-{seed}-{'-'.join(map(str, keys.values()))}"
            make_run(
                name, [60.0, a], train=[early + seed / 10, b], model=model, depth=depth, seed=seed, **(REAL | keys)
            )

    return make


def test_all_claims_are_judged_in_order_whatever_there_is(network, tmp_path):
    network("resnet", 20, [8.0])
    found = claims.judge(load.load([tmp_path]), "cifar10")
    assert [one.claim for one in found] == list(claims.CLAIMS)
    assert len({claim.key for claim in claims.CLAIMS}) == len(claims.CLAIMS)
    assert {one.finding.verdict for one in found} == {OPEN}
    assert [one.finding.missing for one in found] == [claim.needs for claim in claims.CLAIMS]
    assert all(one.finding.command.startswith("python train.py") for one in found)


@pytest.mark.parametrize(
    ("deep", "verdict"),
    [([10.0, 10.3, 10.1], HOLDS), ([4.0, 4.1, 4.3], FAILS), ([6.0, 4.0, 5.2], OPEN)],
)
def test_degradation(network, judge, deep, verdict):
    network("plain", 20, [9.0] * 3, train=[5.0, 5.1, 5.2])
    network("plain", 56, [9.0] * 3, train=deep)
    claim = judge(1)
    assert claim.verdict == verdict
    assert "plain-20 5.10 %" in claim.evidence
    assert "3 seeds each" in claim.evidence
    # The numbers of SciPy's test are in test_intervals; here it matters that the sentence has them.
    assert "95 % interval" in claim.evidence
    assert bool(claim.missing) == (verdict == OPEN)


def test_degradation_of_one_seed_is_called_where_it_is_beyond_the_choice_of_images(network, judge):
    network("plain", 20, [9.0], train=[0.3])
    network("plain", 56, [9.0], train=[60.0])
    claim = judge(1)
    assert claim.verdict == HOLDS
    assert "one seed; a test error of this size on 10,000 test images would have the 95 % interval" in claim.evidence
    assert claim.one_seed and "3 seeds of each of the following networks" in claim.missing
    assert "seed=0,1,2" in claim.command and "model=plain" in claim.command and "depth=20,56" in claim.command


def test_degradation_is_judged_at_each_depth(network, tmp_path):
    for depth, train in ((20, [1.0, 1.1, 1.2]), (56, [8.5, 8.6, 8.7]), (110, [89.9, 90.0, 22.0])):
        network("plain", depth, [9.0] * 3, train=train)
    claim = claims.judge(load.load([tmp_path]), "cifar10")[1]
    assert claim.verdict == "holds at 56 layers; inconclusive at 110 layers"
    assert claim.finding.evidence.endswith(
        "2 of 3 finished runs of plain-110 learned nothing: the training error is near chance."
    )


def test_a_network_that_learned_nothing_shows_no_degradation(network, judge):
    network("plain", 20, [9.0], train=[1.0])
    network("plain", 110, [90.0], train=[89.9])
    claim = judge(1)
    assert (claim.verdict, claim.command) == (OPEN, "") and "that learn" in claim.missing
    assert claim.evidence.endswith("plain-110 learned nothing: the training error is near chance.")
    network("plain", 56, [20.0], train=[15.0])
    claim = judge(1)
    assert claim.verdict == HOLDS and "From 20 to 110" not in claim.evidence


@pytest.mark.parametrize(
    ("residual", "verdict", "shown"),
    [
        ({20: 8.0, 56: 7.0}, HOLDS, "holds"),
        ({20: 10.0, 56: 15.0}, FAILS, "does not hold"),
        ({20: 9.0, 56: 7.0}, FAILS, "does not hold at 20 layers; holds at 56 layers"),
        ({56: 7.0}, HOLDS, "holds"),
    ],
)
def test_the_headline_is_judged_at_each_depth(network, tmp_path, residual, verdict, shown):
    for depth, error in ((20, 9.0), (56, 13.0)):
        network("plain", depth, [error, error + 0.03, error - 0.02])
    for depth, error in residual.items():
        network("resnet", depth, [error + 0.01, error - 0.03, error + 0.03])
    headline = claims.judge(load.load([tmp_path]), "cifar10")[0]
    assert headline.claim.key == "equal-depth"
    assert (headline.finding.verdict, headline.verdict) == (verdict, shown)
    for depth in residual:
        assert f"At {depth} layers, the final test error is" in headline.finding.evidence
    assert f"{'97.5' if len(residual) == 2 else '95'} % interval" in headline.finding.evidence


def test_the_headline_of_one_seed_is_marked(network, tmp_path):
    network("plain", 56, [13.0])
    network("resnet", 56, [7.0])
    headline = claims.judge(load.load([tmp_path]), "cifar10")[0]
    assert headline.verdict == "holds (one seed)"
    assert "seed=0,1,2" in headline.finding.command


def test_a_network_whose_runs_all_diverged_is_named(network, judge, make_run):
    for depth in (20, 56):
        network("plain", depth, [9.0, 9.1, 9.2])
    for seed in range(3):
        make_run(f"d{seed}", [60.0], model="plain", depth=110, seed=seed, state="diverged", **REAL)
    assert judge(1).evidence.endswith(" 0 of 3 plain-110 runs finished (3 diverged); only finished runs count.")


def test_a_small_difference_of_one_seed_is_open(network, judge):
    network("plain", 20, [9.0], train=[5.0])
    network("plain", 56, [9.0], train=[5.5])
    assert judge(1).verdict == OPEN


@pytest.mark.parametrize(
    ("train", "test", "verdict"),
    [
        ([1.0, 1.1, 1.0], [7.0, 7.1, 7.0], HOLDS),
        ([1.0, 1.1, 1.0], [9.0, 9.1, 9.0], FAILS),
        ([4.0, 4.1, 4.0], [7.0, 7.1, 7.0], FAILS),
        ([1.0, 1.1, 1.0], [8.0, 8.3, 7.9], OPEN),
    ],
)
def test_shortcuts_need_both_errors_lower(network, judge, train, test, verdict):
    network("resnet", 20, [8.0, 8.1, 8.0], train=[2.0, 2.1, 2.0])
    network("resnet", 56, test, train=train)
    assert judge(2).verdict == verdict


def test_shortcuts_that_fit_every_image_are_sent_to_a_harder_data_set(network, judge):
    network("resnet", 20, [8.0] * 3, train=[0.0] * 3)
    network("resnet", 56, [7.0, 7.1, 7.0], train=[0.0] * 3)
    claim = judge(2)
    assert (claim.verdict, claim.command) == (OPEN, "python train.py -m sweeps=nine")
    assert "without error" in claim.missing


@pytest.mark.parametrize(
    ("residual", "early", "verdict"),
    [
        ([8.2, 8.3, 8.2], 40.0, HOLDS),
        ([6.0, 6.1, 6.0], 40.0, FAILS),  # not similar
        ([8.2, 8.3, 8.2], 60.0, FAILS),  # slower
        ([8.2, 8.3, 8.2], 50.0, OPEN),  # neither faster nor slower
        ([7.0, 8.0, 9.0], 40.0, OPEN),  # too scattered to be called similar
    ],
)
def test_shallow_networks(network, judge, residual, early, verdict):
    network("plain", 20, [8.4, 8.4, 8.5])
    network("resnet", 20, residual, early=early)
    claim = judge(3)
    assert claim.verdict == verdict
    assert f"{early + 0.1:.2f} % for resnet-20" in claim.evidence


@pytest.mark.parametrize(
    ("preact", "verdict"), [([6.0, 6.1, 6.0], HOLDS), ([7.0, 7.1, 7.0], FAILS), ([6.5, 6.4, 6.6], OPEN)]
)
def test_preactivation(network, judge, preact, verdict):
    network("resnet", 110, [6.5, 6.5, 6.6])
    network("preact", 110, preact)
    claim = judge(4)
    assert claim.verdict == verdict
    assert "resnet-110 6.53 %" in claim.evidence


def test_other_settings_do_not_count(network, judge):
    network("resnet", 110, [6.5, 6.5, 6.6])
    network("preact", 110, [6.0, 6.1, 6.0])
    network("preact", 110, [9.0, 9.1, 9.2], optim__lr=0.05)
    assert judge(4).verdict == HOLDS


@pytest.fixture
def layers(make_run, make_layers):
    """A network of one seed or more that recorded these layers."""

    def make(model, responses, gradients=(1, 1, 1, 1), depth=20, seeds=1, epochs=(0, 2)):
        for seed in range(seeds):
            run = make_run(f"{model}-{depth}-{seed}", [9.0, 8.0], model=model, depth=depth, seed=seed, **REAL)
            make_layers(run, [response + seed / 100 for response in responses], gradients, epochs)

    return make


@pytest.mark.parametrize(
    ("residual", "verdict"),
    [
        ([0.3, 0.3, 0.3, 0.9], HOLDS),
        ([0.9, 0.9, 0.9, 0.9], FAILS),
        ([0.6, 0.6, 0.1, 0.1], OPEN),  # smaller in the mean, but not in three quarters of the layers
    ],
)
def test_responses_of_one_seed(layers, judge, residual, verdict):
    layers("plain", [0.5, 0.5, 0.5, 0.5])
    layers("resnet", residual)
    claim = judge(5)
    assert claim.verdict == verdict
    assert "one seed" in claim.evidence
    assert "diagnostics.enabled=true" in claim.command


@pytest.mark.parametrize(("residual", "verdict"), [([0.3] * 4, HOLDS), ([0.7] * 4, FAILS)])
def test_responses_of_three_seeds(layers, judge, residual, verdict):
    layers("plain", [0.5] * 4, seeds=3)
    layers("resnet", residual, seeds=3)
    claim = judge(5)
    assert (claim.verdict, claim.missing) == (verdict, "")
    assert "95 % interval of the difference" in claim.evidence


def test_responses_must_be_smaller_at_every_depth(layers, judge):
    for depth, residual in ((20, 0.3), (56, 0.9)):
        layers("plain", [0.5] * 4, depth=depth)
        layers("resnet", [residual] * 4, depth=depth)
    assert judge(5).verdict == FAILS


@pytest.mark.parametrize(
    ("gradients", "verdict", "expected"),
    [
        ((0.5, 1, 1, 1), FAILS, "0.5 at initialization and 0.5 after epoch 2"),
        ((0.05, 1, 1, 1), OPEN, "0.05"),
        ((0.001, 1, 1, 1), HOLDS, "It has vanished near the input at initialization and after epoch 2."),
        ((0, 1, 1, 1), HOLDS, "0 at initialization and 0 after epoch 2"),
        ((0, 0, 0, 0), HOLDS, "0 at initialization and 0 after epoch 2"),
        ((1000, 1, 1, 1), FAILS, "grows by orders of magnitude toward the input at initialization and after epoch 2."),
    ],
)
def test_gradients(layers, judge, gradients, verdict, expected):
    layers("plain", [0.5] * 4, gradients, depth=56)
    claim = judge(6)
    assert claim.verdict == verdict
    assert expected in claim.evidence
    assert "final training error 9.00 %" in claim.evidence


def test_the_question_about_gradients_has_an_answer(layers, tmp_path):
    layers("plain", [0.5] * 4, depth=56)
    (found,) = (one for one in claims.judge(load.load([tmp_path]), "cifar10") if one.claim.key == "gradients")
    assert (found.claim.statement[-1], found.verdict) == ("?", "no, they don't vanish (one seed)")
    layers("plain", [0.5] * 4, (1e-9, 1, 1, 1), depth=56, seeds=2)
    (found,) = (one for one in claims.judge(load.load([tmp_path]), "cifar10") if one.claim.key == "gradients")
    assert found.verdict == "yes, they vanish"


@pytest.mark.parametrize(("gradients", "verdict"), [((1, 1, 1, 1), OPEN), ((0.001, 1, 1, 1), HOLDS)])
def test_gradients_of_a_network_too_shallow_to_degrade_are_no_reason(layers, judge, gradients, verdict):
    layers("plain", [0.5] * 4, gradients, depth=20)
    claim = judge(6)
    assert claim.verdict == verdict
    assert ("56 layers" in claim.missing) == ("depth=56" in claim.command) == (verdict == OPEN)


def test_a_network_that_learned_nothing_decides_nothing_and_is_named(layers, judge, make_run, make_layers):
    layers("plain", [0.5] * 4, (1, 1, 1, 1), depth=56)
    layers("resnet", [0.3] * 4, depth=56)
    before = [judge(number) for number in (5, 6)]
    run = make_run("dead", [90.0], [90.0], model="plain", depth=110, **REAL)
    make_layers(run, [0.01] * 4, (1e-9, 1, 1, 1))
    other = make_run("deep", [7.0], model="resnet", depth=110, **REAL)
    make_layers(other, [0.3] * 4, (1, 1, 1, 1))
    responses, gradients = (judge(number) for number in (5, 6))
    assert (responses.verdict, gradients.verdict) == (HOLDS, FAILS) == tuple(one.verdict for one in before)
    assert responses.evidence.endswith("plain-110 learned nothing: the training error is near chance.")
    assert "plain-110 learned nothing (training error 90.00 %, near chance)" in gradients.evidence
    assert "the ratio is 10⁻⁹ at initialization" in gradients.evidence


def test_networks_that_all_learned_nothing_leave_the_questions_open(make_run, make_layers, judge):
    for model in ("plain", "resnet"):
        make_layers(make_run(model, [90.0], [89.0], model=model, depth=56, **REAL), [0.3] * 4, (1e-9, 1, 1, 1))
    responses, gradients = (judge(number) for number in (5, 6))
    assert (responses.verdict, gradients.verdict) == (OPEN, OPEN)
    assert "that learned" in responses.missing and "that learns" in gradients.missing


@pytest.mark.parametrize(("depth", "wanted"), [(20, 56), (110, 110)])
def test_gradients_that_nobody_recorded_are_asked_of_a_network_that_degrades(network, judge, depth, wanted):
    network("plain", depth, [5.0])
    claim = judge(6)
    assert claim.verdict == OPEN
    assert f"depth={wanted} " in claim.command


def test_gradients_that_explode_and_then_vanish_are_reported_as_both(layers, judge):
    layers("plain", [0.5] * 4, {0: (1000, 1, 1, 1), 2: (0.001, 1, 1, 1)})
    claim = judge(6)
    assert claim.verdict == HOLDS
    assert (
        "It grows by orders of magnitude toward the input at initialization. It has vanished near the input after "
        "epoch 2."
    ) in claim.evidence


def test_gradients_are_those_of_the_plain_networks_that_degrade(layers, judge):
    layers("plain", [0.5] * 4, (0.001, 1, 1, 1), depth=20)
    layers("plain", [0.5] * 4, (1, 1, 1, 1), depth=56)
    assert judge(6).verdict == FAILS
    layers("plain", [0.5] * 4, (0.002, 1, 1, 1), depth=110)
    claim = judge(6)
    assert claim.verdict == HOLDS
    found = re.findall(r"plain-(\d+) learned.*? is (\S+) at initialization", claim.evidence)
    assert found == [("56", "1"), ("110", "0.002")]


@pytest.fixture
def wild(make_run):
    """Unfinished runs with other seeds, whose errors would change every verdict."""
    with contextlib.ExitStack() as held:

        def make(model, depth, error):
            for seed, state in enumerate((state for state in State if state is not State.FINISHED), 10):
                name = f"{model}-{depth}-{state}"
                run = make_run(name, [error, error], model=model, depth=depth, seed=seed, state=state, **REAL)
                if state is State.RUNNING:
                    held.enter_context(run.lock())

        yield make


def test_only_finished_runs_count(network, judge, wild, tmp_path):
    for model, depth, error in (("plain", 20, 8.4), ("plain", 56, 20.0), ("resnet", 20, 8.3), ("resnet", 56, 7.0)):
        early = 40.0 if model == "resnet" else 50.0
        network(model, depth, [error, error + 0.1, error], train=[error, error + 0.1, error], early=early)
    network("resnet", 110, [6.5, 6.5, 6.6])
    network("preact", 110, [6.0, 6.1, 6.0])
    before = [(claim.verdict, claim.evidence) for claim in map(judge, range(1, 5))]
    assert [verdict for verdict, _ in before] == [HOLDS] * 4
    for model, depth, error in (("plain", 20, 99.0), ("plain", 56, 0.0), ("resnet", 20, 99.0), ("resnet", 56, 99.0)):
        wild(model, depth, error)
    wild("preact", 110, 99.0)
    wild("plain", 8, 0.0)  # nor do they make a network the shallowest
    assert len(load.load([tmp_path]).unfinished) == 6 * 6
    after = [(claim.verdict, claim.evidence) for claim in map(judge, range(1, 5))]
    assert [verdict for verdict, _ in after] == [HOLDS] * 4
    # They are only named, at the end.
    for (_, words), (_, more) in zip(before, after, strict=True):
        assert re.fullmatch(re.escape(words) + r"( \d of \d \S+ runs finished .*; only finished runs count\.)?", more)
    assert "0 of 4 plain-8 runs finished (1 running, 1 failed, 1 diverged, 1 interrupted)" in after[0][1]


def test_only_finished_runs_layers_count(layers, judge, make_run, make_layers):
    layers("plain", [0.5] * 4, depth=56, seeds=3)
    layers("resnet", [0.3] * 4, depth=56, seeds=3)
    before = [judge(number) for number in (5, 6)]
    assert [claim.verdict for claim in before] == [HOLDS, FAILS]
    for model, response in (("plain", 0.0), ("resnet", 9.0)):
        run = make_run(f"running-{model}", [9.0], model=model, depth=56, seed=7, state="running", **REAL)
        make_layers(run, [response] * 4, [1e-9, 1, 1, 1])
    assert [judge(number) for number in (5, 6)] == before


def test_layers_of_other_settings_do_not_count(layers, judge, make_run, make_layers):
    layers("plain", [0.5] * 4, depth=56)
    layers("resnet", [0.3] * 4, depth=56)
    layers("resnet", [0.3] * 4, depth=20)
    run = make_run("another", [9.0], model="plain", depth=56, optim__lr=0.05, **REAL)
    make_layers(run, [0.1] * 4, [1e-9, 1, 1, 1])
    assert [judge(number).verdict for number in (5, 6)] == [HOLDS, FAILS]


def test_other_data_sets_do_not_count(network, judge, make_run, make_layers):
    network("resnet", 110, [6.5, 6.5, 6.6])
    network("preact", 110, [6.0, 6.1, 6.0])
    network("plain", 20, [8.4, 8.4, 8.5])
    network("resnet", 20, [8.2, 8.3, 8.2], early=40.0)
    before = [judge(number) for number in range(1, 7)]
    assert [claim.verdict for claim in before[2:4]] == [HOLDS] * 2
    for model, depth in (("preact", 110), ("plain", 20), ("resnet", 20)):
        for seed in range(3):
            early = 10.0 if model == "plain" else 90.0
            run = make_run(
                f"other-{model}-{seed}", [60.0, 99.0], train=[early, 99.0], model=model, depth=depth, seed=seed
            )
            make_layers(run, [0.5] * 4, [1] * 4)
    assert [judge(number) for number in range(1, 7)] == before
    assert judge(4, "digits").verdict == OPEN
