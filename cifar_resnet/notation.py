"""How a number is written for a reader, in the report's text and figures alike; CSV files keep Python's notation."""

from __future__ import annotations

_SMALLEST = 1e-4
"""Smaller numbers are written with a power of ten."""
_LARGEST = 1e10
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, largest: float = _LARGEST) -> str:
    """A number with thousands separators, or with a power of ten if it is tiny or huge.

    templates/page.js writes the same.

    Args:
        value: the number.
        largest: from here on, numbers are written with a power of ten.

    >>> [number(value) for value in (50_000, 0.1, 1476.5, 0, 3.26e-7, -2e-5, 1e-5, 1e30)]
    ['50,000', '0.1', '1,476.5', '0', '3.26 × 10⁻⁷', '-2 × 10⁻⁵', '10⁻⁵', '10³⁰']
    """
    if value == 0 or _SMALLEST <= abs(value) < largest:
        return f"{value:,.10g}"
    digits, power = f"{value:.9e}".split("e")
    factor = f"{float(digits):g}"
    return f"{'' if factor == '1' else f'{factor} × '}10{str(int(power)).translate(_RAISED)}"


def significant(value: float, digits: int = 3) -> str:
    """A number rounded to so many significant digits.

    >>> [significant(value) for value in (238_912.0, 1476.0, 2.284, 0.05, 0, 3.2649e-7)]
    ['239,000', '1,480', '2.28', '0.05', '0', '3.26 × 10⁻⁷']
    """
    return number(float(f"{value:.{digits}g}"))
