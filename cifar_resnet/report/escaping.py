"""Escapes text of unknown origin for Markdown, LaTeX and spreadsheets."""

from __future__ import annotations

import re

from cifar_resnet.printable import printable

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|&#~])")
_FORMULA = ("=", "+", "-", "@")
_NUMBER = re.compile(r"[+-]?[\d,.]+(e[+-]?\d+)?( (±|to) [+−-]?[\d,.]+)?( ?%)?")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "÷": r"$\div$",
    "→": r"$\to$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "∂": r"$\partial$",
    "Σ": r"$\Sigma$",
    "–": "--",
    "—": "---",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\dots{}",
    "\u00a0": "~",
} | {raised: f"$^{{{plain}}}$" for raised, plain in zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True)}


class _Translation(dict[int, str]):
    """For str.translate: a character that LaTeX doesn't have becomes a question mark."""

    def __missing__(self, code: int) -> str:
        return "?"


_TRANSLATION = _Translation(
    {code: chr(code) for code in range(0x180)} | {ord(one): text for one, text in _LATEX.items()}
)


def markdown(text: str) -> str:
    """The text on one line, with everything escaped that Markdown would read as markup.

    >>> markdown("batch_size=64 | <script>")
    'batch\\\\_size=64 \\\\| \\\\<script\\\\>'
    """
    return _MARKDOWN.sub(r"\\\1", " ".join(printable(text).split()))


def latex(text: str) -> str:
    """The text on one line, for LaTeX with inputenc and T1 fonts; characters that these lack become `?`.

    >>> latex("6.61 ± 0.16 % of batch_size, 10⁻¹²")
    '6.61 $\\\\pm$ 0.16 \\\\% of batch\\\\_size, 10$^{-12}$'
    """
    line = re.sub(r"[^\S\u00a0]+", " ", printable(text)).strip(" ").translate(_TRANSLATION)
    return line.replace("}$$^{", "")  # a power's digits belong to one formula


def cell(value: object) -> object:
    """A cell of a CSV file: text that a spreadsheet would run as a formula starts with an apostrophe.

    >>> [cell(value) for value in ("=cmd|' /C calc'!A1", "+0.3", -1.5, "lr=0.1")]
    ["'=cmd|' /C calc'!A1", '+0.3', -1.5, 'lr=0.1']
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA and not _NUMBER.fullmatch(text) else text
