"""The sentences of the report are true of the runs they are about, also where results are equal or runs are missing."""

import pytest

from cifar_resnet.report.document.findings import Findings
from cifar_resnet.report.runs import load


@pytest.fixture
def findings(tmp_path):
    """What the runs under `runs` show, in sentences."""
    return lambda data="digits": Findings(load.load([tmp_path / "runs"]), data)


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
