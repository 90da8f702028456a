"""The numbers, networks and commands in what is found about each claim are those of the runs that it is about."""

import re

import pytest

from cifar_resnet.report import claims
from cifar_resnet.report.claims import CLAIMS, HOLDS, OPEN
from cifar_resnet.report.runs import load

# On digits, with 1,437 training images and 360 test images, training errors have two decimals and test errors one.
ERRORS = {
    ("plain", 20): (9.1, 5.12),
    ("plain", 32): (9.6, 7.17),
    ("plain", 56): (13.2, 11.23),
    ("resnet", 20): (8.3, 4.34),
    ("resnet", 56): (7.4, 1.45),
    ("resnet", 110): (6.5, 0.56),
    ("preact", 110): (3.6, 0.67),
}
"""Model and depth → test and training error of each seed."""


@pytest.fixture
def networks(make_run):
    """Writes the runs of ERRORS, or those given, with this number of seeds each."""

    def make(errors=ERRORS, seeds=3, **keys):
        for (model, depth), (test, train) in errors.items():
            for seed in range(seeds):
                early = 50.0 if model == "plain" else 40.0
                make_run(
                    f"{model}-{depth}-{seed}-{seeds}",
                    [60.0, test],
                    train=[early, train],
                    model=model,
                    depth=depth,
                    seed=seed,
                    **keys,
                )

    return make


@pytest.fixture
def found(tmp_path):
    """What the runs show about each claim."""
    return lambda data="digits": [one.finding for one in claims.judge(load.load([tmp_path]), data)]


def errors(text):
    """The errors of networks in a text, in their order."""
    return re.findall(r"(\w+-\d+) ([\d.]+) %", text)


def test_summary_and_evidence_have_the_errors_that_the_claim_is_about(networks, found):
    networks()
    headline, degradation, shortcuts, shallow, preactivation, *_ = found()
    assert re.findall(r"([\d.]+) % and ([\d.]+) % at (\d+) layers", headline.in_short) == [
        ("9.1", "8.3", "20"),
        ("13.2", "7.4", "56"),
    ]
    for depth, first, second in ((20, "9.1", "8.3"), (56, "13.2", "7.4")):
        assert f"At {depth} layers, the final test error is {first} % without and {second} % with" in headline.evidence
    assert errors(degradation.in_short) == errors(degradation.evidence)
    assert errors(degradation.in_short) == [("plain-20", "5.12"), ("plain-32", "7.17"), ("plain-56", "11.23")]
    train = [("resnet-20", "4.34"), ("resnet-56", "1.45"), ("resnet-110", "0.56")]
    test = [("resnet-20", "8.3"), ("resnet-56", "7.4"), ("resnet-110", "6.5")]
    assert errors(shortcuts.in_short) == [train[0], train[-1], test[0], test[-1]]
    assert errors(shortcuts.evidence) == [*train, *test]
    final, early = [("plain-20", "9.1"), ("resnet-20", "8.3")], [("plain-20", "50.0"), ("resnet-20", "40.0")]
    assert errors(shallow.evidence) == final
    assert errors(shallow.in_short) == [*final, *early]
    assert "averages 50.0 % for plain-20 and 40.0 % for resnet-20" in shallow.evidence
    assert errors(preactivation.in_short) == errors(preactivation.evidence)
    assert errors(preactivation.in_short) == [("resnet-110", "6.5"), ("preact-110", "3.6")]


def test_differences_have_the_decimals_of_the_images_that_they_were_measured_on(networks, found):
    networks()
    differences = [re.findall(r"([+−-][\d.]+) points", one.evidence) for one in found()[:5]]
    assert [[text.lstrip("+−-") for text in one] for one in differences] == [
        ["0.8", "5.8"],
        ["2.05", "6.11"],
        ["3.78", "1.8"],
        ["0.8", "10.0"],
        ["2.9"],
    ]


def test_all_claims_about_errors_hold_of_runs_that_support_them(networks, found):
    networks({key: (test, train) for key, (test, train) in ERRORS.items() if key != ("plain", 20)})
    networks({("plain", 20): (8.6, 5.12)})
    assert [one.verdict for one in found()[:5]] == [HOLDS] * 5
    assert all((one.missing, one.command) == ("", "") for one in found()[:5])


@pytest.mark.parametrize(
    ("number", "depths"), [(0, (20, 110)), (1, (20, 110)), (2, (20, 110)), (3, (20,)), (4, (110,))]
)
def test_runs_that_have_not_finished_are_named_where_the_claim_is_about_their_network(
    networks, make_run, found, number, depths
):
    networks()
    for model in ("plain", "resnet", "preact"):
        for depth in (20, 110):
            make_run(f"{model}-{depth}-lost", [60.0], model=model, depth=depth, seed=9, state="diverged")
    named = re.findall(r"(\d of \d) (\w+)-(\d+) runs finished \(1 diverged\)", found()[number].evidence)
    assert sorted(named) == sorted(
        ("3 of 4" if (model, depth) in ERRORS else "0 of 1", model, str(depth))
        for model in CLAIMS[number].models
        for depth in depths
    )


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_runs_that_learned_nothing_are_named_where_the_claim_is_about_their_model(
    networks, make_run, make_layers, found, number
):
    networks()
    for model in ("plain", "resnet", "preact"):
        run = make_run(f"{model}-dead", [90.0], train=[90.0], model=model, depth=44, seed=9)
        make_layers(run, [0.5] * 4, [1] * 4)
    (sentence,) = re.findall(r"[^.]* learned nothing", found()[number].evidence)
    assert sorted(re.findall(r"(\w+)-44", sentence)) == sorted(CLAIMS[number].models)


def test_the_headline_asks_for_seeds_at_the_depths_that_need_them(networks, found):
    networks({key: errors for key, errors in ERRORS.items() if key[1] in (20, 56)})
    networks({("plain", 44): (9.0, 5.0), ("resnet", 44): (6.0, 2.0)}, seeds=1)
    networks({("plain", 32): (9.0, 5.0), ("resnet", 32): (9.0, 5.0)}, seeds=1)
    command = found()[0].command
    assert "model=plain,resnet " in command and "depth=32,44 " in command and "seed=0,1,2" in command


@pytest.mark.parametrize(("number", "model", "depths"), [(1, "plain", "20,32,56"), (2, "resnet", "20,56")])
def test_more_seeds_are_asked_of_the_networks_that_are_judged(networks, found, number, model, depths):
    networks({(model, depth): (9.0, 5.0 + depth / 100) for depth in (20, 32, 56)}, seeds=1)
    claim = found()[number]
    assert claim.verdict == OPEN
    assert f"model={model} " in claim.command and f"depth={depths} " in claim.command


@pytest.mark.parametrize(("number", "models", "depth"), [(3, ("plain", "resnet"), 20), (4, ("resnet", "preact"), 110)])
def test_more_seeds_are_asked_of_the_two_networks_that_are_compared(networks, found, number, models, depth):
    networks({(model, depth): (9.0, 5.0) for model in models}, seeds=1)
    command = found()[number].command
    assert f"model={','.join(models)} " in command and f"depth={depth} " in command
