"""The report's page in real Chromium: no errors, no requests, readable text, sortable tables."""

import pytest

from cifar_resnet.architectures import ARCHITECTURES
from tests.integration.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture
def page(make_run, program, tmp_path):
    """The page of nine networks with two seeds each, opened at a width of 1,400 pixels."""
    for model in ARCHITECTURES:
        for depth in (20, 56, 110):
            for seed in (0, 1):
                name = f"{model}-{depth}-{seed}"
                make_run(name, [90.0, 40.0, 5.0 + depth / 50 + seed], model=model, depth=depth, seed=seed)
    done = program("aggregate.py", "runs")
    assert done.returncode == 0, done.stderr
    browser = Browser(tmp_path / "profile")
    try:
        browser.resize(1400)
        browser.open(tmp_path / "runs/report/report.html")
        yield browser
    finally:
        browser.close()


def test_nothing_complains_and_nothing_is_fetched(page):
    assert page.evaluate("document.title") == "Plain, residual and pre-activation networks on digits"
    assert page.complaints() == []
    assert [address for address in page.requests() if not address.startswith(("file:", "data:"))] == []
    assert len([address for address in page.requests() if address.startswith("file:")]) == 1


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_at_any_width_in_any_light(page, width, scheme):
    page.resize(width)
    page.prefer(scheme)
    # The page itself never scrolls sideways; wide tables and figures scroll in their own boxes.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate("[...document.querySelectorAll('.figure svg')].map(s => s.getBoundingClientRect().width)")
    assert len(sizes) >= 7
    assert min(sizes) > 300
    # At the drawn size: letters of 7.5 points, 10 pixels.
    scales = page.evaluate(
        "[...document.querySelectorAll('.figure svg')]"
        ".map(s => s.getBoundingClientRect().width / s.viewBox.baseVal.width)"
    )
    assert min(scales) > 1.2
    letters = page.evaluate(
        "[...document.querySelectorAll('p, li, td, th, code')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(letters) >= 11
    ink, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map(c => c.match(/[0-9]+/g).map(Number).reduce((a, b) => a + b) / 3)"
    )
    assert abs(ink - ground) > 180
    assert (ground < 60) == (scheme == "dark")


def test_a_click_on_a_head_sorts_by_it_up_and_down(page):
    column = """(() => {
      const table = [...document.querySelectorAll("table")].find(t => t.textContent.includes("parameters"));
      const heads = [...table.querySelectorAll("th")];
      const at = heads.findIndex(h => h.textContent.startsWith("final test error"));
      if (CLICK) heads[at].querySelector("button").click();
      return [heads[at].ariaSort, [...table.tBodies[0].rows].map(r => parseFloat(r.cells[at].textContent))];
    })()"""
    _, before = page.evaluate(column.replace("CLICK", "false"))
    assert before != sorted(before)
    assert page.evaluate(column.replace("CLICK", "true")) == ["ascending", sorted(before)]
    assert page.evaluate(column.replace("CLICK", "true")) == ["descending", sorted(before, reverse=True)]


def test_every_entry_of_the_contents_leads_somewhere(page):
    found = page.evaluate("[...document.querySelectorAll('nav a')].map(a => document.querySelector(a.hash)?.tagName)")
    assert found == ["H2"] * 7


def test_it_prints(page, tmp_path):
    page.print_pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert page.complaints() == []
