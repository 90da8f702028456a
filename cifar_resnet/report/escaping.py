"""Text of unknown origin as text of a Markdown or LaTeX file, whatever characters it has."""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|&#~])")
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
}


class _Translation(dict[int, str]):
    """For str.translate: what LaTeX has no letter for becomes a question mark."""

    def __missing__(self, code: int) -> str:
        return "?"


_TRANSLATION = _Translation(
    {code: chr(code) for code in range(0x180)} | {ord(one): text for one, text in _LATEX.items()}
)


def markdown(text: str) -> str:
    """The text with everything that Markdown would take for markup escaped, on one line.

    >>> markdown("batch_size=64 | <script>")
    'batch\\\\_size=64 \\\\| \\\\<script\\\\>'
    """
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def latex(text: str) -> str:
    """The text for LaTeX with inputenc and T1 fonts, on one line; letters that those don't have become `?`.

    >>> latex("6.61 ± 0.16 % of batch_size")
    '6.61 $\\\\pm$ 0.16 \\\\% of batch\\\\_size'
    """
    return " ".join(text.split()).translate(_TRANSLATION)
