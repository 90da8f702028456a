"""The rule by which results are compared: means, differences with their intervals, verdicts, and seeds needed.

It was fixed before looking at results, and the report states it (templates/statistics.md.j2):

- Seeds are independent samples, so the interval of a difference is Welch's, over all seeds of both sides. It is paired
  only where the seed also draws the training or validation images and both sides have the same seeds.
- With one seed on either side, the interval covers only the choice of test images. Where predictions are known, it uses
  that both networks saw the same images (Agresti and Min 2005), otherwise it doesn't (Agresti and Caffo 2000).
- The comparisons of one table share a chance of LEVEL of any false "better" or "worse" (Holm 1979).
- A difference is named if its interval excludes zero and it is at least the smallest one worth naming.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import nctdtr, stdtr, stdtrit

LEVEL = 0.05
"""The chance of any false "better" or "worse" in one table, which makes a single interval one of 95 %."""
POWER = 0.8
"""The probability with which `seeds_needed` finds the difference."""
SMALLEST = 0.1
"""The smallest difference worth naming unless the report is given another one, in percentage points."""

PAIRED, WELCH = "paired by seed", "Welch"
SAME_IMAGES, ONE_SEED = "one seed, paired by image", "one seed"
BETTER, WORSE, SAME, OPEN = "better", "worse", "no difference worth naming", "inconclusive"
MARK = "(one seed)"
"""What a verdict that rests on one seed carries wherever it appears: it says nothing about another training."""

_MOST_SEEDS = 10_000
Array = np.ndarray[Any, Any]


def decimals(images: float | None) -> int:
    """Decimals of an error in percent measured on this many images: enough to show one image, at most 2.

    >>> [decimals(images) for images in (10_000, 1_000, 360, 100, 32, None)]
    [2, 1, 1, 0, 0, 2]
    """
    if images is None or math.isnan(images) or images <= 0:
        return 2
    return min(2, max(0, math.ceil(math.log10(images / 100))))


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); NaN for the deviation of one value, and for both of none."""
    if not values:
        return math.nan, math.nan
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(_variance(values)) if len(values) > 1 else math.nan


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@dataclass(frozen=True)
class Difference:
    """How much higher the second of two means is, with its confidence interval.

    Attributes:
        first: the first mean.
        second: the second mean.
        center: the middle of the interval of second - first.
        error: standard error; infinite where it is unknown.
        freedom: degrees of freedom of the t-distribution; infinite for the normal one.
        step: the smallest half width of the interval, one image.
        n: number of seeds of the first and of the second.
        method: PAIRED, WELCH, SAME_IMAGES or ONE_SEED.
        spread: standard deviations over the seeds of the first and of the second; NaN for one seed.
        level: the interval's error rate: LEVEL, or less after `holm`.
        bound: the largest difference that is possible: 100 points for errors.
    """

    first: float
    second: float
    center: float
    error: float
    freedom: float
    step: float
    n: tuple[int, int]
    method: str
    spread: tuple[float, float] = (math.nan, math.nan)
    level: float = LEVEL
    bound: float = math.inf

    @property
    def mean(self) -> float:
        """Second minus first."""
        return self.second - self.first

    @property
    def one_seed(self) -> bool:
        """Whether the interval covers the choice of test images, and not that of the seeds."""
        return self.method in (SAME_IMAGES, ONE_SEED)

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        quantile = float(stdtrit(self.freedom, 1 - self.level / 2))
        return max(quantile * self.error, self.step)

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return max(self.center - self.half, -self.bound)

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return min(self.center + self.half, self.bound)

    @property
    def p(self) -> float:
        """Two-sided probability of a difference as large as this between equal networks."""
        if abs(self.center) <= self.step or math.isinf(self.error):
            return 1.0
        return 2 * float(stdtr(self.freedom, -abs(self.center) / self.error)) if self.error else 0.0

    @property
    def sign(self) -> int:
        """1 if the second is higher, -1 if it is lower, 0 if they are not significantly different."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    def lies_within(self, margin: float) -> bool | None:
        """Whether the difference is at most `margin` either way; None if the interval allows both."""
        if -margin <= self.low and self.high <= margin:
            return True
        return False if self.low > margin or self.high < -margin else None

    def verdict(self, smallest: float) -> str:
        """BETTER, WORSE, SAME or OPEN, for errors, of which the lower one is better.

        Args:
            smallest: the smallest difference worth naming.
        """
        if self.lies_within(smallest):
            return SAME
        # A measured difference of exactly the smallest one counts, in spite of binary fractions.
        named = self.sign if abs(self.mean) >= smallest * (1 - 1e-9) else 0
        return {1: WORSE, -1: BETTER, 0: OPEN}[named]

    def words(self, smallest: float) -> str:
        """The verdict as it is shown: with MARK if it rests on one seed."""
        verdict = self.verdict(smallest)
        return f"{verdict} {MARK}" if self.one_seed and verdict != OPEN else verdict


def compare(
    first: Mapping[int, float],
    second: Mapping[int, float],
    images: float | None = None,
    wrong: tuple[Array, Array] | None = None,
    drawn: bool = False,
) -> Difference:
    """The difference between two sets of values by seed: errors in percent on `images` images where that is given.

    With at least two seeds each, the interval is Welch's, or that of the differences per seed if `drawn` and both have
    the same seeds. An interval is never narrower than one image either way: errors come in steps of one image, so two
    or three seeds may agree by chance.

    Otherwise the spread between seeds is unknown, and the interval covers the choice of test images only. Without
    `images` it is infinite.

    Args:
        first: seed → value.
        second: seed → value.
        images: number of images of which the values are the error in percent.
        wrong: for each of the same images, which share of the first runs and of the second runs got it wrong.
        drawn: whether the seed also draws the images, so that runs of the same seed belong together.
    """
    a, b = list(first.values()), list(second.values())
    n, bound = (len(a), len(b)), 100.0 if images else math.inf
    (mean_a, std_a), (mean_b, std_b) = mean_and_std(a), mean_and_std(b)
    if min(n) < 2:
        center, error = _by_images(*wrong) if wrong else _independent(mean_a, mean_b, images)
        method = SAME_IMAGES if wrong else ONE_SEED
        return Difference(mean_a, mean_b, center, error, math.inf, 0.0, n, method, (std_a, std_b), bound=bound)
    step = 100 / images if images else 0.0
    if drawn and first.keys() == second.keys():
        error, freedom = math.sqrt(_variance([second[seed] - first[seed] for seed in first]) / n[0]), n[0] - 1.0
        method = PAIRED
    else:
        error, freedom = _welch(a, b)
        method = WELCH
    return Difference(mean_a, mean_b, mean_b - mean_a, error, freedom, step, n, method, (std_a, std_b), bound=bound)


def _welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Standard error and degrees of freedom."""
    parts = [_variance(values) / len(values) for values in (a, b)]
    total = sum(parts)
    if total == 0:
        return 0.0, math.inf
    freedom = total**2 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, (a, b), strict=True))
    return math.sqrt(total), freedom


def _by_images(first: Array, second: Array) -> tuple[float, float]:
    """Center and standard error, in percent, of the difference between two networks on the same images.

    Agresti and Min (2005): the interval of McNemar's setting after half an image was added to each of its four cells
    (both right, both wrong, only one of them wrong).
    """
    difference = second - first
    images = len(difference) + 2
    mean = difference.sum() / images
    square = ((difference**2).sum() + 1) / images
    return 100 * float(mean), 100 * math.sqrt(float(square - mean**2) / images)


def _independent(first: float, second: float, images: float | None) -> tuple[float, float]:
    """The same as if each network had seen images of its own, which is conservative.

    Agresti and Caffo (2000) add one success and one failure to each proportion. At 7 % on 10,000 images, the interval
    is ±0.71 points. For comparison, the standard deviation of 0.16 between seeds that He et al. 2015 report for
    ResNet-110 gives ±0.44 (1.96 standard deviations of a difference).
    """
    if not images:
        return second - first, math.inf
    p, q = ((mean / 100 * images + 1) / (images + 2) for mean in (first, second))
    return 100 * (q - p), 100 * math.sqrt((p * (1 - p) + q * (1 - q)) / (images + 2))


def holm(differences: Sequence[Difference]) -> list[Difference]:
    """The differences of one table with intervals corrected for their number.

    Holm (1979): in the order of their p, the first is held to LEVEL / m, the next to LEVEL / (m - 1), and so on, until
    one isn't significant; that one and all later ones keep its level. Differences without a known error aren't tests
    and don't count.
    """
    order = sorted((i for i, one in enumerate(differences) if math.isfinite(one.error)), key=lambda i: differences[i].p)
    corrected, left = list(differences), len(order)
    for i in order:
        corrected[i] = replace(differences[i], level=LEVEL / left)
        if corrected[i].sign:
            left -= 1
    return corrected


def seeds_needed(one: Difference, wanted: float) -> int | None:
    """Seeds of each network with which the test finds a difference of `wanted` with a probability of POWER.

    The test is the one of the comparison: paired by seed if it was, else Welch's. It is held to the comparison's own
    level, which Holm's correction may have lowered. The spread is that of the seeds so far, which two or three seeds
    give only roughly. None if there is no spread to go by, or if it takes more than 10,000 seeds, as a difference of 0
    does.

    Args:
        one: a comparison of at least two seeds each.
        wanted: the difference to find, in the unit of the values.
    """
    if one.method == PAIRED:
        # What varies is the difference of one seed, so each additional seed is one degree of freedom.
        variance, freedom_per_seed = one.error**2 * one.n[0], 1.0
    else:
        a, b = (std**2 for std in one.spread)
        variance = a + b
        freedom_per_seed = variance**2 / (a**2 + b**2) if variance else 0.0
    if not variance > 0:
        return None
    # The seeds that it would take if the spread were known: fewer.
    root = (1.96 + 0.84) * math.sqrt(variance) / wanted if wanted else math.inf
    if root**2 > _MOST_SEEDS:
        return None
    n = max(2, math.floor(root**2))
    while n <= _MOST_SEEDS:
        freedom = (n - 1) * freedom_per_seed
        limit = stdtrit(freedom, 1 - one.level / 2)
        if 1 - nctdtr(freedom, wanted / math.sqrt(variance / n), limit) >= POWER:
            return n
        n += 1
    return None


def expected_best(values: Sequence[float], trials: int) -> float:
    """The expected lowest of so many trials, given the values of some trials.

    Dodge et al. (2019), "Show Your Work", section 3: the trials are drawn with replacement from the values seen. A
    search that learns from its trials does better than such draws.
    """
    found, count = sorted(values), len(values)
    above = [((count - i) / count) ** trials for i in range(count + 1)]
    return math.fsum(value * (above[i] - above[i + 1]) for i, value in enumerate(found))
