"""Whole findings, word for word, and the verdicts at the limits of each rule."""

import pytest

from cifar_resnet.report.claims import CLAIMS, FAILS, HOLDS, OPEN
from tests.report.conftest import REAL
from tests.report.test_evidence import ERRORS, found, networks  # noqa: F401 (fixtures)

SEEDS = "3 seeds of each of the following networks, which show the spread between trainings"
TRAIN = "python train.py -m model={} seed=0,1,2 data=digits optim.epochs=2"
DEVIATION = "the standard deviation of the responses after the last epoch averages 0.512 in the plain and 0.362 in the "
DEVIATION += "residual network, where it is smaller in 3 of 4 layers (one seed: no interval)."
RATIO = "0.00877 at initialization and 0.00877 after epoch 2"
ON_IMAGES = "over the choice of the 360 test images only"
OF_THIS_SIZE = "one seed; a test error of this size on 360 test images would have the"
FINDINGS = {
    "equal-depth": (
        "At 20 layers, the final test error is 9.1 % without and 8.3 % with shortcuts: −0.8 points (one seed; 95 % "
        f"interval −4.9 to +3.4 {ON_IMAGES}); inconclusive. At 56 layers, the final test error is 13.2 % without and "
        f"7.4 % with shortcuts: −5.8 points (one seed; 97.5 % interval −10.9 to −0.7 {ON_IMAGES}); holds.",
        SEEDS,
        TRAIN.format("plain,resnet depth=20,56"),
        "test errors without and with shortcuts: 9.1 % and 8.3 % at 20 layers, 13.2 % and 7.4 % at 56 layers",
    ),
    "degradation": (
        "Final training error: plain-20 5.12 %, plain-32 7.17 %, plain-56 11.23 %. From 20 to 32 layers: +2.05 points "
        f"({OF_THIS_SIZE} 95 % interval −1.52 to +5.60). From 20 to 56 layers: +6.11 points ({OF_THIS_SIZE} 97.5 % "
        "interval +1.48 to +10.67).",
        SEEDS,
        TRAIN.format("plain depth=20,32,56"),
        "training error: plain-20 5.12 %, plain-32 7.17 %, plain-56 11.23 %",
    ),
    "shortcuts": (
        "Final training error: resnet-20 4.34 %, resnet-56 1.45 %, resnet-110 0.56 %. From 20 to 110 layers: −3.78 "
        f"points ({OF_THIS_SIZE} 97.5 % interval −6.45 to −1.07). Final test error: resnet-20 8.3 %, resnet-56 7.4 %, "
        f"resnet-110 6.5 %. From 20 to 110 layers: −1.8 points (one seed; 95 % interval −5.7 to +2.1 {ON_IMAGES}).",
        SEEDS,
        TRAIN.format("resnet depth=20,110"),
        "training error: resnet-20 4.34 %, resnet-110 0.56 %; test error: resnet-20 8.3 %, resnet-110 6.5 %",
    ),
    "shallow": (
        "Final test error: plain-20 9.1 %, resnet-20 8.3 %; difference −0.8 points (one seed; 95 % interval −4.9 to "
        f"+3.4 {ON_IMAGES}). Up to 0.91 points, a tenth of the plain network's error, count as similar. Over the first "
        "epoch, the training error averages 50.0 % for plain-20 and 40.0 % for resnet-20: −10.0 points "
        f"({OF_THIS_SIZE} 97.5 % interval −18.2 to −1.7).",
        SEEDS,
        TRAIN.format("plain,resnet depth=20"),
        "test error: plain-20 9.1 %, resnet-20 8.3 %; mean training error over the first epoch: plain-20 50.0 %, "
        "resnet-20 40.0 %",
    ),
    "preactivation": (
        "Final test error: resnet-110 6.5 %, preact-110 3.6 %; difference −2.9 points (one seed; 95 % interval −6.1 to "
        f"+0.4 {ON_IMAGES}).",
        SEEDS,
        TRAIN.format("resnet,preact depth=110"),
        "test error: resnet-110 6.5 %, preact-110 3.6 %",
    ),
    "responses": (
        f"At 20 layers, {DEVIATION} At 56 layers, {DEVIATION}",
        SEEDS,
        TRAIN.format("plain,resnet depth=20,56") + " diagnostics.enabled=true",
        "standard deviation in plain and in residual layers: 0.512 and 0.362 at 20 layers, 0.512 and 0.362 at 56 "
        "layers",
    ),
    "gradients": (
        "plain-56 learned (final training error 11.23 %): the norm of the gradient over the quarter of the layers next "
        f"to the input, relative to that over the quarter next to the output, is {RATIO}. It has vanished near the "
        f"input at initialization and after epoch 2. In resnet-56, the ratio is {RATIO}. The smaller value counts: "
        "below 0.01, gradients count as vanished, from 0.1 on as healthy. These limits are ours; the papers give none. "
        "Whether that is the cause of the degradation or a consequence of it, the norms by themselves don't show.",
        "",
        "",
        f"norm near the input relative to that near the output: {RATIO} in plain-56",
    ),
}
"""Claim → evidence, what is missing, the command and the finding in short, of the runs of ERRORS with one seed each."""


@pytest.fixture
def recorded(make_run, make_layers):
    """Writes the runs of ERRORS, one seed each, with their layers."""
    for (model, depth), (test, train) in ERRORS.items():
        plain = model == "plain"
        run = make_run(f"{model}-{depth}", [60.0, test], [50.0 if plain else 40.0, train], model=model, depth=depth)
        make_layers(run, [0.5, 0.6, 0.5, 0.45] if plain else [0.3, 0.4, 0.3, 0.45], (0.5, 1, 1, depth + 1))


@pytest.fixture
def seeds_of(make_run):
    """Writes the runs of a network: one pair of test and training error per seed."""

    def make(model, depth, errors, **keys):
        for seed, (test, train) in enumerate(errors):
            make_run(
                f"{model}-{depth}-{seed}", [60.0, test], [50.0, train], model=model, depth=depth, seed=seed, **keys
            )

    return make


def test_all_claims_have_a_finding_here():
    assert [claim.key for claim in CLAIMS] == list(FINDINGS)


@pytest.mark.parametrize("key", FINDINGS)
def test_the_whole_finding(recorded, found, key):  # noqa: F811
    finding = dict(zip(FINDINGS, found(), strict=True))[key]
    assert (finding.evidence, finding.missing, finding.command, finding.in_short) == FINDINGS[key]
    assert finding.one_seed


NEAR = [(8.0, 8.0), (8.01, 8.01), (8.02, 8.02)]
"""Errors that differ by less than the smallest difference worth naming, and so does the interval."""


@pytest.mark.parametrize(
    ("number", "first", "second"),
    [
        (0, ("plain", 56), ("resnet", 56)),
        (1, ("plain", 20), ("plain", 56)),
        (4, ("resnet", 110), ("preact", 110)),
    ],
)
def test_errors_without_a_difference_worth_naming_contradict_a_claim_of_one(seeds_of, found, number, first, second):  # noqa: F811
    seeds_of(*first, NEAR, **REAL)
    seeds_of(*second, NEAR, **REAL)
    finding = found("cifar10")[number]
    assert (finding.verdict, finding.missing, finding.command) == (FAILS, "", "")


def test_a_decided_depth_of_one_seed_asks_for_seeds_and_one_of_several_does_not(seeds_of, found):  # noqa: F811
    for depth, seeds in ((20, 3), (56, 1)):
        seeds_of("plain", depth, [(40.0 + seed / 10, 5.0) for seed in range(seeds)])
        seeds_of("resnet", depth, [(8.0 + seed / 10, 5.0) for seed in range(seeds)])
    headline = found()[0]
    assert headline.verdict == HOLDS
    assert "depth=56 seed=0,1,2 " in headline.command


def test_only_depths_that_are_open_ask_for_more_seeds(seeds_of, found):  # noqa: F811
    seeds_of("plain", 20, [(9.0, 5.0), (9.0, 5.4)])
    seeds_of("plain", 32, [(9.0, 5.3), (9.0, 5.9)])
    seeds_of("plain", 56, [(9.0, 30.0), (9.0, 30.1)])
    degradation = found()[1]
    assert degradation.verdict == OPEN and degradation.parts == {"32": OPEN, "56": HOLDS}
    assert "model=plain depth=20,32 " in degradation.command


def test_a_decided_verdict_on_shallow_networks_asks_for_nothing(seeds_of, found):  # noqa: F811
    seeds_of("plain", 20, [(9.0, 5.0), (9.3, 5.0), (9.1, 5.0)])
    seeds_of("resnet", 20, [(1.0, 5.0), (1.2, 5.0), (1.4, 5.0)])
    assert (found()[3].verdict, found()[3].missing, found()[3].command) == (FAILS, "", "")


def test_shallow_networks_of_several_seeds_ask_for_more_where_the_verdict_is_open(seeds_of, found):  # noqa: F811
    seeds_of("plain", 20, [(9.0, 5.0), (9.3, 5.0), (9.9, 5.0)])
    seeds_of("resnet", 20, [(7.0, 5.0), (9.2, 5.0), (9.4, 5.0)])
    shallow = found()[3]
    assert shallow.verdict == OPEN
    assert "seeds of each of plain-20 and resnet-20. With the spread so far" in shallow.missing


@pytest.mark.parametrize("first", [0.001, 1])
def test_one_plain_network_whose_gradients_vanish_is_enough(make_run, make_layers, found, first):  # noqa: F811
    for depth, share in ((56, first), (110, 1.001 - first)):
        run = make_run(f"plain-{depth}", [9.0, 8.0], model="plain", depth=depth)
        make_layers(run, [0.5] * 4, (share, 1, 1, 1))
    assert found()[6].verdict == HOLDS


def test_of_networks_too_shallow_to_degrade_the_deepest_is_described(make_run, make_layers, found):  # noqa: F811
    for depth in (8, 20, 32):
        make_layers(make_run(f"plain-{depth}", [9.0, 8.0], model="plain", depth=depth), [0.5] * 4, (1, 1, 1, 1))
    evidence = found()[6].evidence
    assert "plain-32 learned" in evidence and evidence.count("learned") == 1


def test_gradients_of_runs_that_learned_nothing_are_described_apart(make_run, make_layers, found):  # noqa: F811
    for seed, (error, share) in enumerate(((9.0, 0.5), (90.0, 1e-9))):
        run = make_run(f"plain-56-{seed}", [error], [error], model="plain", depth=56, seed=seed)
        make_layers(run, [0.5] * 4, (share, 1, 1, 1))
    gradients = found()[6]
    assert gradients.verdict == FAILS
    assert gradients.evidence.startswith("plain-56 learned (final training error 9.00 %)")
    assert "is 0.5 at initialization and 0.5 after epoch 2." in gradients.evidence
    assert (
        "1 of 2 finished runs of plain-56 learned nothing (training error 90.00 %, near chance)" in gradients.evidence
    )


def test_what_is_missing_where_no_network_learned(make_run, make_layers, found):  # noqa: F811
    for model in ("plain", "resnet"):
        for depth in (20, 56):
            run = make_run(f"{model}-{depth}", [90.0], [90.0], model=model, depth=depth)
            make_layers(run, [0.5] * 4, (1, 1, 1, 1))
    _, degradation, _, _, _, responses, _ = found()
    assert degradation.missing == "plain networks of two depths that learn, such as by longer training"
    assert responses.missing == "a plain and a residual network of the same depth that learned"
    assert responses.command.startswith("python train.py -m model=plain,resnet depth=20,56 ")
    assert responses.command.endswith(" diagnostics.enabled=true")
    assert (responses.in_short, responses.one_seed) == ("", False)


def test_what_is_missing_where_the_networks_fit_every_image(seeds_of, found):  # noqa: F811
    for depth in (20, 56):
        seeds_of("resnet", depth, [(8.0, 0.0), (8.1, 0.0)])
    assert found()[2].missing == (
        "a data set that the networks don't fit without error: here the training error can't get any lower"
    )


def test_a_command_for_one_seed_takes_that_of_the_other_runs(make_run, found):  # noqa: F811
    make_run("plain-20", [9.0], model="plain", depth=20, seed=5)
    assert "model=plain depth=20,56 seed=5 " in found()[1].command


def test_different_numbers_of_seeds_are_both_given(seeds_of, found):  # noqa: F811
    seeds_of("resnet", 110, [(8.0, 1.0), (8.1, 1.0), (8.2, 1.0)])
    seeds_of("preact", 110, [(6.0, 1.0), (6.1, 1.0)])
    assert found()[4].evidence.endswith(", 3 and 2 seeds).")


def test_networks_with_lost_runs_are_listed(seeds_of, make_run, found):  # noqa: F811
    for depth in (20, 56):
        seeds_of("plain", depth, NEAR)
        make_run(f"lost-{depth}", [60.0], model="plain", depth=depth, seed=9, state="failed")
    assert found()[1].evidence.endswith(
        " 3 of 4 plain-20 runs finished (1 failed) and 3 of 4 plain-56 runs finished (1 failed); only finished runs "
        "count."
    )


@pytest.mark.parametrize(("share", "grows"), [(99, False), (101, True)])
def test_gradients_explode_beyond_a_factor_of_a_hundred(make_run, make_layers, found, share, grows):  # noqa: F811
    make_layers(make_run("plain-56", [9.0, 8.0], model="plain", depth=56), [0.5] * 4, (share, 1, 1, 1))
    assert ("It grows by orders of magnitude toward the input at" in found()[6].evidence) == grows


def test_seeds_that_draw_the_same_images_are_paired(seeds_of, found):  # noqa: F811
    for model, error in (("resnet", 8.0), ("preact", 6.0)):
        seeds_of(model, 110, [(error, 1.0), (error + 1, 1.0), (error + 2.1, 1.0)], data__train_size=200)
    assert found()[4].evidence.endswith(", 3 paired seeds).")


def test_the_first_epochs_are_paired_by_the_seeds_that_draw_the_images(make_run, found):  # noqa: F811
    for seed, error in enumerate((48.0, 50.3, 51.7)):
        for model, faster in (("plain", 0.0), ("resnet", 1.0 + seed / 100)):
            errors = [error - faster, error - 40.0]
            make_run(f"{model}-{seed}", errors, errors, model=model, seed=seed, data__train_size=1000)
    shallow = found()[3]
    # Differences of -1, -1.01 and -1.02: their standard error is far below one of 360 images, which is 0.28 points.
    assert "49.0 % for resnet-20: −1.0 points (97.5 % interval −1.3 to −0.7, 3 paired seeds)." in shallow.evidence
    assert shallow.evidence.count("3 paired seeds") == 2
    assert shallow.verdict == HOLDS


def test_responses_are_paired_by_the_seeds_that_draw_the_images(make_run, make_layers, found):  # noqa: F811
    for seed, response in enumerate((0.4, 0.5, 0.6)):
        for model, smaller in (("plain", 0.0), ("resnet", 0.02 + seed / 1000)):
            run = make_run(f"{model}-{seed}", [9.0, 8.0], model=model, seed=seed, data__train_size=1000)
            make_layers(run, [response - smaller] * 4, [1] * 4)
    responses = found()[5]
    # Differences of -0.020, -0.021 and -0.022: a standard error of 0.001 / sqrt(3), times 4.303.
    assert "(95 % interval of the difference −0.023 to −0.019)" in responses.evidence
    assert (responses.verdict, responses.missing) == (HOLDS, "")
