"""The rule of intervals.py keeps its promises on simulated runs whose truth is known."""

import dataclasses
import math

import numpy as np
import pytest

from cifar_resnet.report.intervals import LEVEL, OPEN, SAME, compare, expected_best, holm, seeds_needed

REPEATS = 2000
# Four standard errors of a share that is really 5 %, over REPEATS: a test fails by chance once in 30,000 times.
SLACK = 4 * math.sqrt(LEVEL * (1 - LEVEL) / REPEATS)


@pytest.fixture
def rng():
    """The same numbers every time."""
    return np.random.default_rng(28)


def seeds(values):
    return dict(enumerate(map(float, values)))


def continuous(rng, mean, std, n):
    """Errors on CIFAR-10, in steps of one of 10,000 images."""
    return np.round(rng.normal(mean, std, n), 2)


def coarse(rng, mean, std, n):
    """Errors in steps of one of 360 images, so that seeds often agree exactly."""
    return np.round(rng.normal(mean, std, n) * 3.6) / 3.6


@pytest.mark.parametrize(("draw", "images"), [(continuous, 10_000), (coarse, 360)])
@pytest.mark.parametrize(
    ("n", "stds"), [((2, 2), (0.3, 0.3)), ((3, 2), (0.3, 0.6)), ((3, 3), (0.2, 0.9)), ((5, 5), (0.3, 0.3))]
)
@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_intervals_over_seeds_cover_the_truth(rng, draw, images, n, stds, truth):
    found = [
        compare(seeds(draw(rng, 7, stds[0], n[0])), seeds(draw(rng, 7 + truth, stds[1], n[1])), images)
        for _ in range(REPEATS)
    ]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    # Welch's interval is approximate: with 2 or 3 seeds and unequal spreads it may miss up to 1.5 % more.
    assert covered > 1 - LEVEL - 0.015 - SLACK


def test_seeds_that_draw_the_images_are_better_compared_in_pairs(rng):
    halves = {True: [], False: []}
    covered = {True: [], False: []}
    for _ in range(REPEATS):
        images = rng.normal(0, 1, 5)
        first, second = (seeds(20 + truth + images + rng.normal(0, 0.2, 5)) for truth in (0, 0.5))
        for drawn in (True, False):
            one = compare(first, second, drawn=drawn)
            halves[drawn].append(one.half)
            covered[drawn].append(one.low <= 0.5 <= one.high)
    assert np.mean(covered[True]) == pytest.approx(1 - LEVEL, abs=SLACK)
    assert np.mean(covered[False]) > 1 - LEVEL
    assert np.mean(halves[True]) < np.mean(halves[False]) / 3


def drawn_images(rng, images, both, only_first, only_second):
    """Two networks' mistakes on images drawn by chance, and their errors."""
    kind = rng.choice(4, images, p=[both, only_first, only_second, 1 - both - only_first - only_second])
    first, second = (kind < 2).astype(float), ((kind == 0) | (kind == 2)).astype(float)
    return {0: 100 * first.mean()}, {0: 100 * second.mean()}, (first, second)


@pytest.mark.parametrize("images", [360, 2_000])
@pytest.mark.parametrize("shares", [(0.04, 0.03, 0.03), (0.04, 0.03, 0.05), (0.0, 0.01, 0.01), (0.02, 0.003, 0.6)])
def test_intervals_of_one_seed_cover_what_other_images_would_show(rng, images, shares):
    truth = 100 * (shares[2] - shares[1])
    paired, independent, narrower = [], [], []
    for _ in range(REPEATS):
        first, second, wrong = drawn_images(rng, images, *shares)
        one, other = compare(first, second, images, wrong), compare(first, second, images)
        paired.append(one.low <= truth <= one.high)
        independent.append(other.low <= truth <= other.high)
        narrower.append(one.half < other.half)
    assert np.mean(paired) > 1 - LEVEL - SLACK
    assert np.mean(independent) > 1 - LEVEL - SLACK
    if shares[0] >= 0.04:
        assert np.mean(paired) < 1 - LEVEL + SLACK + 0.02  # not merely wide
        assert np.mean(narrower) == 1


def noise(rng, comparisons, n=3):
    """A table of differences between networks that are all alike."""
    return [
        compare(seeds(continuous(rng, 7, 0.25, n)), seeds(continuous(rng, 7, 0.25, n)), 10_000)
        for _ in range(comparisons)
    ]


def named(found):
    return [one for one in found if one.verdict(0.1) not in (SAME, OPEN)]


def test_a_table_of_noise_has_a_finding_once_in_twenty_times(rng):
    tables = 250
    corrected = uncorrected = 0
    for _ in range(tables):
        found = noise(rng, 15)
        uncorrected += bool(named(found))
        corrected += bool(named(holm(found)))
    assert corrected / tables < LEVEL + 4 * math.sqrt(LEVEL * (1 - LEVEL) / tables)
    assert uncorrected / tables > 0.3  # as it was


def test_seven_hundred_comparisons_of_noise_have_no_finding(rng):
    found = noise(rng, 721)
    assert len(named(found)) > 10
    assert named(holm(found)) == []


def test_differences_that_exist_are_found_among_others_that_do_not(rng):
    power = wrong = 0
    tables = 200
    for _ in range(tables):
        real = [
            compare(seeds(continuous(rng, 13, 0.4, 3)), seeds(continuous(rng, 7, 0.3, 3)), 10_000) for _ in range(4)
        ]
        found = holm([*real, *noise(rng, 8)])
        power += sum(one.sign < 0 for one in found[:4]) / 4
        wrong += bool(named(found[4:]))
    assert power / tables > 0.95
    assert wrong / tables < LEVEL + 4 * math.sqrt(LEVEL * (1 - LEVEL) / tables)


@pytest.mark.parametrize("std", [0.2, 0.5])
def test_the_seeds_asked_for_find_the_difference_as_often_as_promised(rng, std):
    wanted = 0.5
    known = compare(seeds([7 - std / 2**0.5, 7 + std / 2**0.5]), seeds([7 - std / 2**0.5, 7 + std / 2**0.5]))
    n = seeds_needed(known, wanted)
    found = [compare(seeds(rng.normal(7, std, n)), seeds(rng.normal(7 - wanted, std, n))) for _ in range(REPEATS)]
    assert 0.78 < np.mean([one.sign < 0 for one in found]) < 0.93


@pytest.mark.parametrize("level", [LEVEL, LEVEL / 3])
@pytest.mark.parametrize("std", [0.2, 0.5])
def test_the_pairs_of_seeds_asked_for_find_the_difference_as_often_as_promised(rng, std, level):
    """Here the seed draws the images, so that most of the spread is common to both networks."""
    wanted, half = 0.5, std / 2**0.5
    known = compare(seeds([5, 9]), seeds([5 - half, 9 + half]), drawn=True)
    n = seeds_needed(dataclasses.replace(known, level=level), wanted)
    found = []
    for _ in range(REPEATS):
        first = rng.normal(7, 2, n)
        one = compare(seeds(first), seeds(first - wanted + rng.normal(0, std, n)), drawn=True)
        found.append(dataclasses.replace(one, level=level).sign < 0)
    assert 0.78 < np.mean(found) < 0.93


def test_adding_seeds_until_a_difference_is_significant_finds_one_in_noise(rng):
    """Why the report asks for a number of seeds that is fixed beforehand."""
    looked = 0
    for _ in range(REPEATS):
        first, second = rng.normal(7, 0.25, (2, 24))
        looked += any(compare(seeds(first[:n]), seeds(second[:n])).sign for n in (3, 6, 12, 24))
    assert looked / REPEATS > 0.09


@pytest.mark.parametrize("smallest", [0.1, 0.5])
def test_networks_called_alike_are(rng, smallest):
    """Networks that differ by just more than the smallest difference are rarely called alike."""
    found = [
        compare(seeds(rng.normal(7, 0.05, 5)), seeds(rng.normal(7 + 1.01 * smallest, 0.05, 5))) for _ in range(REPEATS)
    ]
    assert np.mean([one.verdict(smallest) == SAME for one in found]) < LEVEL


def test_the_expected_best_is_that_of_searches_drawn_again(rng):
    values = rng.gamma(2, 3, 30) + 7
    drawn = rng.choice(values, (20_000, 8)).min(1)
    assert expected_best(list(values), 8) == pytest.approx(drawn.mean(), abs=4 * drawn.std() / math.sqrt(20_000))
