"""Every figure in the README was measured (in results/) or published (in report/published.py)."""

import re

import pytest

from cifar_resnet.report.published import PUBLISHED
from cifar_resnet.run.defaults import REPO_ROOT

NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*\.\d+(?!\w|\.\d)")
# Code, link targets and versions don't count as figures.
NAMES = "section|Python|PyTorch|pandas|Hydra|Optuna|SQLAlchemy|optuna-sweeper"
NO_FIGURES = re.compile(rf"^    .*$|`[^`]*`|\]\([^)]*\)|(?:{NAMES})\s\d+\.\d+(?:\.\d+)?", re.MULTILINE)


def numbers(text: str) -> set[str]:
    return set(NUMBER.findall(text))


def figures_of(readme: str) -> set[str]:
    return numbers(NO_FIGURES.sub("", readme))


def known_figures() -> set[str]:
    files = [path for path in (REPO_ROOT / "results").rglob("*") if path.suffix in (".csv", ".md")]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    known = set().union(
        *(numbers(text.replace(",", " ") if path.suffix == ".csv" else text) for path, text in texts.items())
    )
    return known | {f"{row.error:.2f}" for row in PUBLISHED} | {f"{row.std:.2f}" for row in PUBLISHED if row.std}


@pytest.mark.parametrize("page", ["README.md", "docs/discussion.md"])
def test_every_figure_was_measured_or_published(page):
    found = figures_of((REPO_ROOT / page).read_text(encoding="utf-8"))
    assert found, "the page has no figures, so the test sees none"
    assert found - known_figures() == set()


def test_figures_are_told_from_code_and_versions():
    text = "12.5 % (+3.1), `1.5`, Python 3.10, [2.5](a/1.2.md), 1,234.5 and 76.8 ± 14.7\n    code 9.9\n"
    assert figures_of(text) == {"12.5", "3.1", "2.5", "1,234.5", "76.8", "14.7"}
