"""Published values are compared only with runs that they apply to."""

import pytest

from cifar_resnet.report import published


@pytest.mark.parametrize(
    ("is_cifar10", "train", "test", "comparable"),
    [
        (True, 50_000, 10_000, True),
        (True, 45_000, 10_000, True),
        (True, 44_999, 10_000, False),
        (True, 50_000, 1_000, False),
        (True, None, None, False),
        (False, 50_000, 10_000, False),
    ],
)
def test_only_the_real_and_whole_cifar10_is_comparable(is_cifar10, train, test, comparable):
    assert published.is_comparable(is_cifar10, train, test) is comparable


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
