"""The report's page in real Chromium: no errors, no requests, readable at any width, interactive."""

import csv
import shutil
import subprocess

import pytest

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.notation import number
from cifar_resnet.report import watch
from cifar_resnet.report.command import aggregate
from cifar_resnet.report.figures.style import plain_number
from tests.integration.browser import CHROMIUM, Browser
from tests.report.conftest import write_run

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]
EPOCHS = 12
FIGURE = "training_and_test_error"
# Helpers of the tests, in the page: the drawing of a figure that is shown, and the windows' place of a point in it.
HELPERS = """
  const drawn = element => element.getBoundingClientRect().width > 0;
  const boxOf = name => document.querySelector(`[data-name=${name}]`);
  const shownSvg = name => [...boxOf(name).querySelectorAll("svg")].find(drawn);
  const drawingOf = name => {
    const { drawings } = figures.find(figure => figure.name === name);
    return drawings.find(drawing => drawing.svg === shownSvg(name));
  };
  const pixels = (name, panel, x, y) => {
    const svg = shownSvg(name);
    svg.scrollIntoView({ block: "center" });
    const one = drawingOf(name).panels[panel];
    const place = drawingOf(name).place(one, part(one.x, x), part(one.y, y));
    const at = new DOMPoint(...place).matrixTransform(svg.getScreenCTM());
    return [at.x, at.y];
  };
  const ticks = name => [...shownSvg(name).querySelectorAll("[id$=p0x] [id*=tick] text, [id$=p0x] .added text")]
    .filter(drawn).map(text => text.textContent);
  const legend = (name, label) => [...boxOf(name).parentElement.querySelectorAll(".legend button")]
    .find(button => button.textContent === label);
  const namesHidden = drawing => drawing.panels.flatMap(panel => panel.shapes)
    .filter(shape => shape.element.style.display === "none").map(shape => shape.name);
  const hiddenShapes = () => figures.map(({ drawings }) => drawings.map(namesHidden));
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of nine networks with three seeds each."""
    folder = tmp_path_factory.mktemp("page")
    for model in ARCHITECTURES:
        for depth in (20, 56, 110):
            for seed in range(3):
                errors = [round(60 / epoch + depth / 10 + seed / 2, 2) for epoch in range(1, EPOCHS + 1)]
                write_run(folder / "runs", f"{model}-{depth}-{seed}", errors, model=model, depth=depth, seed=seed)
    aggregate([folder / "runs"], folder / "report")
    return folder / "report"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests: starting it takes longer than most of them."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(params=[1400, 420])
def page(browser, report, request):
    """The page, opened at a width in pixels."""
    browser.resize(request.param)
    browser.prefer("light")
    browser.open(report / "report.html")
    browser.evaluate(HELPERS)
    return browser


@pytest.fixture
def wide_page(browser, report):
    """The page, opened at a width of 1,400 pixels."""
    browser.resize(1400)
    browser.open(report / "report.html")
    browser.evaluate(HELPERS)
    return browser


def test_nothing_complains_and_nothing_is_fetched(wide_page):
    assert wide_page.evaluate("document.title") == "Plain, residual and pre-activation networks on digits"
    assert wide_page.complaints() == []
    assert [address for address in wide_page.requests() if not address.startswith(("file:", "data:"))] == []
    assert len([address for address in wide_page.requests() if address.startswith("file:")]) == 1


def test_the_page_writes_numbers_as_the_text_does(wide_page):
    numbers = [0, 0.05, 1e-4, 3.26e-7, -2e-5, 1e-5, 123.5, 2e10, 1e30]
    assert wide_page.evaluate(f"{numbers}.map(one => written(one))") == [number(one) for one in numbers]
    assert wide_page.evaluate("[written(1e5, 1e5), written(2e5, 1e5)]") == [plain_number(1e5), plain_number(2e5)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_at_any_width_in_any_light(page, scheme):
    page.prefer(scheme)
    width = page.evaluate("innerWidth")
    # The page itself never scrolls sideways; wide tables scroll in their own boxes.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate("figures.map(figure => shownSvg(figure.name).getBoundingClientRect().width)")
    assert len(sizes) >= 7
    # Figures fill the column, and none is cut.
    column = page.evaluate("document.querySelector('main h2').getBoundingClientRect().width")
    assert column > 900 or width < 500
    assert max(sizes) <= column and min(sizes) > 0.97 * column
    letters = page.evaluate(
        "figures.flatMap(figure => [...shownSvg(figure.name).querySelectorAll('text')]"
        ".map(t => parseFloat(getComputedStyle(t).fontSize) * shownSvg(figure.name).getScreenCTM().a))"
    )
    assert min(letters) > 10
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


def test_panels_stack_where_the_page_is_narrow(page):
    lefts = page.evaluate(f"drawingOf('{FIGURE}').panels.map(panel => Math.round(panel.left))")
    assert len(lefts) == 3
    assert len(set(lefts)) == (1 if page.evaluate("innerWidth") == 420 else 3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hovering_a_curve_shows_run_epoch_and_value(page, scheme):
    page.prefer(scheme)
    # The mean of three seeds at epoch 4 is 60 / 4 + 56 / 10 + 1 / 2; the pointer is a little off.
    x, y = page.evaluate(f"pixels('{FIGURE}', 1, 4, 21.1)")
    page.point(x + 1, y + 1)
    assert page.evaluate("[tip.hidden, tip.innerText]") == [
        False,
        "resnet · 56 layers · test error\nepoch 4, error (%) 21.1",
    ]
    page.point(1, 1)
    assert page.evaluate("tip.hidden")


def test_a_legend_entry_hides_and_shows_its_lines_in_all_figures(page):
    assert not any(names for pair in page.evaluate("hiddenShapes()") for names in pair)
    page.evaluate(f"legend('{FIGURE}', '56 layers').click()")
    hidden = page.evaluate("hiddenShapes()")
    assert all("56 layers" in name for pair in hidden for names in pair for name in names)
    # In both drawings of each figure that shows lines of 56 layers.
    assert sum(bool(names) for names, _ in hidden) >= 4
    assert all(wide == narrow for wide, narrow in hidden)
    assert page.evaluate("legend('degradation', 'plain · 56 layers').ariaPressed") == "true"
    assert page.evaluate("legend('test_error', '56 layers').ariaPressed") == "false"
    page.reload()
    page.evaluate(HELPERS)
    assert page.evaluate("hiddenShapes()") == hidden
    page.evaluate("legend('test_error', '56 layers').click()")
    assert not any(names for pair in page.evaluate("hiddenShapes()") for names in pair)


def test_dragging_zooms_and_a_double_click_resets(page):
    before = page.evaluate(f"[ticks('{FIGURE}'), shownSvg('{FIGURE}').innerHTML.length]")
    start, end = (page.evaluate(f"pixels('{FIGURE}', 0, {x}, {y})") for x, y in ((2.9, 12), (7.1, 30)))
    page.drag(start, end)
    shown = page.evaluate(f"ticks('{FIGURE}')")
    assert shown == ["3", "4", "5", "6", "7"]
    # All panels with the same axes are zoomed, and points are where the axes have them.
    u, v = page.evaluate(
        f"(() => {{ const {{ view, x, y }} = figures.find(f => f.name === '{FIGURE}').drawings[0].panels[2];"
        " return [view.slice(0, 2).map(u => numberAt(x, u)), view.slice(2).map(v => numberAt(y, v))]; })()"
    )
    assert u == pytest.approx([2.9, 7.1], abs=0.05) and v == pytest.approx([12, 30], rel=0.03)
    x, y = page.evaluate(f"pixels('{FIGURE}', 2, 5, 14.5)")
    page.point(x, y)
    assert page.evaluate("tip.innerText") == "preact · 20 layers · test error\nepoch 5, error (%) 14.5"
    assert page.evaluate(
        # The line itself passes there.
        f"(() => {{ const shapes = drawingOf('{FIGURE}').panels[2].shapes;"
        " const shape = shapes.find(s => s.x && s.name === 'preact · 20 layers · test error');"
        " const path = shape.element.querySelector('path');"
        f" const at = new DOMPoint({x}, {y}).matrixTransform(path.getScreenCTM().inverse());"
        " return path.isPointInStroke(at); })()"
    )
    page.double_click(x, y)
    assert page.evaluate(f"ticks('{FIGURE}')") == before[0]
    assert page.evaluate(f"[...shownSvg('{FIGURE}').querySelectorAll('.added')].length") == 0


def test_a_search_filters_the_rows_of_a_long_table(page):
    found = """(() => {
      const box = [...document.querySelectorAll("div.table")].find(t => t.textContent.includes("config"));
      const field = box.querySelector("input");
      field.value = "WORDS";
      field.dispatchEvent(new Event("input"));
      return [[...box.querySelectorAll("tbody tr")].filter(drawn).length, box.querySelector("output").textContent];
    })()"""
    assert page.evaluate(found.replace("WORDS", "PREACT 56")) == [3, "3 of 27 rows"]
    assert page.evaluate(found.replace("WORDS", "")) == [27, ""]
    # A short table needs none.
    assert page.evaluate(
        "[...document.querySelectorAll('table')].filter(t => t.tBodies[0].rows.length >= 20).length"
    ) == (page.evaluate("document.querySelectorAll('input').length"))


def test_the_csv_behind_a_table_and_a_figure_is_one_click_away(wide_page, report, tmp_path):
    table = wide_page.download("document.querySelector('a[download=\"main.csv\"]').click()", tmp_path)
    assert table.read_text() == (report / "tables/main.csv").read_text()
    wide_page.events.clear()
    values = wide_page.download(
        f"document.querySelector('[data-name={FIGURE}]').parentElement.querySelector('.tools button').click()", tmp_path
    )
    rows = list(csv.reader(values.open()))
    assert (values.name, rows[0]) == (f"{FIGURE}.csv", ["panel", "line", "epoch", "error (%)"])
    assert len(rows) == 1 + 9 * 2 * EPOCHS
    assert ["resnet", "resnet · 56 layers · test error", "4", "21.1"] in rows


def test_a_figure_has_a_table_for_those_who_cannot_see_it(wide_page):
    shown = wide_page.evaluate(f"""(() => {{
      const box = document.querySelector("[data-name={FIGURE}]").parentElement;
      const button = [...box.querySelectorAll(".tools button")].find(one => one.textContent === "table");
      button.focus();
      button.click();
      return [document.activeElement === button, button.ariaExpanded,
        [...box.querySelectorAll("tr")].map(row => [...row.cells].map(cell => cell.textContent))];
    }})()""")
    assert shown[:2] == [True, "true"]
    assert ["resnet", "resnet · 56 layers · test error", "12", "66.1", "11.1", "11.1", "66.1", "12"] in shown[2]
    assert wide_page.evaluate("[...document.querySelectorAll('th')].every(head => head.scope === 'col')")
    assert wide_page.evaluate(
        "[...document.querySelectorAll('.plot svg')].every(svg => svg.ariaLabel && svg.role === 'img')"
    )


def test_a_click_on_a_head_sorts_by_it_up_and_down(wide_page):
    column = """(() => {
      const table = [...document.querySelectorAll("table")].find(t => t.textContent.includes("runs finished"));
      const heads = [...table.querySelectorAll("th")];
      const at = heads.findIndex(h => h.textContent.startsWith("final test error"));
      if (CLICK) heads[at].querySelector("button").click();
      return [heads[at].ariaSort, [...table.tBodies[0].rows].map(r => parseFloat(r.cells[at].textContent))];
    })()"""
    _, before = wide_page.evaluate(column.replace("CLICK", "false"))
    assert before != sorted(before)
    assert wide_page.evaluate(column.replace("CLICK", "true")) == ["ascending", sorted(before)]
    assert wide_page.evaluate(column.replace("CLICK", "true")) == ["descending", sorted(before, reverse=True)]


def test_every_entry_of_the_contents_leads_somewhere(wide_page):
    found = wide_page.evaluate(
        "[...document.querySelectorAll('nav a')].map(a => document.querySelector(a.hash)?.tagName)"
    )
    assert len(found) >= 6 and set(found) == {"H2"}


def test_a_page_follows_later_reports_and_stays_where_it_was(browser, report, tmp_path):
    page, stamp = tmp_path / watch.PAGE, tmp_path / watch.STAMP
    text = (report / watch.PAGE).read_text()

    def publish(name, title):
        page.write_text(text.replace("<body>", f'<body data-stamp="{name}">').replace("<h1>", f"<h1>{title} "))
        stamp.write_text(f'reportStamp("{name}");')

    publish("a", "first")
    browser.resize(1400)
    browser.open(page)
    browser.evaluate(HELPERS)
    browser.evaluate("scrollTo(0, 2000)")
    browser.evaluate(f"legend('{FIGURE}', '56 layers').click()")
    publish("b", "second")
    browser.events.clear()
    browser.wait(lambda event: event.get("method") == "Page.loadEventFired")
    where = "[scrollY, document.querySelector('h1').innerText.split(' ')[0], kept.hidden]"
    assert browser.evaluate(where) == [2000, "second", ["56 layers"]]
    assert browser.complaints() == []
    # Watching has ended: the last page asks for nothing.
    watch._end(tmp_path)
    browser.events.clear()
    browser.wait(lambda event: event.get("method") == "Page.loadEventFired")
    assert browser.evaluate("document.body.dataset.stamp ?? null") is None
    assert browser.evaluate(where) == [2000, "second", ["56 layers"]]


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs pdftotext: apt-get install poppler-utils")
def test_it_prints_with_every_row(wide_page, tmp_path):
    assert wide_page.evaluate("document.querySelectorAll('details:not([open])').length") > 0
    wide_page.print_pdf(tmp_path / "page.pdf")
    words = subprocess.run(["pdftotext", "-layout", tmp_path / "page.pdf", "-"], capture_output=True, text=True).stdout
    keys = "[...document.querySelectorAll('details tbody td:first-child')].map(cell => cell.textContent)"
    folded = wide_page.evaluate(keys)
    assert folded and all(key in words for key in folded)
    assert "more rows" not in words
    assert wide_page.evaluate("document.querySelectorAll('details[open]').length") == 0
    assert wide_page.complaints() == []
