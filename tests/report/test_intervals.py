"""Intervals agree with SciPy's tests, published examples, and calculations by hand."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from cifar_resnet.report.intervals import (
    BETTER,
    LEVEL,
    ONE_SEED,
    OPEN,
    PAIRED,
    POWER,
    SAME,
    SAME_IMAGES,
    WELCH,
    WORSE,
    Difference,
    compare,
    decimals,
    expected_best,
    holm,
    mean_and_std,
    seeds_needed,
)

A = {0: 8.7, 1: 8.9, 2: 9.3, 3: 8.8}
B = {0: 8.1, 1: 8.5, 2: 8.6, 3: 8.6}


def between(low, high, method=WELCH, mean=None):
    """A difference with this interval, whatever it was measured on."""
    center, half = (low + high) / 2, (high - low) / 2
    return Difference(0, center if mean is None else mean, center, 0.0, math.inf, half, (3, 3), method)


def mistakes(both, only_first, only_second, neither):
    """The test images of two networks: how many of them each got wrong."""
    counts = [both, only_first, only_second, neither]
    return np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


def test_mean_and_deviation_are_those_worked_by_hand():
    # (6 + 7 + 9.5) / 3 = 7.5; deviations -1.5, -0.5, 2: squares 2.25 + 0.25 + 4 = 6.5, over 2 = 3.25, root 1.803
    assert mean_and_std([6.0, 7.0, 9.5]) == pytest.approx((7.5, 1.8028), abs=1e-4)
    assert math.isnan(mean_and_std([8.75])[1])


def test_no_value_has_no_mean():
    assert all(map(math.isnan, mean_and_std([])))
    assert mean_and_std([1.0, 3.0]) == pytest.approx((2.0, math.sqrt(2)))


@pytest.mark.parametrize("seeds", [(0, 1, 2, 3), (10, 11, 12, 13), (0, 1, 7)])
def test_seeds_are_independent_samples_and_all_of_them_count(seeds):
    second = dict(zip(seeds, B.values(), strict=False))
    found = compare(A, second, 10_000)
    test = scipy.stats.ttest_ind(list(second.values()), list(A.values()), equal_var=False)
    expected = test.confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.p == pytest.approx(test.pvalue)
    assert (found.method, found.n) == (WELCH, (4, len(seeds)))


def test_seeds_that_also_draw_the_images_are_paired():
    found = compare(A, B, drawn=True)
    test = scipy.stats.ttest_rel(list(B.values()), list(A.values()))
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))
    assert found.p == pytest.approx(test.pvalue)
    assert (found.method, found.n, found.sign) == (PAIRED, (4, 4), -1)


def test_a_paired_interval_is_that_worked_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, error 1/√3; t(2, 97.5 %) = 4.3027, so ±2.4842.
    found = compare({0: 10, 1: 10, 2: 10}, {0: 11, 1: 12, 2: 13}, drawn=True)
    assert (found.mean, found.low, found.high) == pytest.approx((2, -0.4842, 4.4842), abs=1e-4)
    assert found.sign == 0


@pytest.mark.parametrize("second", [{0: 8.1, 1: 8.5, 2: 8.6}, {1: 8.1, 2: 8.5, 3: 8.6, 4: 8.6}])
def test_no_run_is_thrown_away_because_it_has_no_partner(second):
    assert compare(A, second, drawn=True) == compare(A, second)


def test_one_seed_has_the_interval_of_the_test_images():
    # 360 images, 36 and 72 of them wrong: (37/362, 73/362) after one hit and one miss more each.
    p, q = 37 / 362, 73 / 362
    width = 1.959964 * math.sqrt(p * (1 - p) / 362 + q * (1 - q) / 362)
    found = compare({0: 10.0}, {0: 20.0}, 360)
    assert (found.low, found.high) == pytest.approx((100 * (q - p - width), 100 * (q - p + width)))
    assert (found.method, found.sign, found.mean) == (ONE_SEED, 1, 10.0)


def test_the_width_that_the_docstring_gives_is_right():
    found = compare({0: 7.0}, {0: 7.0}, 10_000)
    assert found.half == pytest.approx(0.71, abs=0.005)
    assert 1.96 * math.sqrt(2) * 0.16 == pytest.approx(0.44, abs=0.005)


def test_networks_that_saw_the_same_images_are_compared_image_by_image():
    # Half an image more in each cell: 11 of 102 and 31 of 102 images on which only one network is wrong differ by 20.
    found = compare({0: 30.0}, {0: 50.0}, 100, mistakes(20, 10, 30, 40))
    middle = 20 / 102
    width = 1.959964 * math.sqrt(((10.5 + 30.5) / 102 - middle**2) / 102)
    assert (found.low, found.high) == pytest.approx((100 * (middle - width), 100 * (middle + width)))
    assert (found.method, found.mean, found.one_seed) == (SAME_IMAGES, 20.0, True)


def test_the_interval_of_the_same_images_is_narrower():
    # At 7 % and 8 %, networks that share half of their mistakes.
    values, images = ({0: 7.0}, {0: 8.0}), 10_000
    same = compare(*values, images, mistakes(400, 300, 400, 8_900))
    assert 0.6 < same.half / compare(*values, images).half < 0.8
    assert same.sign == 1


def test_several_seeds_against_one_are_averaged_image_by_image():
    first, second = np.array([1, 0.5, 0, 0]), np.array([0, 1, 1, 0])
    found = compare({0: 50, 1: 25}, {0: 50}, 4, (first, second))
    differences = np.array([-1, 0.5, 1, 0])
    middle = differences.sum() / 6
    variance = ((differences**2).sum() + 1) / 6 - middle**2
    assert (found.center, found.error) == pytest.approx((100 * middle, 100 * math.sqrt(variance / 6)))
    assert (found.method, found.n) == (SAME_IMAGES, (2, 1))
    assert found.spread == pytest.approx((25 / math.sqrt(2), math.nan), nan_ok=True)


def test_one_seed_without_images_is_inconclusive():
    found = compare({0: 25.0}, {0: 100.0})
    assert (found.low, found.high, found.sign, found.p) == (-math.inf, math.inf, 0, 1.0)
    assert found.center == found.mean == 75.0
    assert found.verdict(0.1) == OPEN


def test_seeds_that_agree_by_chance_are_not_certain():
    # Two seeds with 18 of 360 images wrong each, and two with 19: one image apart, without any spread.
    one = 100 / 360
    found = compare(dict.fromkeys(range(2), 18 * one), dict.fromkeys(range(2), 19 * one), 360)
    assert found.half == pytest.approx(one)
    assert (found.sign, found.p) == (0, 1.0)


def test_seeds_that_agree_exactly_have_an_interval_of_no_width():
    found = compare({0: 1.0, 1: 1.0}, {5: 3.0, 6: 3.0})
    assert (found.low, found.mean, found.high, found.p) == (2.0, 2.0, 2.0, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "within"),
    [
        (-0.9, 0.9, True),
        (-1.1, 0.5, None),
        (1.1, 3.0, False),
        (-3.0, -1.1, False),
        (0.5, 1.5, None),
        # At the margin, the means are similar.
        (-1.0, 1.0, True),
        (1.0, 1.0, True),
        (1.0, 3.0, None),
        (-3.0, -1.0, None),
    ],
)
def test_similar_means_that_the_whole_interval_is(low, high, within):
    assert between(low, high).lies_within(1.0) is within


@pytest.mark.parametrize(("low", "high", "sign"), [(0, 1, 0), (0.25, 1, 1), (-1, 0, 0), (-1, -0.25, -1), (-1, 1, 0)])
def test_a_difference_counts_where_its_interval_excludes_zero(low, high, sign):
    assert between(low, high).sign == sign


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.25, 1, WORSE),
        (-1, -0.25, BETTER),
        (-0.5, 1, OPEN),
        (-0.06, 0.08, SAME),
        (0.01, 0.03, SAME),  # significant, and not worth naming
        (0.01, 0.15, OPEN),  # significant, but measured as 0.08
        (0.05, 0.15, WORSE),  # measured as exactly the smallest difference
    ],
)
def test_the_verdict_needs_an_interval_and_a_size(low, high, verdict):
    assert between(low, high).verdict(0.1) == verdict
    assert between(-high, -low).verdict(0.1) == {WORSE: BETTER, BETTER: WORSE}.get(verdict, verdict)


@pytest.mark.parametrize("method", [ONE_SEED, SAME_IMAGES, WELCH, PAIRED])
@pytest.mark.parametrize(("low", "high"), [(0.25, 1), (-1, -0.25), (-0.06, 0.08)])
def test_a_verdict_of_one_seed_is_marked(method, low, high):
    assert ("(one seed)" in between(low, high, method).words(0.1)) == (method in (ONE_SEED, SAME_IMAGES))


@pytest.mark.parametrize(
    ("first", "second", "method", "n"),
    [
        ({0: 1.0, 1: 2.0}, {0: 3.0, 1: 4.5}, WELCH, (2, 2)),
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
    for drawn in (False, True):
        assert compare(first, second, drawn=drawn) == compare(dict(sorted(first.items())), second, drawn=drawn)


def with_p(p):
    """A difference of this p."""
    return Difference(0, 1, float(-scipy.stats.norm.ppf(p / 2)), 1.0, math.inf, 0.0, (3, 3), WELCH)


def test_holm_is_that_of_the_textbook():
    # Of p = 0.01, 0.04, 0.03, 0.005: 0.005 < 0.05/4 and 0.01 < 0.05/3 are significant, 0.03 > 0.05/2 isn't.
    found = holm([with_p(p) for p in (0.01, 0.04, 0.03, 0.005)])
    assert [one.sign for one in found] == [1, 0, 0, 1]
    assert [one.level for one in found] == pytest.approx([LEVEL / 3, LEVEL / 2, LEVEL / 2, LEVEL / 4])


def test_one_comparison_needs_no_correction_and_unknown_ones_do_not_count():
    unknown = compare({0: 1.0}, {0: 2.0})
    one = with_p(0.04)
    assert holm([one]) == [one]
    assert holm([unknown, one, unknown]) == [unknown, one, unknown]
    assert holm([]) == []


@pytest.mark.parametrize(("std", "wanted", "seeds"), [(0.2, 0.5, 4), (0.2, 0.1, 64), (1.0, 1.0, 17)])
def test_the_seeds_needed_are_those_of_the_tables(std, wanted, seeds):
    # Two-sided t-test, 5 %, power 80 %; 17 per group for a difference of one standard deviation (Cohen 1988).
    one = compare(
        {0: 5 - std / math.sqrt(2), 1: 5 + std / math.sqrt(2)}, {0: 6 - std / math.sqrt(2), 1: 6 + std / math.sqrt(2)}
    )
    assert one.spread == pytest.approx((std, std))
    assert seeds_needed(one, wanted) == seeds


@pytest.mark.parametrize(
    ("first", "second", "wanted"), [(1.0, 0.2, 3.0), (0.2, 1.0, 3.0), (2.0, 1.0, 4.0), (1.0, 2.0, 4.0), (0.5, 0.5, 9.0)]
)
def test_one_seed_fewer_would_not_find_the_difference(first, second, wanted):
    def power(n):
        """Of Welch's test with n seeds each, by its definition."""
        variances = first**2 / n, second**2 / n
        freedom = sum(variances) ** 2 / sum(variance**2 / (n - 1) for variance in variances)
        limit = scipy.stats.t.ppf(1 - LEVEL / 2, freedom)
        return 1 - scipy.stats.nct.cdf(limit, freedom, wanted / math.sqrt(sum(variances)))

    seeds = seeds_needed(dataclasses.replace(compare(A, B), spread=(first, second)), wanted)
    assert power(seeds) >= POWER
    assert seeds == 2 or power(seeds - 1) < POWER


@pytest.mark.parametrize(("std", "wanted", "seeds"), [(1.0, 1.0, 10), (1.0, 0.5, 34), (0.2, 0.5, 4)])
def test_the_pairs_of_seeds_needed_are_those_of_the_tables(std, wanted, seeds):
    # Paired t-test, two-sided, 5 %, power 80 %: 34 pairs for half a standard deviation of the differences (Cohen 1988).
    first, half = {0: 5.0, 1: 9.0}, std / math.sqrt(2)
    one = compare(first, {0: 6 - half, 1: 10 + half}, drawn=True)
    assert one.method == PAIRED
    assert seeds_needed(one, wanted) == seeds
    assert seeds_needed(compare(first, {0: 6.0, 1: 10.0}, drawn=True), wanted) is None


def test_nobody_is_sent_to_train_more_than_10_000_seeds():
    one = dataclasses.replace(compare(A, B), spread=(1.0, 1.0))
    # With so many seeds, t is normal: (1.95996 + 0.84162) · √(2 / n).
    limit = 2.80158 * math.sqrt(2 / 10_000)
    assert seeds_needed(one, limit * (1 + 5e-5)) == 10_000
    assert seeds_needed(one, limit) is None


def test_without_a_spread_nobody_knows_how_many_seeds_it_takes():
    assert seeds_needed(compare({0: 1.0}, {0: 2.0}, 100), 0.1) is None
    assert seeds_needed(compare({0: 1.0, 1: 1.0}, {0: 2.0, 1: 2.0}), 0.1) is None
    assert seeds_needed(compare({0: 1.0, 1: 90.0}, {0: 2.0, 1: 2.0}), 0.01) is None
    assert seeds_needed(compare({0: 1.0, 1: 90.0}, {0: 2.0, 1: 2.0}), 0.0) is None


def test_the_expected_best_of_trials_is_that_worked_by_hand():
    # Of two draws from 1, 2, 3 with replacement, the lower one is 1 in 5 of 9 cases, 2 in 3 of 9 and 3 in 1 of 9.
    assert expected_best([3.0, 1.0, 2.0], 2) == pytest.approx((5 * 1 + 3 * 2 + 1 * 3) / 9)
    assert expected_best([3.0, 1.0, 2.0], 1) == pytest.approx(2.0)
    assert expected_best([3.0, 1.0, 2.0], 200) == pytest.approx(1.0)


def test_an_error_has_the_decimals_that_its_images_allow():
    found = {images: decimals(images) for images in (100_000, 10_000, 1_001, 1_000, 360, 101, 100, 32, 1)}
    assert found == {100_000: 2, 10_000: 2, 1_001: 2, 1_000: 1, 360: 1, 101: 1, 100: 0, 32: 0, 1: 0}


@pytest.mark.parametrize("images", [None, math.nan, 0, -1])
def test_an_error_of_unknown_images_has_two_decimals(images):
    assert decimals(images) == 2


def test_an_interval_of_errors_ends_where_errors_do():
    one = compare({0: 90.0, 1: 90.0, 2: 20.0}, {0: 6.0, 1: 6.1, 2: 6.2}, images=10_000)
    assert one.low == -100 and one.high > 0
    assert compare({0: 90.0, 1: 20.0}, {0: 6.0, 1: 6.1}).low < -100  # values that aren't errors


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_interval_goes_beyond_a_hundred_points(seeds):
    found = compare(dict.fromkeys(range(seeds), 0.0), {seed: 100.0 - 50 * seed for seed in range(seeds)}, 3)
    assert found.high == 100.0
    assert found.low < 50


def test_a_stricter_level_needs_more_seeds():
    one = dataclasses.replace(compare(A, B), spread=(0.3, 0.3))
    strict = dataclasses.replace(one, level=LEVEL / 5)
    needed = [seeds_needed(each, 0.5) for each in (one, strict)]
    assert needed[0] < needed[1]
