"""Intervals agree with SciPy's tests and with sums done by hand."""

import math

import pytest
import scipy.stats

from cifar_resnet.report.statistics import ONE_SEED, PAIRED, WELCH, Difference, compare, decimals, mean_and_std

A = {0: 8.7, 1: 8.9, 2: 9.3, 3: 8.8}
B = {0: 8.1, 1: 8.5, 2: 8.6, 3: 8.6}


def test_mean_and_deviation_are_those_worked_by_hand():
    # (6 + 7 + 9.5) / 3 = 7.5; deviations -1.5, -0.5, 2: squares 2.25 + 0.25 + 4 = 6.5, over 2 = 3.25, root 1.803
    assert mean_and_std([6.0, 7.0, 9.5]) == pytest.approx((7.5, 1.8028), abs=1e-4)
    assert math.isnan(mean_and_std([8.75])[1])


def test_common_seeds_are_paired():
    found = compare(A, B)
    expected = scipy.stats.ttest_rel(list(B.values()), list(A.values())).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.method, found.n, found.sign) == (PAIRED, (4, 4), -1)


def test_a_paired_interval_is_that_worked_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, error 1/√3; t(2, 97.5 %) = 4.3027, so ±2.4842.
    found = compare({0: 10, 1: 10, 2: 10}, {0: 11, 1: 12, 2: 13})
    assert (found.mean, found.low, found.high) == pytest.approx((2, -0.4842, 4.4842), abs=1e-4)
    assert found.sign == 0


def test_seeds_that_one_side_lacks_are_not_used_where_others_pair():
    assert compare(A, {0: 8.1, 1: 8.5, 7: 99.0}) == compare({0: 8.7, 1: 8.9}, {0: 8.1, 1: 8.5})


def test_other_seeds_are_compared_after_welch():
    found = compare(A, {seed + 10: error for seed, error in B.items()})
    expected = scipy.stats.ttest_ind(list(B.values()), list(A.values()), equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.method, found.n) == (WELCH, (4, 4))


def test_one_seed_has_the_interval_of_the_test_images():
    # 360 images, 36 and 72 of them wrong: (37/362, 73/362) after one hit and one miss more each.
    p, q = 37 / 362, 73 / 362
    width = 1.959964 * math.sqrt(p * (1 - p) / 362 + q * (1 - q) / 362)
    found = compare({0: 10.0}, {0: 20.0}, 360)
    assert (found.low, found.high) == pytest.approx((100 * (q - p - width), 100 * (q - p + width)))
    assert (found.method, found.sign, found.mean) == (ONE_SEED, 1, 10.0)


def test_the_width_that_the_docstring_gives_is_right():
    found = compare({0: 7.0}, {0: 7.0}, 10_000)
    assert (found.high - found.low) / 2 == pytest.approx(0.71, abs=0.005)
    assert 1.96 * math.sqrt(2) * 0.16 == pytest.approx(0.44, abs=0.005)


def test_one_seed_without_images_tells_nothing():
    assert compare({0: 1.0}, {0: 99.0}).sign == 0


def test_seeds_that_agree_by_chance_are_not_certain():
    # Both seeds are one image of 360 worse.
    found = compare({0: 1.0, 1: 2.0}, {0: 1.0 + 100 / 360, 1: 2.0 + 100 / 360}, 360)
    assert (found.low, found.high) == pytest.approx((0, 200 / 360))
    assert compare({0: 0.0, 1: 0.0}, {5: 0.0, 6: 0.0}).sign == 0


@pytest.mark.parametrize(
    ("low", "high", "within"),
    [(-0.9, 0.9, True), (-1.1, 0.5, None), (1.1, 3.0, False), (-3.0, -1.1, False), (0.5, 1.5, None)],
)
def test_similar_means_that_the_whole_interval_is(low, high, within):
    assert Difference(0, (low + high) / 2, low, high, (3, 3), PAIRED).lies_within(1.0) is within


def test_an_error_has_the_decimals_that_its_images_allow():
    assert [decimals(images) for images in (10_000, 5_000, 1_437, 360, 100, 32, None, math.nan)] == [
        2,
        2,
        2,
        1,
        0,
        0,
        2,
        2,
    ]
