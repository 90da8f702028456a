"""Text of unknown origin, such as a folder's name or an error about its contents, as one harmless line."""

from __future__ import annotations

import re

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that act on a terminal or have no place in UTF-8: controls, changes of direction, lone surrogates."""


def printable(text: str) -> str:
    r"""The text with a space for every character that acts on a terminal or can't be written as UTF-8.

    >>> printable("\x1b[2Jred\nline")
    ' [2Jred line'
    """
    return UNPRINTABLE.sub(" ", text)
