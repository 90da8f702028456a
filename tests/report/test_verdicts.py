"""Which networks, epochs and layers a verdict depends on, and what would make it more certain."""

from dataclasses import replace

import pytest

from cifar_resnet.report import claims
from cifar_resnet.report.claims import FAILS, HOLDS, OPEN
from cifar_resnet.report.runs import load
from tests.report.conftest import REAL

SEEDS = "3 seeds of each of the following networks, which show the spread between trainings"


@pytest.fixture
def network(make_run):
    """A network of some seeds: its test errors, a list of epochs for each seed, and training errors likewise."""

    def make(model, depth, test, train=None, **keys):
        for seed, errors in enumerate(test):
            wrong = errors if train is None else train[seed]
            make_run(f"{model}-{depth}-{seed}", errors, wrong, model=model, depth=depth, seed=seed, **(REAL | keys))

    return make


def thrice(*errors):
    """Three seeds, a tenth of a point apart."""
    return [[error + seed / 10 for error in errors] for seed in range(3)]


def test_networks_between_the_shallowest_and_the_deepest_are_listed_and_not_counted(network, judge):
    for depth, error in ((20, 6.0), (32, 90.0), (56, 3.0)):
        network("resnet", depth, thrice(error))
    claim = judge(2)
    assert (claim.verdict, claim.missing, claim.command) == (HOLDS, "", "")
    assert "resnet-32 " in claim.evidence
    assert "From 20 to 56 layers" in claim.evidence


@pytest.mark.parametrize(
    ("depths", "wanted"), [([], "20,56"), ([20], "20,56"), ([56], "20,56"), ([110], "56,110"), ([8], "8,56")]
)
@pytest.mark.parametrize(("number", "model"), [(1, "plain"), (2, "resnet")])
def test_one_depth_asks_for_a_second_one(network, judge, depths, wanted, number, model):
    network("preact", 20, [[8.0]])
    for depth in depths:
        network(model, depth, [[8.0]])
    claim = judge(number)
    assert claim.verdict == OPEN
    assert f"model={model} " in claim.command and f"depth={wanted} " in claim.command + " "


@pytest.mark.parametrize(("number", "models", "depth"), [(3, ("plain", "resnet"), 20), (4, ("resnet", "preact"), 110)])
@pytest.mark.parametrize("there", [0, 1])
def test_with_one_of_two_models_the_command_trains_both(network, judge, number, models, depth, there):
    network(models[there], depth, [[8.0]])
    claim = judge(number)
    assert claim.verdict == OPEN
    assert f"model={','.join(models)} " in claim.command and f"depth={depth}" in claim.command


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize(
    ("number", "first", "second"),
    [
        (0, ("resnet", 20), ("plain", 20)),
        (1, ("plain", 20), ("plain", 56)),
        (2, ("resnet", 56), ("resnet", 20)),
        (3, ("resnet", 20), ("plain", 20)),
        (4, ("preact", 110), ("resnet", 110)),
    ],
)
def test_one_seed_asks_for_three_and_a_decided_verdict_for_none(network, judge, number, first, second, seeds):
    low, high = (5.0, 5.2) if number == 3 else (5.0, 9.0)
    early = [[10.0, error] for error in (low,) * seeds], [[90.0, error] for error in (high,) * seeds]
    network(*first, [[50.0, low]] * seeds, early[0])
    network(*second, [[50.0, high]] * seeds, early[1])
    claim = judge(number)
    assert claim.one_seed == (seeds == 1)
    assert claim.missing == (SEEDS if seeds == 1 else "")
    assert ("seed=0,1,2 " in claim.command + " ") == (seeds == 1)


def test_an_open_verdict_asks_for_the_seeds_that_find_a_stated_difference(network, judge):
    # Deviation 0.36 and 0.40 at an error of 5: a tenth of it takes this many seeds.
    network("plain", 20, [[4.6], [5.0], [5.3]])
    network("plain", 56, [[4.7], [5.5], [5.2]])
    claim = judge(1)
    assert claim.verdict == OPEN
    assert claim.missing.startswith(
        "11 seeds of each of the following networks. With the spread so far, that many find a difference of 0.5"
    )
    assert "until a difference is significant finds one in noise" in claim.missing
    assert "seed=0,1,2,3,4,5,6,7,8,9,10 " in claim.command


def test_no_command_takes_weeks(network, judge):
    network("plain", 20, [[3.0], [5.0], [7.0]])
    network("plain", 56, [[3.0], [5.5], [7.0]])
    claim = judge(1)
    assert claim.missing.startswith("255 seeds of each of plain-20 and plain-56. With the spread so far")
    assert claim.command == ""


def test_enough_seeds_ask_for_no_more(network, judge):
    network("plain", 20, [[5.0], [5.1], [5.2]])
    network("plain", 56, [[5.2], [5.0], [5.3]])
    claim = judge(1)
    assert (claim.verdict, claim.missing, claim.command) == (OPEN, "", "")


@pytest.mark.parametrize(("wrong", "harder"), [(1, True), (2, False)])
def test_networks_fit_every_image_where_at_most_one_is_wrong(network, judge, wrong, harder):
    for depth, test in ((20, 8.0), (56, 7.0)):
        network("resnet", depth, thrice(test), train=[[100 * wrong / 50_000]] * 3)
    claim = judge(2)
    assert claim.verdict == OPEN
    assert ("without error" in claim.missing) == harder


def test_networks_that_fit_every_image_may_refute_the_claim_all_the_same(network, judge):
    for depth, test in ((20, 7.0), (56, 8.0)):
        network("resnet", depth, thrice(test), train=[[0.0]] * 3)
    claim = judge(2)
    assert claim.verdict == FAILS
    assert "without error" not in claim.missing


@pytest.mark.parametrize(("deep", "shallow"), [(0.0, 5.0), (5.0, 0.0)])
def test_only_where_both_fit_every_image_is_there_no_error_left(network, judge, deep, shallow):
    network("resnet", 20, [[7.0]], train=[[shallow]])
    network("resnet", 56, [[7.0]], train=[[deep]])
    assert "without error" not in judge(2).missing


@pytest.mark.parametrize(
    ("error", "difference", "verdict"), [(8.0, 0.4, HOLDS), (8.0, 1.5, FAILS), (30.0, 1.5, HOLDS), (30.0, 4.0, FAILS)]
)
def test_up_to_a_tenth_of_the_error_is_similar(network, judge, error, difference, verdict):
    network("plain", 20, thrice(50.0, error), thrice(50.0, 8.0))
    network("resnet", 20, thrice(50.0, error - difference), thrice(40.0, 8.0))
    claim = judge(3)
    assert claim.verdict == verdict
    assert f"Up to {(error + 0.1) / 10:.2g} points, a tenth of the plain network's error, count as" in claim.evidence


@pytest.mark.parametrize(
    ("epochs", "half", "mean"), [(1, 1, "10.00"), (2, 1, "10.00"), (3, 1, "10.00"), (6, 3, "20.00"), (7, 3, "20.00")]
)
def test_the_faster_network_is_that_of_the_first_half(network, judge, epochs, half, mean):
    errors = [[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0][:epochs]] * 3
    for model in ("plain", "resnet"):
        network(model, 20, errors)
    first = "epoch" if half == 1 else f"{half} epochs"
    assert f"Over the first {first}, the training error averages {mean} % for plain-20" in judge(3).evidence


@pytest.fixture
def layers(make_run, make_layers):
    """A network of some seeds that recorded these layers; responses may differ by epoch, as gradients may."""

    def make(model, responses, gradients=(1,) * 8, depth=56, seeds=1, epochs=(0, 2)):
        for seed in range(seeds):
            run = make_run(f"{model}-{depth}-{seed}", [9.0, 8.0], model=model, depth=depth, seed=seed, **REAL)
            make_layers(run, responses, gradients, epochs)

    return make


def test_responses_are_those_after_the_last_epoch(make_run, make_layers, judge):
    for model, last in (("plain", 0.5), ("resnet", 0.3)):
        run = make_run(model, [9.0, 8.0], model=model, **REAL)
        make_layers(run, [last] * 4, [1] * 4, epochs=(2,))
        rows = run.diagnostics.read_text()
        head, *after = rows.splitlines(keepends=True)
        before = [row.replace("2,2,", "0,0,", 1).replace(f",{last},", f",{0.9 - last},") for row in after]
        run.diagnostics.write_text("".join([head, *before, *after]))
    claim = judge(5)
    assert claim.verdict == HOLDS
    assert "averages 0.500 in the plain and 0.300 in the residual network" in claim.evidence
    assert "smaller in 4 of 4 layers" in claim.evidence


@pytest.mark.parametrize(
    ("plain", "smaller", "verdict"),
    [
        ((0.7, 0.7, 0.5, 0.5), 2, OPEN),  # the mean is smaller, but only in half of the layers
        ((0.6, 0.6, 0.6, 0.5), 3, HOLDS),  # equal is not smaller
        ((0.4, 0.4, 0.4, 0.6), 1, FAILS),
        ((0.2, 0.2, 0.6, 0.6), 2, OPEN),
    ],
)
def test_with_one_seed_three_quarters_of_the_layers_must_agree_with_their_mean(layers, judge, plain, smaller, verdict):
    layers("plain", plain, (1,) * 4)
    layers("resnet", [0.5] * 4, (1,) * 4)
    claim = judge(5)
    assert claim.verdict == verdict
    assert f"smaller in {smaller} of 4 layers (one seed: no interval)." in claim.evidence


def test_responses_of_runs_that_learned_nothing_do_not_count(layers, make_run, make_layers, judge):
    for model, value in (("plain", 0.5), ("resnet", 0.3)):
        layers(model, [value] * 4, (1,) * 4, seeds=2)
        run = make_run(f"{model}-dead", [90.0], train=[90.0], model=model, depth=56, seed=9, **REAL)
        make_layers(run, [5.0 - 9 * value] * 4, [1] * 4, epochs=(0, 1))
    claim = judge(5)
    assert "averages 0.500 in the plain and 0.300 in the residual network" in claim.evidence
    assert "smaller in 4 of 4 layers" in claim.evidence


def test_the_interval_of_responses_has_its_level_and_three_decimals(layers, make_run, make_layers, judge):
    for model, values in (("plain", (0.5, 0.54, 0.52)), ("resnet", (0.3, 0.31, 0.33))):
        for seed, value in enumerate(values):
            run = make_run(f"{model}-{seed}", [9.0, 8.0], model=model, depth=56, seed=seed, **REAL)
            make_layers(run, [value] * 4, [1] * 4, (0, 2))
    assert "(95 % interval of the difference −0.248 to −0.165)." in judge(5).evidence


@pytest.mark.parametrize(
    ("there", "wanted"),
    [([], "20,56"), ([("plain", 20)], "20,56"), ([("plain", 32), ("plain", 44), ("resnet", 44)], "44")],
)
def test_missing_responses_are_requested_for_the_depths_that_both_have(network, judge, there, wanted):
    network("preact", 20, [[8.0]])
    for model, depth in there:
        network(model, depth, [[8.0]])
    claim = judge(5)
    assert claim.verdict == OPEN
    assert f"depth={wanted} " in claim.command and "diagnostics.enabled=true" in claim.command


@pytest.mark.parametrize(("seeds", "missing"), [(1, SEEDS), (3, "")])
def test_responses_of_fewer_than_three_seeds_ask_for_more(layers, judge, seeds, missing):
    layers("plain", [0.5] * 4, (1,) * 4, seeds=seeds)
    layers("resnet", [0.3] * 4, (1,) * 4, seeds=seeds)
    claim = judge(5)
    assert claim.missing == missing
    assert ("seed=0,1,2" in claim.command and "diagnostics.enabled=true" in claim.command) == bool(missing)


@pytest.mark.parametrize(
    ("gradients", "share"),
    [
        ((1, 4, 9, 9, 9, 9, 2, 2), "1 at"),  # geometric means of a quarter: 2 over 2
        ((1, 4, 1, 1, 1, 1, 16, 1), "0.5 at"),
        ((2, 2, 1, 1, 1, 1, 1, 1), "2 at"),
        ((0, 4, 1, 1, 1, 1, 1, 1), "0 at"),
        ((1, 1, 1, 1, 1, 1, 0, 1), "0 at"),
    ],
)
def test_gradients_are_compared_by_the_outer_quarters_of_the_layers(layers, judge, gradients, share):
    layers("plain", [0.5] * 8, gradients)
    assert f"next to the output, is {share} initialization" in judge(6).evidence


def test_gradients_must_be_healthy_at_both_ends_of_every_run(layers, judge):
    layers("plain", [0.5] * 4, {0: (1, 1, 1, 1), 1: (1e-9, 1, 1, 1), 2: (1, 1, 1, 1)}, epochs=(0, 1, 2))
    assert judge(6).verdict == FAILS
    layers("plain", [0.5] * 4, {0: (1, 1, 1, 1), 2: (0.05, 1, 1, 1)}, depth=110)
    assert judge(6).verdict == OPEN


def test_gradients_of_several_seeds_are_reported_as_a_range(layers, make_run, make_layers, judge):
    layers("plain", [0.5] * 4, (0.5, 1, 1, 1))
    run = make_run("other", [9.0, 8.0], model="plain", depth=56, seed=5, **REAL)
    make_layers(run, [0.5] * 4, (0.001, 1, 1, 1))
    claim = judge(6)
    assert "0.001 to 0.5 (2 seeds) at initialization" in claim.evidence
    assert claim.verdict == HOLDS


@pytest.mark.parametrize(("share", "verdict"), [(0.1, FAILS), (0.0999, OPEN), (0.01, OPEN), (0.00999, HOLDS)])
def test_gradients_are_healthy_from_a_tenth_and_vanish_below_a_hundredth(layers, judge, share, verdict):
    layers("plain", [0.5] * 4, (share, 1, 1, 1))
    assert judge(6).verdict == verdict


def test_undecided_gradients_come_with_the_limits_the_residual_network_and_longer_training(layers, judge):
    layers("plain", [0.5] * 4, {0: (1, 1, 1, 1), 2: (0.05, 1, 1, 1)})
    layers("plain", [0.5] * 8, depth=20)
    layers("resnet", [0.5] * 4, {0: (3, 1, 1, 1), 2: (2, 1, 1, 1)})
    claim = judge(6)
    assert claim.verdict == OPEN
    assert "In resnet-56, the ratio is 3 at initialization and 2 after epoch 2." in claim.evidence
    assert "below 0.01, gradients count as vanished, from 0.1 on as healthy. These limits are ours" in claim.evidence
    assert "stays open, because the ratio lies between the limits: 0.05 in plain-56." in claim.evidence
    assert claim.in_short.endswith("(below 0.01 would count as vanished, from 0.1 on as healthy)")
    assert claim.missing.startswith("training for 164 epochs: ")
    assert {"model=plain", "depth=56", "diagnostics.enabled=true"} <= {*claim.command.split()}
    assert "optim.epochs=2" not in claim.command


def test_networks_trained_as_long_as_the_labs_need_no_longer_training(make_run, make_layers, judge):
    run = make_run("plain", [9.0, 8.0], model="plain", depth=56, optim__epochs=164, **REAL)
    make_layers(run, [0.5] * 4, (0.05, 1, 1, 1))
    claim = judge(6)
    assert (claim.verdict, claim.missing, claim.command) == (OPEN, "", "")


def test_healthy_gradients_of_a_shallow_network_are_said_to_decide_nothing(layers, judge):
    layers("plain", [0.5] * 8, depth=20)
    claim = judge(6)
    assert "fewer than 56 layers degrade little, so healthy gradients decide nothing." in claim.evidence
    assert "stays open" not in claim.evidence


def test_no_number_of_seeds_finds_a_difference_of_nothing(network, tmp_path):
    network("resnet", 20, thrice(5.0), train=[[0.0], [0.0], [0.07]])
    network("resnet", 56, thrice(5.0), train=[[0.0], [0.0], [0.0]])
    runs = replace(load.load([tmp_path]), smallest=0.0)
    assert "seeds of each network" not in claims.judge(runs, "cifar10")[2].finding.missing
