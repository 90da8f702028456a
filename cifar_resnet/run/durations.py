"""Lengths of time as people write them in a config, such as 7h30m."""

from __future__ import annotations

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PATTERN = re.compile("".join(rf"(?:(\d{{1,6}}){unit})?" for unit in _UNITS))


def seconds_of(text: str) -> int | None:
    """The number of seconds; None if the text is not a length of time above zero.

    >>> seconds_of("7h30m"), seconds_of("90s"), seconds_of("1d"), seconds_of("30"), seconds_of("30m7h"), seconds_of("")
    (27000, 90, 86400, None, None, None)
    """
    parts = _PATTERN.fullmatch(text)
    if parts is None:
        return None
    return sum(int(part or 0) * unit for part, unit in zip(parts.groups(), _UNITS.values(), strict=True)) or None
