"""The report states what the runs show, and is well-formed in every format."""

import dataclasses
import itertools
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.datasets import DATASETS
from cifar_resnet.errors import RunError
from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.report import claims, document, escaping, figures, tables
from cifar_resnet.report.document import latex, page
from cifar_resnet.report.document import text as words
from cifar_resnet.report.document.facts import Facts
from cifar_resnet.report.document.findings import Findings
from cifar_resnet.report.document.text import block, code
from cifar_resnet.report.figures.subject import Subject
from cifar_resnet.report.runs import load
from cifar_resnet.report.tables.beside import beside_published
from tests.conftest import tree
from tests.report.conftest import CIFAR10_FOLDER, REAL, write_run

VOID = {"meta", "link", "br", "hr", "img", "input", "path", "use"}


class Elements(HTMLParser):
    """Collects tags, ids and references; fails if elements aren't closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.references, self.classes = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.tags.append(tag)
        self.ids += [named["id"]] if "id" in named else []
        self.classes += (named.get("class") or "").split()
        for value in named.values():
            self.references += re.findall(r"url\(#([^)]+)\)", value or "")
        for name in ("href", "xlink:href"):
            if (named.get(name) or "").startswith("#"):
                self.references.append(named[name][1:])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def write_report(runs_folder, out):
    """Writes the whole report of the runs of one data set."""
    everything = load.load([runs_folder])
    (data,) = everything.datasets
    runs = everything.of(data)
    drawn = figures.draw_all(runs, data, out)
    made = tables.all_tables(runs, data)
    (out / "main.csv").write_text(made[0].to_csv())
    written = document.write(runs, data, made, claims.judge(runs, data), drawn, out)
    assert written == ["report.md", "report.html", "report.tex"]
    return out


@pytest.fixture
def report(tmp_path, monkeypatch, unsaved):
    """Writes the report of the runs under `runs`, and returns its text, which doesn't depend on the figures' files."""
    empty = figures.Screen("<svg></svg>", "<svg></svg>", 7.0, [], {"panels": [], "step": 1})
    monkeypatch.setattr(figures.screen, "draw", lambda figure: empty)
    return lambda: (write_report(tmp_path / "runs", tmp_path / "report") / "report.md").read_text()


@pytest.fixture(scope="module")
def nine(tmp_path_factory):
    """A folder with small versions of the nine runs; plain-110 doesn't learn."""
    folder = tmp_path_factory.mktemp("nine-runs-whose-folders-make-a-table-wider-than-a-page")
    for model in ARCHITECTURES:
        for depth in (20, 56, 110):
            final = 88.0 if (model, depth) == ("plain", 110) else 5.0 + depth / 100
            errors = [90.0, final], [90.0, final - 2]
            write_run(folder, f"{model}{depth}", *errors, model=model, depth=depth)
    return folder


@pytest.fixture(scope="module")
def nine_report(nine, tmp_path_factory):
    """The report of the nine runs, in every format."""
    return write_report(nine, tmp_path_factory.mktemp("report"))


def sections(markdown):
    return re.findall(r"^## (.+)$", markdown, re.MULTILINE)


def test_the_report_has_the_labs_parts_in_order(nine_report):
    assert sections((nine_report / "report.md").read_text()) == [
        "Introduction",
        "Experiment setup",
        "Result",
        "Discussion",
        "References",
        "How to reproduce",
    ]


def test_the_architecture_is_that_of_6n_plus_2_layers(nine):
    runs = load.load([nine]).of("digits")
    frame = Facts(runs, "digits", []).architecture().frame
    for depth in (20, 56, 110):
        assert frame[f"{depth} layers"].astype(int).sum() == depth
    assert frame["map (pixels)"].tolist() == ["8×8", "8×8", "4×4", "2×2", "1×1"]
    assert frame["filters"].tolist() == ["16", "16", "32", "64", "10"]


def test_models_that_were_not_trained_are_not_mentioned(make_run, report):
    make_run("a", [50.0, 6.0], model="plain")
    text = report()
    assert "preact" not in text
    assert "resnet" not in text.replace("cifar-resnet", "")
    assert "Why a shortcut helps" not in text
    make_run("b", [50.0, 6.0], model="resnet")
    assert "Why a shortcut helps" in report()


def test_overfitting_is_only_ruled_out_where_the_networks_degrade(make_run, report):
    make_run("a", [50.0, 9.0], [50.0, 1.0], model="plain")
    make_run("b", [50.0, 7.0], [50.0, 0.9], model="plain", depth=56)
    assert "Overfitting would look different" not in report()
    make_run("b", [50.0, 80.0], [50.0, 80.0], model="plain", depth=56)
    text = report()
    assert "Overfitting would look different" in text
    number = re.search(r"as Figure (\d+) shows in its left panel", text).group(1)
    assert f"Figure {number}. Plain networks of two depths" in text


@pytest.fixture(scope="module")
def lab_text(tmp_path_factory):
    """The text of the report of a run with the lab's config."""
    folder = tmp_path_factory.mktemp("lab")
    write_run(folder, "a", [50.0, 6.0])
    runs = load.load([folder]).of("digits")
    return words.Text(runs, "digits", tables.all_tables(runs, "digits"), claims.judge(runs, "digits"), []).markdown


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"precision": "tf32"}, "runs were computed in TensorFloat-32, which has a significand of 11"),
        ({"precision": "bf16"}, "runs were computed in bfloat16, which has a significand of 8"),
        ({"precision": "fp16"}, "runs were computed in float16, which has a significand of 11"),
        ({"data__augment": True}, "flipped horizontally with a probability of one half"),
        ({"model__shortcut": "B"}, "option B"),
        ({"data__kind": "cifar10"}, "CIFAR-10: color images"),
        ({"optim__lr": 0.05}, "The learning rate begins at 0.05"),
        (
            {"optim__schedule": "onecycle", "optim__lr": 0.2, "optim__peak": 0.25},
            "rises linearly to 0.2 over the first 25 % of the steps and falls linearly to zero over the rest.",
        ),
        (
            {"optim__schedule": "onecycle", "optim__peak": 0.5, "optim__warmup": 5},
            "zero over the rest; the first 5 steps use a tenth of it.",
        ),
        ({"optim__schedule": "onecycle"}, "**Another recipe.** The runs use one cycle of the learning rate;"),
        ({"optim__warmup": 1000}, "after 1 epoch; the first 1,000 steps use a tenth of it."),
        (
            {"optim__epochs": None, "optim__iterations": 64_000, "optim__milestones": [32_000, 48_000]},
            "is multiplied by 0.1 after 32,000 and 48,000 steps.",
        ),
        (
            {"model__zero_init_residual": True},
            "starts as its shortcut (the weights of the last layer on its branch are 0)",
        ),
        ({"optim__nesterov": True}, "with Nesterov momentum 0.9"),
        ({"optim__optimizer": "adamw"}, "with β₁ = 0.9, β₂ = 0.999, decoupled weight decay 0.0001, in batches of"),
        ({"optim__optimizer": "adamw"}, "The runs use AdamW; the papers use stochastic gradient descent."),
        ({"optim__label_smoothing": 0.1}, "cross-entropy with label smoothing of 0.1 by stochastic"),
    ],
)
def test_the_text_follows_the_config(lab_text, make_run, report, keys, expected):
    assert expected not in lab_text
    make_run("a", [50.0, 6.0], **keys)
    assert expected in report()


@pytest.mark.parametrize("name", PRECISIONS)
def test_every_precision_but_single_is_a_threat(make_run, report, name):
    make_run("a", [50.0, 6.0], precision=name)
    threat = f"**Lower precision.** The runs were computed in {PRECISIONS[name].title}, "
    assert (threat in report()) is (name != "fp32")


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_every_model_is_described_by_its_entry(make_run, report, model):
    make_run("a", [50.0, 6.0], model=model)
    text = report()
    known = ARCHITECTURES[model]
    assert f"- **{model}**: in a {known.title} block, {known.description}" in text
    assert f"# {known.title.capitalize()} networks on digits" in text
    assert ("Why a shortcut helps" in text) is known.has_shortcuts


def test_several_schedules_are_each_described(make_run, report):
    make_run("a", [50.0, 6.0], optim__lr=0.1)
    make_run("b", [50.0, 6.0], optim__lr=0.05)
    make_run("c", [50.0, 6.0], optim__schedule="onecycle", optim__lr=0.2, optim__peak=0.25)
    text = report()
    assert (
        "with the schedule step it begins at a value that differs between runs and is multiplied by 0.1 after" in text
    )
    assert "with the schedule onecycle it rises linearly to 0.2 over the first 25 % of the steps" in text
    assert "**Another recipe.** Some runs use one cycle of the learning rate;" in text


IN_STEPS = {"optim__epochs": None, "optim__milestones": [500, 1_000]}


@pytest.mark.parametrize(
    ("changed", "milestones"),
    [
        ({"optim__iterations": 4_000}, "after 500 and 1,000 steps"),
        ({"optim__epochs": 2_000}, "at milestones that differ between runs"),
        ({"optim__iterations": 2_000, "optim__milestones": [500]}, "at milestones that differ between runs"),
    ],
)
def test_the_milestones_of_several_lengths_keep_their_unit(make_run, report, changed, milestones):
    make_run("a", [50.0, 6.0], **IN_STEPS, optim__iterations=2_000)
    make_run("b", [50.0, 6.0], **IN_STEPS | changed)
    assert f"begins at 0.1 and is multiplied by 0.1 {milestones}." in report()


def in_data(train, val=0):
    """What run.json records of CIFAR-10 where so many images are trained on and held out."""
    return {"data": {"kind": "cifar10", "train_images": train, "val_images": val, "test_images": 10_000, "classes": 10}}


def test_the_numbers_of_images_are_sorted_and_those_of_subsets_named(make_run, report):
    make_run("a", [9.0, 8.0], status=in_data(50_000), data__train_size=50_000, **REAL)
    assert "Fewer images" not in report()
    make_run("b", [9.0, 8.0], status=in_data(10_000), data__train_size=10_000, **REAL)
    make_run("c", [9.0, 8.0], val=[9.0, 8.0], status=in_data(45_000, 5_000), data__holdout=5_000, **REAL)
    text = report()
    assert (
        "The training set has 10,000, 45,000 and 50,000 images, the validation set 5,000 that some runs held out from "
        "the original training set, and the test set 10,000."
    ) in text
    assert "**Fewer images.** Some runs were trained on a subset of 10,000 images." in text
    sizes = {"data__train_size": 20_000, "data__holdout": 5_000}
    make_run("d", [9.0, 8.0], val=[9.0, 8.0], status=in_data(15_000, 5_000), **sizes, **REAL)
    assert "Some runs were trained on subsets of 10,000 and 15,000 images." in report()


def test_a_value_that_no_template_has_words_for_is_an_error(make_run, report, monkeypatch):
    monkeypatch.setattr(Facts, "only", lambda self, key: "C" if key == "model.shortcut" else None)
    make_run("a", [50.0, 6.0])
    with pytest.raises(RunError, match=r"no words for model\.shortcut=C"):
        report()


@pytest.mark.parametrize("kind", DATASETS)
def test_every_data_set_is_described_by_its_entry(make_run, report, kind):
    make_run("a", [50.0, 6.0], data__kind=kind, data__name=kind)
    assert escaping.markdown(DATASETS[kind].description) in report()


OTHER = "**Not the papers' data.**"


@pytest.mark.parametrize(
    ("status", "config", "expected"),
    [
        (CIFAR10_FOLDER, {}, ["networks on CIFAR-10\n", "pixels in 10 classes, read from a folder", "32×32"]),
        (CIFAR10_FOLDER | {"std": [0.2458, 0.2421, 0.2604]}, {}, ["networks on cifar10\n", OTHER]),
        (CIFAR10_FOLDER | {"is_cifar10": False, "image_shape": [16, 16, 3]}, {}, [OTHER, "16×16"]),
        ({}, {"data__kind": "cifar10"}, ["networks on CIFAR-10\n", "32×32 pixels in 10 classes."]),
        ({}, {"data__kind": "cifar10", "data__image_size": 16}, ["in 10 classes, resized to 16×16 pixels.", OTHER]),
    ],
)
def test_the_title_is_cifar10_if_the_images_are(make_run, report, status, config, expected):
    status = {"data": status} if status else {}
    make_run("a", [50.0, 6.0], status=status, **{"data__kind": "image_folder", "data__name": "cifar10"} | config)
    text = report()
    assert [part for part in expected if part not in text] == []
    assert (OTHER in text) is (OTHER in expected)


def test_seeds_are_counted_and_a_single_one_is_a_threat(make_run, report):
    make_run("a", [50.0, 6.0])
    assert "The results come from one finished run of resnet-20.\n" in report()
    assert "**One seed.**" in report()
    make_run("b", [50.0, 7.0], seed=1)
    assert "2 seeds each" in report()
    assert "**One seed.**" not in report()


def test_earlier_parts_of_a_run_are_included_in_commits_and_devices(make_run, report):
    versions = {"torch": "2.13.0", "python": "3.11.7"}
    before = {"commit": "f" * 40, "device": "another CPU", "threads": 1, "versions": versions}
    make_run("a", [6.0], status={"commit": "0" * 40, "versions": versions, "earlier": [before]})
    text = report()
    assert "used commits `ffffffffff` and `0000000000`" in text
    assert "trained on another CPU and a CPU" in text
    assert "**Several machines or versions.**" in text


def test_runs_of_an_installed_package_are_reported_with_its_version(make_run, report):
    versions = {"cifar_resnet": "0.1.0", "torch": "2.13.0", "python": "3.11.7"}
    make_run("a", [6.0], status={"commit": None, "versions": versions})
    assert "The runs used version `0.1.0` of the package." in report()
    make_run("b", [6.0], seed=1, status={"commit": "0" * 40, "versions": versions})
    assert "The runs used commit `0000000000` and version `0.1.0` of the package." in report()


def test_without_a_finished_run_the_report_lists_them(make_run, report, tmp_path):
    make_run("a", [90.0], state="failed", status={"reason": "out of memory"})
    text = report()
    assert "The only run found on digits has not finished" in text
    assert "out of memory" in text
    assert "![Figure 1. Training error per epoch of the runs that haven't finished" in text
    assert sections(text) == ["Introduction", "How to reproduce"]
    assert "\\begin{document}" in (tmp_path / "report/report.tex").read_text()


def test_unfinished_runs_are_drawn_only_next_to_their_table(make_run, report):
    make_run("a", [50.0, 6.0])
    make_run("b", [90.0, 80.0], depth=110, state="running")
    last = report().partition("## How to reproduce")
    assert "figures/left_out.png" in last[2] and "figures/left_out.png" not in last[0]
    assert "None of the" not in last[0]


def test_commands_are_those_that_train_the_runs(nine_report):
    text = (nine_report / "report.md").read_text()
    models = ",".join(ARCHITECTURES)
    assert re.search(rf"^python train.py -m model={models} depth=20,56,110 .*data=digits", text, re.M)


def test_figures_and_tables_are_numbered_in_order(nine_report):
    text = (nine_report / "report.md").read_text()
    for kind, pattern in (("Table", r"^\*\*Table (\d+)\.\*\*"), ("Figure", r"^\*Figure (\d+)\.")):
        numbers = [int(number) for number in re.findall(pattern, text, re.MULTILINE)]
        assert numbers == list(range(1, len(numbers) + 1)), kind
        assert len(numbers) > 4


def test_the_page_is_well_formed_with_ids_that_are_unique_and_found(nine_report):
    elements = Elements()
    elements.feed((nine_report / "report.html").read_text())
    elements.close()
    assert elements.open == []
    assert len(elements.ids) == len(set(elements.ids))
    assert set(elements.references) <= set(elements.ids)
    assert elements.classes.count("plot") == len(list((nine_report / "figures").glob("*.svg"))) > 4
    assert elements.classes.count("wide") == elements.classes.count("narrow") == elements.classes.count("plot")
    assert elements.tags.count("math") == 2
    assert elements.tags.count("nav") == 1


def test_the_page_names_no_address_to_fetch(nine_report):
    text = (nine_report / "report.html").read_text()
    loaded = re.findall(r"""(?:src|href|action)="([^"#][^"]*)""", text) + re.findall(r"url\(([^)#$][^)]*)\)", text)
    assert {address.partition(",")[0] for address in loaded} == {"data:", "data:text/csv;charset=utf-8"}
    assert "@import" not in text


def test_the_same_runs_give_the_same_page_and_figures(nine, nine_report, tmp_path):
    write_report(nine, tmp_path)
    files = tree(tmp_path)
    assert files == tree(nine_report)
    assert [name for name in files if (tmp_path / name).read_bytes() != (nine_report / name).read_bytes()] == []
    assert {name.rpartition(".")[2] for name in files} == {"csv", "html", "md", "pdf", "png", "svg", "tex"}


HOSTILE = "<script>alert(1)</script>|`*_$\\%&#{}~^"


def test_a_hostile_reason_is_text_in_every_format(make_run, report, tmp_path):
    make_run("a", [50.0, 6.0])
    make_run("b", [50.0], seed=1, state="failed", status={"reason": HOSTILE, "device": HOSTILE})
    make_run("c", [50.0, 6.0], seed=2, status={"device": HOSTILE})
    markdown = report()
    text, source = ((tmp_path / f"report/report.{kind}").read_text() for kind in ("html", "tex"))
    elements = Elements()
    elements.feed(text)
    # The page's own, and one per figure with its values.
    assert elements.tags.count("script") == 1 + elements.classes.count("plot")
    assert elements.open == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;|`*_$\\%&amp;#{}~^" in text
    assert_latex(source)
    assert "<script>" not in re.sub(r"\\<", "", markdown)


def test_a_percent_sign_stays_with_its_number(nine_report):
    assert re.search(r"\d~\\%", (nine_report / "report.tex").read_text())
    assert re.search(r"\d\u00a0%", (nine_report / "report.html").read_text())


def test_a_caption_names_a_key_without_the_escapes_of_markdown(report, make_run, tmp_path):
    for decay in (1e-4, 1e-3):
        for depth in (20, 56):
            make_run(f"{decay}-{depth}", [6.0, 5.0], depth=depth, optim__weight_decay=decay)
    assert "weight\\_decay=0.0001." in report()  # the Markdown
    source = (tmp_path / "report" / "report.tex").read_text()
    assert "weight\\_decay=0.0001." in source
    assert "textbackslash" not in source
    assert "weight\\_decay" not in (tmp_path / "report" / "report.html").read_text()


def test_latex_is_well_formed_and_includes_every_figure(nine_report):
    source = (nine_report / "report.tex").read_text()
    assert_latex(source)
    included = re.findall(r"\\shownfigure\{([^#}]+)\}", source)
    assert set(included) == {f"figures/{path.name}" for path in (nine_report / "figures").glob("*.pdf")}
    assert source.count(r"\[") == 2


def assert_latex(source):
    """Environments and braces are balanced, and rows have as many cells as their table has columns."""
    opened = []
    for side, name in re.findall(r"\\(begin|end)\{(\w+)\}", source):
        if side == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    bare = re.sub(r"\\[\\{}%$&#_]", "", source)
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert len(re.findall(r"\$", bare)) % 2 == 0
    for form, body in re.findall(
        r"\\begin\{longtable\}\{([^\n]*)\}\n\\caption.*?\\endfoot\n(.*?)\\end\{longtable\}", source, re.S
    ):
        columns = len(re.sub(r">\{.*?\}p\{.*?\}", "l", form.replace(r"\raggedright\arraybackslash", "")))
        for row in body.strip().split("\\\\\n"):
            assert len(re.findall(r"(?<!\\)&", row)) == columns - 1, row


def test_wide_tables_are_split_and_each_part_names_its_rows(nine):
    runs = load.load([nine]).of("digits")
    source = latex.render_table(tables.runs_table(runs, "digits"))
    parts = source.split(r"\begin{longtable}")[1:]
    assert len(parts) > 1
    for part in parts:
        assert "part" in part
        assert re.search(r"plain & 20 & 0 &", part)
    assert source.count(r"\addtocounter{table}{-1}") == len(parts) - 1


def test_code_of_any_text_stays_code():
    assert code("a`b") == "``a`b``"
    assert code("`a`") == "`` `a` ``"
    assert block("a\n```\nb") == "````\na\n```\nb\n````"


def test_an_svg_gets_ids_of_its_own():
    svg = (
        '<?xml version="1.0"?>\n<svg><defs><path id="a"/></defs><g clip-path="url(#a)"><use xlink:href="#a"/></g></svg>'
    )
    inlined = page.inline_svg(svg, "loss", 'a "caption"', "wide")
    assert inlined == (
        '<svg class="wide" role="img" aria-label="a &quot;caption&quot;" data-ids="loss-">'
        '<defs><path id="loss-a"/></defs><g clip-path="url(#loss-a)"><use xlink:href="#loss-a"/></g></svg>'
    )


def test_values_of_a_figure_cannot_end_their_element():
    values = {"panels": [{"title": HOSTILE}], "step": 1}
    elements, text = Elements(), page.figure(figures.Screen("<svg/>", "<svg/>", 7.0, [(HOSTILE, "")], values), "a", "A")
    elements.feed(text)
    assert elements.tags.count("script") == 1
    assert json.loads(re.search("<script[^>]*>(.*?)</script>", text)[1]) == values


def test_a_table_is_one_click_away_as_csv_and_folds_what_it_should(nine_report):
    text = (nine_report / "report.html").read_text()
    links = dict(re.findall(r'<a download="([^"]+)" href="data:text/csv;charset=utf-8,([^"]+)"', text))
    assert unquote(links["main.csv"]) == (nine_report / "main.csv").read_text()
    shown, folded = text[text.index(">key</") :].split("<details>")[:2]
    assert "<td>depth</td>" in shown and "<td>optim.momentum</td>" not in shown
    assert "<td>optim.momentum</td>" in folded.split("</details>")[0]


def test_an_author_stands_below_the_title_with_the_date_and_only_then(make_run, tmp_path, monkeypatch):
    make_run("a", [50.0, 6.0])
    monkeypatch.setattr(words, "today", lambda: "26 November 2026")
    runs = load.load([tmp_path])
    judged = claims.judge(runs, "digits")
    of = {author: words.Text(runs, "digits", [], judged, [], author).markdown for author in ("", "Ada *Lovelace*")}
    assert of["Ada *Lovelace*"].splitlines()[2] == r"Ada \*Lovelace\*, 26 November 2026"
    assert of[""].splitlines()[2] == "## Introduction"
    source = latex.render(words.Text(runs, "digits", [], judged, [], "Ada *Lovelace*"))
    assert "\\author{Ada *Lovelace*, 26 November 2026}" in source
    # The only other place is the command that creates the report.
    assert source.count("Lovelace") == 2 and "author 'Ada *Lovelace*'" in source


def test_a_code_block_shows_nothing_that_acts_on_a_terminal():
    assert words.block("one\x1b[2J\ntwo ```") == "````\none [2J\ntwo ```\n````"


def test_the_date_is_in_words():
    assert re.fullmatch(r"\d{1,2} [A-Z][a-z]+ \d{4}", words.today())


def test_the_rule_is_stated_with_the_smallest_difference(make_run, tmp_path):
    make_run("a", [50.0, 6.0])
    make_run("b", [50.0, 6.0], seed=1)
    runs = dataclasses.replace(load.load([tmp_path]), smallest=0.25)
    markdown = words.Text(runs, "digits", [], claims.judge(runs, "digits"), []).markdown
    assert "at least 0.25 percentage points" in markdown and "5 % is the chance of any false" in markdown
    assert "Agresti" not in markdown and "**One seed.**" not in markdown


def test_the_summary_and_each_verdict_mark_one_seed(nine_report):
    written = (nine_report / "report.md").read_text()
    summary, _, _ = written.partition("## Experiment setup")
    assert "beats the plain one. **Inconclusive at 20 and 56 layers; holds at 110 layers (one seed).**" in summary
    verdicts = re.findall(r"\*\*([^*]*(?:[Hh]olds|[Dd]oes not hold|No, they)[^*]*)\*\*", written)
    assert verdicts and all("(one seed)" in verdict for verdict in verdicts)
    assert re.search(r"\(one seed\)\.\*\* Test errors without and with shortcuts: \d", summary)
    bold = MarkdownIt().render(summary)
    assert "**" not in bold and bold.count("<strong>") >= 4


def test_what_is_cited_is_listed(nine_report):
    written = (nine_report / "report.md").read_text()
    cited, _, listed = written.partition("## References")
    assert "arXiv 1512.03385" in listed and "arXiv 1603.05027" in listed
    for name, year in (("Welch", 1947), ("Holm", 1979), ("Agresti", 2000), ("Min", 2005)):
        assert f"{name}" in cited and f"({year})" in listed
    assert "Krizhevsky" not in listed and "Dodge" not in listed


def test_runs_that_did_not_finish_are_a_threat(make_run, report):
    make_run("a", [50.0, 6.0])
    assert "Runs that didn't finish" not in report()
    make_run("b", [50.0], seed=1, state="diverged")
    assert "**Runs that didn't finish.** Not all runs have finished: resnet-20: 1 of 2 (1 diverged)." in report()


@pytest.mark.parametrize("depths", [(20,), (8, 20)])
def test_a_search_is_held_to_no_claim_but_says_how_to_compare_networks(make_run, report, depths):
    for index in range(10):
        keys = {"optim__lr": 0.01 * (1 + index), "optim__momentum": 0.9 - 0.01 * index, "data__holdout": 144}
        make_run(f"t{index}", [9.0], val=[5.0 + index], depth=depths[index % len(depths)], **keys)
    text = report()
    assert "What these runs don't answer" not in text
    (command,) = re.findall(r"^### After the search$.*?```\n(.*?)\n```", text, re.MULTILINE | re.DOTALL)
    # The best trial's values, and seeds that no trial had.
    assert {"optim.lr=0.01", "seed=1,2,3", f"depth={','.join(map(str, depths))}"} <= {*command.split()}
    assert ("with every network" in text) == (len(depths) > 1)


def test_a_report_without_a_search_mentions_none(nine_report):
    assert "search" not in (nine_report / "report.md").read_text()


@pytest.mark.parametrize(
    ("name", "cited"), [("adamw", "Loshchilov, F. Hutter (2019)"), ("muon", "Jordan et al. (2024)")]
)
def test_an_optimizer_that_is_cited_is_in_the_references(make_run, report, name, cited):
    make_run("a", [5.0])
    assert cited not in report()
    make_run("b", [5.0], seed=1, optim__optimizer=name)
    assert cited in report()


def test_settings_typed_by_hand_are_no_search(make_run, report):
    for index in range(10):
        keys = {"optim__lr": 0.1 * (1 + index % 2), "optim__epochs": 3 + index % 3, "model__width": 8 * (1 + index % 4)}
        make_run(f"t{index}", [5.0 + index], **keys)
    assert "search" not in report()


def test_a_tiny_number_has_a_power_of_ten_in_every_format(make_run, make_layers, report, tmp_path):
    make_layers(make_run("a", [9.0], model="plain", depth=56, optim__lr=2e-5), [0.3] * 4, (3.26e-7, 1, 1, 1))
    markdown = report()
    assert "is 3.26 × 10⁻⁷ at initialization" in markdown
    assert "The learning rate begins at 2 × 10⁻⁵ and" in markdown
    assert "is 3.26\u00a0×\u00a010⁻⁷ at initialization" in (tmp_path / "report/report.html").read_text()
    assert r"is 3.26~$\times$~10$^{-7}$ at initialization" in (tmp_path / "report/report.tex").read_text()


def test_lost_runs_are_counted_beside_every_verdict(make_run, report):
    for seed in range(4):
        make_run(f"a{seed}", [50.0, 8.0 + 0.1 * seed], seed=seed, optim__lr=0.1)
        state = {"state": "finished" if seed < 2 else "diverged"}
        make_run(f"b{seed}", [50.0, 7.0 + 0.1 * seed], seed=seed, optim__lr=1.0, **state)
    short = report().partition("In short:")[2].partition("\n## ")[0]
    assert "resnet-20 has the lowest final test error: 7.0 ± 0.1 % (2 of 4 runs finished, lr=1.0)." in short
    assert "7.0 % (2 of 4 runs finished) compared with 8.2 % for the reference (lr=0.1): better." in short
    assert "Not all runs have finished: resnet-20 (lr=1.0): 2 of 4 (2 diverged)." in short


def test_settings_of_several_lengths_name_theirs(make_run, tmp_path):
    for epochs, lr in itertools.product((4, 8), (0.1, 0.05)):
        make_run(f"{epochs}-{lr}", [100 * lr - epochs / 4], optim__epochs=epochs, optim__lr=lr)
    runs = load.load([tmp_path])
    found = Findings(runs, "digits").ablation
    assert [sentence.partition(":")[0] for sentence in found] == ["resnet-20, epochs=4", "resnet-20, epochs=8"]


def test_a_lost_run_is_counted_beside_published_values_and_in_the_overview(make_run, tmp_path):
    real = {"data__kind": "cifar10", "data__name": "cifar10"}
    make_run("a", [6.5], depth=110, **real)
    make_run("b", [6.5], depth=110, seed=1, state="failed", **real)
    runs = load.load([tmp_path / "runs"])
    found = beside_published(runs, "cifar10")
    assert found.frame["ours (%)"].tolist() == ["6.50 (1 of 2 runs finished)"]
    assert found.numbers[["finished", "started"]].values.tolist() == [[1, 2]]
    assert Subject(runs, "cifar10").final_errors[1] == ["resnet", "6.50 (1 of 2)"]


def test_a_run_from_other_weights_is_not_said_to_be_initialized(make_run, report):
    make_run("a", [50.0, 6.0], init_from="outputs/first")
    text = report()
    assert "Training starts from the final weights of another run (`init_from=outputs/first`)." in text
    assert "Weights are initialized" not in text
    make_run("b", [50.0, 6.0])
    assert "Other weights are initialized as proposed by" in report()


def test_a_drop_of_the_learning_rate_after_the_end_is_not_reported(make_run, report):
    make_run("a", [50.0, 6.0], optim__epochs=2, optim__milestones=[2, 81])
    assert "The learning rate begins at 0.1." in report()
