"""Names of classes as text that the fonts of this machine can draw."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from matplotlib import font_manager

USUAL = "DejaVu Sans"
"""The font of all figures; it comes with Matplotlib."""


@dataclass(frozen=True)
class Drawable:
    """Names, and the fonts that have all of their characters."""

    names: list[str]
    fonts: list[str]


def drawable(names: Sequence[str], longest: int) -> Drawable:
    """The names, shortened to `longest` characters.

    If no font on this machine has the characters of some name, all names become the classes' numbers.
    """
    characters = frozenset("".join(names)) - set("\n\t ")
    missing = characters - _characters(font_manager.findfont(USUAL))
    fallback = _find_font(frozenset(missing)) if missing else None
    if missing and fallback is None:
        _report(next(name for name in names if missing & set(name)))
        return Drawable([f"class {number}" for number in range(len(names))], [USUAL])
    short = (
        name if len(name) <= longest else f"{name[: longest - 1]}…" for name in (" ".join(n.split()) for n in names)
    )
    # Text between two dollar signs would be a formula.
    return Drawable([name.replace("$", r"\$") for name in short], [USUAL, *([fallback] if fallback else [])])


@lru_cache
def _characters(path: str) -> frozenset[str]:
    return frozenset(map(chr, font_manager.get_font(path).get_charmap()))


@lru_cache
def _find_font(characters: frozenset[str]) -> str | None:
    """The name of an installed font with these characters, the first in alphabetical order."""
    for name, path in sorted({(font.name, font.fname) for font in _fonts()}):
        if name != USUAL and characters <= _characters(path):
            return name
    return None


def _fonts() -> Iterable[font_manager.FontEntry]:
    # The font of last resort has a frame for every character there is.
    return (font for font in font_manager.fontManager.ttflist if not Path(font.fname).name.startswith("LastResort"))


@lru_cache
def _report(name: str) -> None:
    print(
        f"note: figures number the classes, because no font on this machine has all characters of {name!a}; "
        "install one, such as Noto Sans CJK, for names",
        file=sys.stderr,
    )
