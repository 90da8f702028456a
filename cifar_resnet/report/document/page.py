"""The report as a self-contained page with inline figures, a table of contents and sortable tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from cifar_resnet.report.document import formulas
from cifar_resnet.report.document.text import Text


def render(text: Text, out: Path) -> str:
    """The page; the figures' SVG is read from `out`.

    Raises:
        OSError: a figure can't be read.
    """
    svgs = {figure.png: (out / figure.svg).read_text(encoding="utf-8") for figure in text.figures}
    tokens, markdown = text.tokens, MarkdownIt("commonmark", {"html": False})
    contents = _name_headings(tokens)
    _mark(tokens)
    page = Page(svgs)
    markdown.add_render_rule("image", lambda _, tokens, index, *rest: page.image(tokens, index))
    markdown.add_render_rule("fence", lambda _, tokens, index, *rest: page.fence(tokens, index))
    markdown.add_render_rule("table_open", lambda _, tokens, index, *rest: page.table_open(tokens, index))
    markdown.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    body = markdown.renderer.render(tokens, markdown.options, {})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cifar_resnet.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    title = _text(tokens[1])
    return environment.get_template("page.html.j2").render(title=title, contents=contents, body=Markup(body))


class Page:
    """Renders the elements that differ from plain Markdown."""

    def __init__(self, svgs: dict[str, str]) -> None:
        self.svgs = svgs

    def image(self, tokens: Sequence[Token], index: int) -> str:
        """A figure's SVG in place of its PNG."""
        path = str(tokens[index].attrs["src"])
        return inline_svg(self.svgs[path], Path(path).stem, tokens[index].content)

    def fence(self, tokens: Sequence[Token], index: int) -> str:
        """A formula as MathML; code as code."""
        token = tokens[index]
        if token.info != "math":
            return f"<pre><code>{escape(token.content)}</code></pre>\n"
        formula = formulas.find(token.content)
        opened = f'<math display="block" alttext="{escape(formula.words)}">'
        return f'<div class="formula">{opened}{formula.mathml}</math></div>\n'

    def table_open(self, tokens: Sequence[Token], index: int) -> str:
        """A table in a box that scrolls if the page is too narrow."""
        name = _text(tokens[index - 2]) if index > 1 and tokens[index - 2].type == "inline" else "table"
        return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(name)}">\n<table>\n'


def _text(token: Token) -> str:
    """A token's text without markup."""
    return "".join(child.content for child in token.children or [])


def _name_headings(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Gives each second-level heading an id; returns ids and titles."""
    contents = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            words = _text(inline)
            name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
            token.attrSet("id", name)
            contents.append((name, words))
    return contents


def _mark(tokens: Sequence[Token]) -> None:
    """Marks paragraphs that are a figure, a caption, a table's title or a table's note by their class."""
    for before, opened, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opened.type != "paragraph_open" or not inline.children:
            continue
        kinds = [child.type for child in inline.children]
        if "image" in kinds:
            opened.attrSet("class", "figure")
        elif kinds[0] == "em_open" and kinds[-1] == "em_close" and inline.content.startswith("*Figure "):
            opened.attrSet("class", "caption")
        elif kinds[0] == "em_open" and kinds[-1] == "em_close" and before.type == "table_close":
            opened.attrSet("class", "note")
        elif inline.content.startswith("**Table "):
            opened.attrSet("class", "title")


def inline_svg(svg: str, name: str, words: str) -> str:
    """An SVG file as an element of the page, labeled for screen readers and with ids that are unique to it.

    >>> inline_svg('<?xml version="1.0"?><svg width="9pt"><path id="a"/><use href="#a"/></svg>', "f", "A")
    '<svg role="img" aria-label="A" width="9pt"><path id="f-a"/><use href="#f-a"/></svg>'
    """
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(words)}"', 1)
