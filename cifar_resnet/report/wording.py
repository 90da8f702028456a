"""How the report words lists, amounts and lengths of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


def join(values: Iterable[Any], show: Callable[[Any], str] = str) -> str:
    """A list as in a sentence.

    >>> join([20, 56, 110]), join(["plain"]), join([])
    ('20, 56 and 110', 'plain', '')
    """
    shown = [show(value) for value in values]
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def count(amount: int, noun: str) -> str:
    """An amount of something.

    >>> count(1, "run"), count(9, "run"), count(2, "class")
    ('one run', '9 runs', '2 classes')
    """
    return f"one {noun}" if amount == 1 else f"{amount:,} {plural(noun)}"


def count_range(lowest: int, highest: int, noun: str) -> str:
    """An amount that may vary.

    >>> [count_range(1, highest, "seed") for highest in (1, 2, 3)]
    ['one seed', '1 or 2 seeds', '1 to 3 seeds']
    """
    if lowest == highest:
        return count(lowest, noun)
    return f"{lowest:,} {'or' if highest == lowest + 1 else 'to'} {highest:,} {plural(noun)}"


def plural(noun: str) -> str:
    """The regular plural of a noun.

    >>> plural("epoch"), plural("class")
    ('epochs', 'classes')
    """
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


@dataclass(frozen=True)
class TimeUnit:
    """A unit of time: its name, its symbol, and its length in seconds."""

    name: str
    symbol: str
    seconds: float


_SECONDS, _MINUTES, _HOURS = (
    TimeUnit("seconds", "s", 1.0),
    TimeUnit("minutes", "min", 60.0),
    TimeUnit("hours", "h", 3600.0),
)


def time_unit(longest: float) -> TimeUnit:
    """The unit in which times up to `longest` seconds have few digits.

    >>> [time_unit(seconds).symbol for seconds in (599, 600, 10_799, 10_800)]
    ['s', 'min', 'min', 'h']
    """
    return _SECONDS if longest < 600 else _MINUTES if longest < 3 * 3600 else _HOURS
