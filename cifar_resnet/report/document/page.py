"""The report as a self-contained page: interactive figures, sortable tables, and the data behind them as CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from cifar_resnet.report.document import formulas
from cifar_resnet.report.document.text import Text, plain
from cifar_resnet.report.figures import Screen
from cifar_resnet.report.tables import Table
from cifar_resnet.report.wording import count

_PIXELS_PER_INCH = 136
"""At this scale, letters have 14 pixels and a figure as wide as a page fills the column."""


def render(text: Text, stamp: str = "") -> str:
    """The page.

    Args:
        text: the report, whose figures were drawn for the page.
        stamp: if not empty, the page watches for a later one with another stamp, and then loads it.
    """
    tokens, markdown = text.tokens, MarkdownIt("commonmark", {"html": False})
    contents = _name_headings(tokens)
    _mark(tokens)
    page = Page(text, markdown)
    markdown.add_render_rule("image", lambda _, tokens, index, *rest: page.image(tokens, index))
    markdown.add_render_rule("fence", lambda _, tokens, index, *rest: page.fence(tokens, index))
    markdown.add_render_rule("table_open", lambda _, tokens, index, *rest: page.table_open(tokens, index))
    markdown.add_render_rule("th_open", lambda _, tokens, index, *rest: page.head_open(tokens, index))
    markdown.add_render_rule("tr_open", lambda *_: page.row_open())
    markdown.add_render_rule("table_close", lambda *_: page.table_close())
    body = markdown.renderer.render(tokens, markdown.options, {})
    loader = jinja2.PackageLoader("cifar_resnet.report")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    # Included as they are: braces in them are not the template's.
    style, script = (Markup(loader.get_source(environment, name)[0]) for name in ("page.css", "page.js"))
    return environment.get_template("page.html.j2").render(
        title=plain(tokens[1]), contents=contents, body=Markup(body), style=style, script=script, stamp=stamp
    )


class Page:
    """Renders the elements that differ from plain Markdown."""

    def __init__(self, text: Text, markdown: MarkdownIt) -> None:
        self.text, self.markdown = text, markdown
        self.screens = {figure.png: figure.screen for figure in text.figures}
        self.table: Table | None = None
        self.heads, self.rows = "", 0

    def image(self, tokens: Sequence[Token], index: int) -> str:
        """A figure's drawings, legend and data in place of its PNG."""
        path = str(tokens[index].attrs["src"])
        screen = self.screens[path]
        if screen is None:
            raise ValueError(f"{path} was not drawn for the page")
        return figure(screen, Path(path).stem, plain(tokens[index]))

    def fence(self, tokens: Sequence[Token], index: int) -> str:
        """A formula as MathML; code as code."""
        token = tokens[index]
        formula = formulas.find(token.content) if token.info == "math" else None
        if formula is None:
            return f"<pre><code>{escape(token.content)}</code></pre>\n"
        opened = f'<math display="block" alttext="{escape(formula.words)}">'
        return f'<div class="formula">{opened}{formula.mathml}</math></div>\n'

    def table_open(self, tokens: Sequence[Token], index: int) -> str:
        """A table in a box that scrolls if the page is too narrow, below a link to its CSV file."""
        title = plain(tokens[index - 2]) if index > 1 and tokens[index - 2].type == "inline" else "table"
        number = re.match(r"Table (\d+)\.", title)
        self.table = self.text.tables[int(number[1]) - 1] if number else None
        heads = next(place for place in range(index, len(tokens)) if tokens[place].type == "thead_close")
        self.rows = -1  # the row of headers
        link = csv_link(self.table) if self.table else ""
        self.heads = ""
        opened = f'<div class="box" tabindex="0" role="region" aria-label="{escape(title)}">\n<table>\n'
        if self.table is not None and self.table.shown is not None:
            self.heads = opened + self.markdown.renderer.render(
                tokens[index + 1 : heads + 1], self.markdown.options, {}
            )
            self.rows = -1
        return f'<div class="table">\n<p class="tools">{link}</p>\n{opened}'

    def head_open(self, tokens: Sequence[Token], index: int) -> str:
        """The header of a column."""
        style = tokens[index].attrs.get("style")
        return f'<th scope="col" style="{style}">' if style else '<th scope="col">'

    def row_open(self) -> str:
        """A row; the first of those that a table folds opens their part."""
        self.rows += 1
        shown = None if self.table is None else self.table.shown
        if self.table is None or shown is None or self.rows != shown + 1:
            return "<tr>\n"
        rest = count(len(self.table.frame) - shown, "more row")
        return f"</tbody>\n</table>\n</div>\n<details>\n<summary>{rest}</summary>\n{self.heads}<tbody>\n<tr>\n"

    def table_close(self) -> str:
        """The end of a table and of what it folds."""
        folded = self.table is not None and self.table.shown is not None and self.rows > self.table.shown
        return "</table>\n</div>\n" + ("</details>\n" if folded else "") + "</div>\n"


def figure(screen: Screen, name: str, words: str) -> str:
    """A figure: a wide and a narrow drawing, of which the page shows the one that fits, a legend, and the data."""
    # Text from a config can't end the element.
    data = json.dumps(screen.data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    entries = "".join(f"<li>{symbol}<span>{escape(label)}</span></li>" for label, symbol in screen.legend)
    return "\n".join(
        (
            f'<div class="plot" data-name="{name}" style="max-width: {screen.inches * _PIXELS_PER_INCH:.0f}px">',
            inline_svg(screen.wide, f"{name}-wide", words, "wide"),
            inline_svg(screen.narrow, f"{name}-narrow", words, "narrow"),
            "</div>",
            f'<ul class="legend">{entries}</ul>' if entries else "",
            f'<script type="application/json">{data}</script>',
        )
    )


def csv_link(table: Table) -> str:
    """A link that saves a table as CSV; the file is part of the link."""
    content = quote(table.to_csv(), safe=" ,;:/()")
    return f'<a download="{table.name}.csv" href="data:text/csv;charset=utf-8,{content}">CSV</a>'


def _name_headings(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Gives each second-level heading an id; returns ids and titles."""
    contents = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            words = plain(inline)
            name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
            token.attrSet("id", name)
            contents.append((name, words))
    return contents


def _mark(tokens: Sequence[Token]) -> None:
    """Marks paragraphs that are a figure, a caption, a table's title or a table's note by their class."""
    for before, opened, inline, closed in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if opened.type != "paragraph_open" or not inline.children:
            continue
        kinds = [child.type for child in inline.children]
        if "image" in kinds:
            opened.tag = closed.tag = "div"  # a paragraph can't contain a list
            opened.attrSet("class", "figure")
        elif kinds[0] == "em_open" and kinds[-1] == "em_close" and inline.content.startswith("*Figure "):
            opened.attrSet("class", "caption")
        elif kinds[0] == "em_open" and kinds[-1] == "em_close" and before.type == "table_close":
            opened.attrSet("class", "note")
        elif inline.content.startswith("**Table "):
            opened.attrSet("class", "title")


def inline_svg(svg: str, name: str, words: str, kind: str) -> str:
    """An SVG file as an element of the page, labeled for screen readers and with ids that are unique to it.

    >>> inline_svg('<?xml version="1.0"?><svg width="9pt"><path id="a"/><use href="#a"/></svg>', "f", "A", "wide")
    '<svg class="wide" role="img" aria-label="A" data-ids="f-" width="9pt"><path id="f-a"/><use href="#f-a"/></svg>'
    """
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    return svg.replace("<svg", f'<svg class="{kind}" role="img" aria-label="{escape(words)}" data-ids="{name}-"', 1)
