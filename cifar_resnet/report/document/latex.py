"""The report as a LaTeX article, from the same Markdown; needs only texlive-latex-base and -recommended."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

import jinja2
import pandas as pd
from markdown_it.token import Token

from cifar_resnet.report import escaping
from cifar_resnet.report.document import formulas
from cifar_resnet.report.document.text import Text, plain
from cifar_resnet.report.tables import Table

# Digits of 8 and 7 points that fit on a line of 17 cm. The gap between columns is as wide as one and a half of them.
_FOOTNOTESIZE, _SCRIPTSIZE, _GAP = 112, 119, 1.5
# The width of other characters in digits, as in Computer Modern.
_WIDE, _NARROW = 1.6, 0.7
_LONGEST_CELL = 44
_HEAD_WIDTH = 14
# A longer word, such as a commit's hash, may be broken; the longest command of LaTeX that escapes a letter is shorter.
_LONGEST_WORD = 24
# The number of columns that identify a row: model, layers and seed, or measure, from and to.
_NAMING = 3
_OPEN = {
    "strong": r"\textbf{",
    "em": r"\emph{",
    "bullet_list": "\\begin{itemize}\n",
    "ordered_list": "\\begin{enumerate}\n",
    "list_item": r"\item ",
}
_CLOSE = {
    "strong": "}",
    "em": "}",
    "link": "}",
    "bullet_list": "\\end{itemize}\n\n",
    "ordered_list": "\\end{enumerate}\n\n",
    "list_item": "",
}


def render(text: Text) -> str:
    """The LaTeX source, which includes the PDF files from figures/ next to it."""
    tokens = text.tokens
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cifar_resnet.report"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        # LaTeX uses Jinja's own signs for other things.
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    pdfs = {figure.png: figure.pdf for figure in text.figures}
    # Three tokens each are the title and the line with author and date.
    author = _inline(tokens[4].children or []) if text.author else ""
    blocks = _blocks(tokens[6 if text.author else 3 :], iter(text.tables), pdfs)
    body = re.sub(r"\n{3,}", "\n\n", "".join(blocks))
    title = _inline(tokens[1].children or [])
    return environment.get_template("report.tex.j2").render(title=title, author=author, body=body)


def _blocks(tokens: Sequence[Token], tables: Iterator[Table], pdfs: Mapping[str, str]) -> Iterator[str]:
    skipped_until = -1
    for index, token in enumerate(tokens):
        if index <= skipped_until:
            continue
        if token.type == "table_open":
            skipped_until = _closing(tokens, index, "table_close")
            yield render_table(next(tables))
        elif token.type == "heading_open":
            command = {"h2": "section", "h3": "subsection", "h4": "subsubsection"}[token.tag]
            # A heading under another one has been given room together with it.
            if index == 0 or tokens[index - 1].type != "heading_close":
                yield _room(tokens[index:], pdfs)
            yield f"\\{command}{{{_inline(tokens[index + 1].children or [])}}}\n\n"
            skipped_until = index + 2
        elif token.type == "paragraph_open":
            inline = tokens[index + 1]
            skipped_until = index + 2
            children = inline.children or []
            if children and children[0].type == "image":
                yield _figure(children[0], pdfs[str(children[0].attrs["src"])])
            elif index > 0 and tokens[index - 1].type == "table_close" and children[0].type == "em_open":
                yield f"\\tablenote{{{_inline(children[1:-1])}}}\n\n"
            elif not inline.content.startswith(("**Table ", "*Figure ")):
                # Tables and figures already have these as their captions.
                yield _inline(children) + "\n\n"
        elif token.type == "fence":
            yield _fence(token)
        elif token.type.endswith(("_open", "_close")):
            name, _, side = token.type.rpartition("_")
            yield (_OPEN if side == "open" else _CLOSE)[name]


def _room(tokens: Sequence[Token], pdfs: Mapping[str, str]) -> str:
    """Keeps a heading on one page with what follows it: a few lines, or a figure."""
    after = next((index for index, token in enumerate(tokens) if token.type == "paragraph_open"), None)
    children = tokens[after + 1].children or [] if after is not None else []
    if after is not None and children and children[0].type == "image" and tokens[after - 1].type == "heading_close":
        return f"\\roomforfigure{{{pdfs[str(children[0].attrs['src'])]}}}\n"
    return "\\room{9\\baselineskip}\n"


def _closing(tokens: Sequence[Token], start: int, kind: str) -> int:
    return next(index for index in range(start, len(tokens)) if tokens[index].type == kind)


def _inline(tokens: Sequence[Token]) -> str:
    parts = []
    for token in tokens:
        if token.type == "text":
            parts.append(_text(token.content))
        elif token.type == "code_inline":
            parts.append(rf"\texttt{{{_breakable(token.content)}}}")
        elif token.type == "softbreak":
            parts.append("\n")
        elif token.type == "link_open":
            parts.append(rf"\href{{{escaping.latex(str(token.attrs['href']))}}}{{")
        else:
            name, _, side = token.type.rpartition("_")
            parts.append((_OPEN if side == "open" else _CLOSE)[name])
    return "".join(parts)


def _text(text: str) -> str:
    """Escaped text that keeps the spaces at its ends."""
    body = escaping.latex(text)
    if not body:
        return " " if text else ""
    return (" " if text[0].isspace() else "") + body + (" " if text[-1].isspace() else "")


def _breakable(text: str) -> str:
    """Escaped text of paths and keys, with line breaks allowed after punctuation and inside long words."""
    escaped = re.sub(rf"([A-Za-z0-9]{{{_LONGEST_WORD}}})(?=[A-Za-z0-9])", r"\1\\allowbreak{}", escaping.latex(text))
    return re.sub(r"(/|,|=|\\_|-|\.)", r"\1\\allowbreak{}", escaped)


def _figure(image: Token, pdf: str) -> str:
    """A figure where the text has it: one that floats past a long table can push text off the page."""
    caption = re.sub(r"^Figure \d+\. ", "", plain(image))
    return f"\\shownfigure{{{pdf}}}{{{escaping.latex(caption)}}}\n\n"


def _fence(token: Token) -> str:
    formula = formulas.find(token.content) if token.info == "math" else None
    if formula is not None:
        return f"\\[{formula.latex}\\]\n\n"
    lines = "\\\\\n".join(_breakable(line) for line in token.content.splitlines())
    return f"\\begin{{quote}}\\raggedright\\small\\ttfamily\n{lines}\n\\end{{quote}}\n\n"


def render_table(table: Table) -> str:
    """The table with its caption, which may span several pages; one that is too wide is split into parts.

    Each part repeats the first columns, which identify the rows.
    """
    frame = table.frame.astype(str)
    right = table.right_aligned
    widths = [_width(str(head), list(frame[head])) for head in frame]
    parts = _split(widths, min(_NAMING, len(widths)))
    made = []
    for number, part in enumerate(parts):
        columns = frame.iloc[:, part]
        caption = table.title + (f" (part {number + 1} of {len(parts)})" if len(parts) > 1 else "")
        # The parts of a table share its number.
        made.append("\\addtocounter{table}{-1}\n" if number else "")
        made.append(_longtable(columns, [right[i] for i in part], [widths[i] for i in part], caption))
    return "".join(made)


def _width(head: str, cells: list[str]) -> float:
    """The width of a column in digits, including the gap."""
    lines = textwrap.wrap(head, _HEAD_WIDTH, break_long_words=False) or [""]
    return min(_LONGEST_CELL, max(map(_digits, {*lines, *cells}))) + _GAP


def _digits(text: str) -> float:
    """The width of a text in digits."""
    wide = sum(letter.isupper() or letter in "mwæœ=+±×÷→−≤≥≈∞%&@—…_" for letter in text)
    narrow = sum(letter in "ijlt.,:;'’!|()[] -/" for letter in text)
    return len(text) + (_WIDE - 1) * wide + (_NARROW - 1) * narrow


def _split(widths: list[float], named: int) -> list[list[int]]:
    """The columns of each part."""
    parts, part = [], list(range(named))
    for column in range(named, len(widths)):
        if len(part) > named and sum(widths[i] for i in [*part, column]) > _SCRIPTSIZE:
            parts.append(part)
            part = list(range(named))
        part.append(column)
    return [*parts, part]


def _longtable(frame: pd.DataFrame, right: list[bool], widths: list[float], caption: str) -> str:
    form = "".join(
        r">{\raggedright\arraybackslash}p{0.36\linewidth}" if width >= _LONGEST_CELL + _GAP else "r" if numbers else "l"
        for width, numbers in zip(widths, right, strict=True)
    )
    size = "footnotesize" if sum(widths) <= _FOOTNOTESIZE else "scriptsize"
    head = " & ".join(_head(words, numbers) for words, numbers in zip(frame.columns, right, strict=True))
    rows = frame.itertuples(index=False, name=None)
    body = "\n".join(" & ".join(map(_breakable_if_long, row)) + r" \\" for row in rows)
    return (
        f"{{\\{size}\\setlength{{\\tabcolsep}}{{3pt}}\n\\begin{{longtable}}{{{form}}}\n"
        f"\\caption{{{escaping.latex(caption)}}}\\\\\n\\toprule\n{head} \\\\\n\\midrule\n\\endfirsthead\n"
        f"\\toprule\n{head} \\\\\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n{body}\n\\end{{longtable}}}}\n\n"
    )


def _head(words: str, numbers: bool) -> str:
    """A header on several lines, aligned at the bottom."""
    lines = [escaping.latex(line) for line in textwrap.wrap(words, _HEAD_WIDTH, break_long_words=False)]
    if len(lines) < 2:
        return "".join(lines)
    stacked = r"\\".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{'r' if numbers else 'l'}@{{}}}}{stacked}\end{{tabular}}"


def _breakable_if_long(cell: str) -> str:
    return escaping.latex(cell) if _digits(cell) < _LONGEST_CELL else _breakable(cell)
