"""The report's text as Markdown, from the templates; the source of all formats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cache, cached_property
from typing import Any, NoReturn

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cifar_resnet import notation
from cifar_resnet.errors import RunError
from cifar_resnet.printable import printable
from cifar_resnet.report import escaping, published, reproduce, wording
from cifar_resnet.report.claims import JudgedClaim
from cifar_resnet.report.document.facts import Facts, title
from cifar_resnet.report.document.findings import Findings
from cifar_resnet.report.document.formulas import FORMULAS
from cifar_resnet.report.figures import SECTIONS, Drawn
from cifar_resnet.report.intervals import LEVEL
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.tables import Table


@cache
def _environment() -> jinja2.Environment:
    """The templates and their filters; compiled once, because `--watch` renders the report again and again."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cifar_resnet.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Filters escape values for Markdown; HTML is generated from the Markdown later.
        autoescape=False,
    )
    environment.filters |= {
        "text": escaping.markdown,
        "code": code,
        "codes": lambda values: wording.join(values, code),
        "block": block,
        "without_contained": reproduce.without_contained,
        "words": lambda values, show=lambda value: escaping.markdown(str(value)): wording.join(values, show),
        "count": wording.count,
        "number": notation.number,
        "significant": notation.significant,
        "title_of": title,
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    return environment


class Text:
    """The text with its tables and figures.

    Attributes:
        facts: what the templates state about the runs.
        figures: in the order of their numbers.
        tables: in the order of their numbers; filled while the text is rendered.
    """

    def __init__(
        self,
        runs: Runs,
        data: str,
        tables: Sequence[Table],
        claims: Sequence[JudgedClaim],
        drawn: Sequence[Drawn],
        author: str = "",
    ) -> None:
        self.facts = Facts(runs, data, list(claims))
        self.findings = Findings(runs, data)
        self.author = author
        self.figures = sorted(drawn, key=lambda figure: SECTIONS.index(figure.section))
        self.tables: list[Table] = []
        self._made = {table.name: table for table in tables}

    @cached_property
    def tokens(self) -> list[Token]:
        """The parsed Markdown, with HTML disabled so that text from a config can't become an element."""
        tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(self.markdown)
        for child in (child for token in tokens for child in token.children or []):
            if child.type in ("text", "image"):
                # A number stays on one line with its percent sign and with its power of ten.
                child.content = re.sub(r"(?<=\d) %", "\u00a0%", child.content)
                child.content = re.sub(r"(?<=\d) × (?=10[⁻⁰¹²³⁴-⁹])", "\u00a0×\u00a0", child.content)
        return tokens

    @cached_property
    def markdown(self) -> str:
        """The whole report."""
        rendered = _environment().get_template("report.md.j2").render(self._names())
        return re.sub(r"\n{3,}", "\n\n", rendered).strip() + "\n"

    def _names(self) -> dict[str, Any]:
        """The names that the templates can use."""
        finished = self.facts.finished
        source = self.facts.runs.source
        configs = [self.facts.runs.configs[folder] for folder in finished["folder"]]
        names = wording.join(map(title, self.facts.models))
        commits = [str(commit) for commit in self.facts.measured("commit")]
        installed = finished[finished["commit"].isna()]
        return {
            "facts": self.facts,
            "findings": self.findings,
            "byline": f"{escaping.markdown(self.author)}, {today()}" if self.author else "",
            "level": LEVEL,
            "smallest": self.facts.runs.smallest,
            "references": self._references(),
            "fail": _fail,
            "number": notation.number,
            "count_range": wording.count_range,
            "lab_epochs": published.LAB_EPOCHS,
            "names": escaping.markdown(f"{names} networks".strip().capitalize()),
            "table": self._table,
            "has": lambda name: name in self._made,
            "figure": self._figure,
            "figures": lambda section: "\n\n".join(self._figure(name) for name in self._drawn_in(section)),
            "drawn": lambda name: any(figure.name == name for figure in self.figures),
            "drawn_in": self._drawn_in,
            "ref": lambda name: f"Figure {self._number(name)}",
            "formula": lambda name: f"```math\n{FORMULAS[name].latex}\n```",
            "commands": lambda: reproduce.commands(configs),
            "report_command": reproduce.report_command(source, self.facts.runs.smallest, self.author),
            "source": source,
            "commits": list(dict.fromkeys(commit[:10] + commit[40:] for commit in commits)),
            "versions": list(dict.fromkeys(installed["version"].dropna())),
            "dirty": any("+" in commit for commit in commits),
            "prints": [str(fingerprint) for fingerprint in self.facts.measured("fingerprint")],
        }

    def _references(self) -> list[str]:
        """What this report cites."""
        optimizers = self.facts.every("optim.optimizer")
        unused = {
            "adamw": "adamw" not in optimizers,
            "muon": "muon" not in optimizers,
            "Krizhevsky": not self.facts.all_cifar10,
            "Agresti and Caffo": self.facts.seeds[0] != 1,
            "Agresti and Min": self.facts.seeds[0] != 1,
            "Dodge": "search" not in self._made,
            "akamaster": "published" not in self._made,
            "hysts": "published" not in self._made,
        }
        return [text for key, text in published.REFERENCES.items() if not unused.get(key)]

    def _drawn_in(self, section: str) -> list[str]:
        return [figure.name for figure in self.figures if figure.section == section]

    def _number(self, name: str) -> int:
        return 1 + [figure.name for figure in self.figures].index(name)

    def _figure(self, name: str) -> str:
        """An image and its caption; empty if the figure wasn't drawn."""
        figure = next((figure for figure in self.figures if figure.name == name), None)
        if figure is None:
            return ""
        caption = escaping.markdown(f"Figure {self._number(name)}. {figure.caption}")
        return f"![{caption}]({figure.png})\n\n*{caption}*"

    def _table(self, table: Table | str) -> str:
        """A table with its title and note; empty if there is no such table."""
        if isinstance(table, str):
            if table not in self._made:
                return ""
            table = self._made[table]
        self.tables.append(table)
        head = f"**Table {len(self.tables)}.** {escaping.markdown(table.title)}."
        note = f"\n*{escaping.markdown(table.note)}*\n" if table.note else ""
        return f"{head}\n\n{table.to_markdown()}{note}"


def plain(token: Token) -> str:
    """A token's text without markup and escapes."""
    return "".join(child.content for child in token.children or [])


def today() -> str:
    """Today's date, as in 26 November 2026."""
    day = date.today()
    return f"{day.day} {day:%B %Y}"


def code(text: object) -> str:
    """Text of unknown origin as inline code, whatever backticks it contains.

    >>> code("optim.lr"), code("a`b")
    ('`optim.lr`', '``a`b``')
    """
    line = " ".join(printable(str(text)).split())
    fence = _fence(line, 1)
    space = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{fence}{space}{line}{space}{fence}"


def _fail(key: str, value: object) -> NoReturn:
    """Ends a template's chain of conditions.

    Raises:
        RunError: always.
    """
    raise RunError(f"the report has no words for {key}={value}; add them to cifar_resnet/report/templates")


def block(text: object) -> str:
    """Lines of unknown origin as a code block."""
    shown = "\n".join(map(printable, str(text).split("\n")))
    fence = _fence(shown, 3)
    return f"{fence}\n{shown}\n{fence}"


def _fence(text: str, least: int) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
