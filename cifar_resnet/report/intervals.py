"""Means of errors and differences between them, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

# Two-sided 95 %.
_QUANTILE = 0.975
_Z = 1.959964
PAIRED, WELCH, ONE_SEED = "paired by seed", "Welch", "one seed"


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
    """How much higher the second of two means is, with the 95 % confidence interval.

    Attributes:
        first: the first mean.
        second: the second mean.
        low: lower end of the interval of second - first.
        high: upper end.
        n: number of seeds of the first and of the second; for paired seeds, the number of pairs twice.
        method: PAIRED, WELCH, or ONE_SEED, whose interval covers the choice of test images instead of the seeds.
    """

    first: float
    second: float
    low: float
    high: float
    n: tuple[int, int]
    method: str

    @property
    def mean(self) -> float:
        """Second minus first."""
        return self.second - self.first

    @property
    def sign(self) -> int:
        """1 if the second is higher, -1 if it is lower, 0 if they are not significantly different."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    def lies_within(self, margin: float) -> bool | None:
        """Whether the difference is at most `margin` either way; None if the interval allows both."""
        if -margin <= self.low and self.high <= margin:
            return True
        return False if self.low > margin or self.high < -margin else None


def compare(first: Mapping[int, float], second: Mapping[int, float], images: float | None = None) -> Difference:
    """The difference between two sets of values by seed: errors in percent on `images` images where that is given.

    - With at least two seeds in common: the t-interval of the differences per seed. Other seeds aren't used.
    - Otherwise, with at least two seeds each: Welch's t-interval of the difference of the means.
    - Otherwise, the spread between seeds is unknown. For errors, the interval is that of Agresti and Caffo (2000) for
      two proportions of `images` images each: how much the choice of test images can change the difference. At 7 % on
      10,000 images this is ±0.71 points. For comparison, the standard deviation of 0.16 between seeds that He et al.
      2015 report for ResNet-110 gives ±0.44 (1.96 standard deviations of a difference). The interval treats the images
      of the two networks as independent although they are the same, which is conservative. Without `images` it is
      infinite.

    An interval is never narrower than one image either way: errors come in steps of one image, so two or three seeds
    may agree by chance.
    """
    common = sorted(first.keys() & second.keys())
    if len(common) >= 2:
        a, b = ([values[seed] for seed in common] for values in (first, second))
        width = _half_width([y - x for x, y in zip(a, b, strict=True)])
        method, n = PAIRED, (len(common), len(common))
    elif len(first) >= 2 and len(second) >= 2:
        a, b = list(first.values()), list(second.values())
        width = _welch(a, b)
        method, n = WELCH, (len(a), len(b))
    else:
        return _one_seed(list(first.values()), list(second.values()), images)
    if images:
        width = max(width, 100 / images)
    means = mean_and_std(a)[0], mean_and_std(b)[0]
    middle = means[1] - means[0]
    return Difference(*means, middle - width, middle + width, n, method)


def _half_width(values: Sequence[float]) -> float:
    """Half the width of the t-interval of the mean of at least two values."""
    n = len(values)
    return float(stdtrit(n - 1, _QUANTILE)) * math.sqrt(_variance(values) / n)


def _welch(a: Sequence[float], b: Sequence[float]) -> float:
    parts = [_variance(values) / len(values) for values in (a, b)]
    variance = sum(parts)
    if variance == 0:
        return 0.0
    freedom = variance**2 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, (a, b), strict=True))
    return float(stdtrit(freedom, _QUANTILE)) * math.sqrt(variance)


def _one_seed(a: Sequence[float], b: Sequence[float], images: float | None) -> Difference:
    means = mean_and_std(a)[0], mean_and_std(b)[0]
    n = len(a), len(b)
    if not images:
        return Difference(*means, -math.inf, math.inf, n, ONE_SEED)
    # Agresti and Caffo add one success and one failure to each proportion.
    p, q = ((mean / 100 * images + 1) / (images + 2) for mean in means)
    width = _Z * math.sqrt((p * (1 - p) + q * (1 - q)) / (images + 2))
    return Difference(*means, 100 * (q - p - width), 100 * (q - p + width), n, ONE_SEED)
