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


@pytest.mark.parametrize(
    ("low", "high", "within"), [(-1.0, 1.0, True), (1.0, 1.0, True), (1.0, 2.0, None), (-2.0, -1.0, None)]
)
def test_the_margin_itself_is_still_similar(low, high, within):
    assert Difference(0, 0, low, high, (3, 3), PAIRED).lies_within(1.0) is within


@pytest.mark.parametrize(("low", "high", "sign"), [(0, 1, 0), (0.1, 0.9, 1), (-1, 0, 0), (-0.9, -0.1, -1), (-1, 1, 0)])
def test_a_difference_counts_where_its_interval_excludes_zero(low, high, sign):
    assert Difference(0, 0, low, high, (3, 3), PAIRED).sign == sign


@pytest.mark.parametrize(
    ("first", "second", "method", "n"),
    [
        ({0: 1.0, 1: 2.0}, {0: 3.0, 1: 4.5}, PAIRED, (2, 2)),
        ({0: 1.0, 1: 2.0, 2: 3.0}, {1: 3.0, 2: 4.5, 5: 9.0}, PAIRED, (2, 2)),
        ({0: 1.0, 1: 2.0}, {1: 3.0, 2: 4.5}, WELCH, (2, 2)),
        ({0: 1.0, 1: 2.0, 2: 3.0}, {3: 3.0, 4: 4.5}, WELCH, (3, 2)),
        ({0: 1.0, 1: 2.0, 2: 3.0}, {0: 3.0}, ONE_SEED, (3, 1)),
        ({0: 1.0}, {0: 3.0, 1: 2.0, 2: 3.0}, ONE_SEED, (1, 3)),
    ],
)
def test_the_seeds_decide_on_the_method(first, second, method, n):
    found = compare(first, second, 10_000)
    assert (found.method, found.n) == (method, n)


def test_the_order_of_the_seeds_does_not_matter():
    first, second = {2: 9.3, 0: 8.7, 1: 8.9}, {0: 8.1, 1: 8.5, 2: 8.6}
    assert compare(first, second) == compare(dict(sorted(first.items())), second)


def test_seeds_that_agree_exactly_have_an_interval_of_no_width():
    found = compare({0: 1.0, 1: 1.0}, {5: 3.0, 6: 3.0})
    assert (found.low, found.mean, found.high) == (2.0, 2.0, 2.0)


def test_an_error_has_the_decimals_that_its_images_allow():
    found = {images: decimals(images) for images in (100_000, 10_000, 1_001, 1_000, 360, 101, 100, 32, 1)}
    assert found == {100_000: 2, 10_000: 2, 1_001: 2, 1_000: 1, 360: 1, 101: 1, 100: 0, 32: 0, 1: 0}


@pytest.mark.parametrize("images", [None, math.nan, 0, -1])
def test_an_error_of_unknown_images_has_two_decimals(images):
    assert decimals(images) == 2


def test_no_value_has_no_mean():
    assert all(map(math.isnan, mean_and_std([])))
    assert mean_and_std([1.0, 3.0]) == pytest.approx((2.0, math.sqrt(2)))
