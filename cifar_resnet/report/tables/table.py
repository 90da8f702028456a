"""One table of the report, and its rendering as CSV, Markdown and LaTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cifar_resnet.report import escaping
from cifar_resnet.report.runs.groups import Group

MISSING = "–"
# A cell with a number: 6.61 ± 0.16, +0.3, −0.1 to +0.4, 1,727,674, 2 of 3.
_NUMBER = re.compile(r"[+−-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?( (±|to|of) .*)?")


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        name: stem of its files.
        title: its title, without a period.
        frame: cells as text; the headers include units.
        note: how to read it; may be empty.
        numbers: the same data unrounded, for programs; None for a table of text.
        shown: how many rows the page shows at once; the rest is folded. None: all.
    """

    name: str
    title: str
    frame: pd.DataFrame
    note: str = ""
    numbers: pd.DataFrame | None = None
    shown: int | None = None

    @property
    def right_aligned(self) -> list[bool]:
        """For each column, whether it holds numbers."""
        return [
            any(cell != MISSING for cell in self.frame[head])
            and all(cell == MISSING or _NUMBER.fullmatch(cell) for cell in self.frame[head])
            for head in self.frame
        ]

    @property
    def _lines(self) -> list[list[str]]:
        """The headers and the rows."""
        return [list(map(str, self.frame)), *(list(row) for row in self.frame.itertuples(index=False, name=None))]

    def to_csv(self) -> str:
        """For programs: the unrounded numbers if there are any."""
        frame = self.frame if self.numbers is None else self.numbers
        return str(frame.map(escaping.cell).rename(columns=escaping.cell).to_csv(index=False, lineterminator="\n"))

    def to_markdown(self) -> str:
        """The table without its title and note."""
        heads, *rows = [[escaping.markdown(cell) for cell in row] for row in self._lines]
        rules = ["---:" if right else "---" for right in self.right_aligned]
        return "".join(f"| {' | '.join(row)} |\n" for row in (heads, rules, *rows))

    def to_latex(self) -> str:
        """A booktabs tabular, without title and note."""
        form = "".join("r" if right else "l" for right in self.right_aligned)
        heads, *rows = [" & ".join(map(escaping.latex, row)) + r" \\" for row in self._lines]
        body = "\n".join([r"\toprule", heads, r"\midrule", *rows, r"\bottomrule"])
        return f"\\begin{{tabular}}{{{form}}}\n{body}\n\\end{{tabular}}\n"


def named(group: Group) -> dict[str, str]:
    """The cells that name a row about a network."""
    return {"model": group.model, "setting": group.setting, "layers": str(group.depth)}


def identify(group: Group) -> dict[str, Any]:
    """The same for programs."""
    return {"model": group.model, "setting": group.setting, "depth": group.depth}


def plus(value: float, digits: int) -> str:
    """A difference with its sign, which is dropped if it rounds to zero.

    >>> plus(0.3, 2), plus(-1.24, 1), plus(-0.04, 1)
    ('+0.30', '−1.2', '0.0')
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def with_std(mean: float, std: float, digits: int) -> str:
    """Mean ± sample standard deviation; one seed has no ±.

    >>> with_std(6.614, 0.16, 2), with_std(8.754, float("nan"), 2)
    ('6.61 ± 0.16', '8.75')
    """
    if pd.isna(mean):
        return MISSING
    return f"{mean:.{digits}f}" if pd.isna(std) else f"{mean:.{digits}f} ± {std:.{digits}f}"
