"""The report's LaTeX compiles with Debian's smallest TeX Live installation, and the PDF shows all of it."""

import itertools
import re
import shutil
import subprocess
from collections import Counter

import pytest

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.datasets.cifar10 import CLASSES
from cifar_resnet.report.command import aggregate
from tests.report.conftest import REAL, add_layers, add_predictions, write_run

PDFLATEX, PDFTOTEXT = shutil.which("pdflatex"), shutil.which("pdftotext")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        PDFLATEX is None or PDFTOTEXT is None,
        reason="needs pdflatex and pdftotext: "
        "apt-get install texlive-latex-base texlive-latex-recommended poppler-utils",
    ),
]


def compile_report(folder):
    for _ in range(2):
        done = subprocess.run(
            [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def one_run(folder):
    write_run(folder, "a", [90.0, 40.0, 8.0])


def networks(folder, seeds=(0,), unfinished=None):
    """Three models and three depths, each with predictions, gradients and responses."""
    for index, (model, depth, seed) in enumerate(itertools.product(ARCHITECTURES, (20, 56, 110), seeds)):
        errors = [90.0, 40.0 + index, 5.0 + depth / 50 + 0.13 * seed + 0.07 * index]
        state = unfinished[index % len(unfinished)] if unfinished and index % 5 == 0 else "finished"
        status = {"reason": f"stopped in epoch {index}"} if state != "finished" else {}
        name = f"{model}-{depth}-{seed}"
        run = write_run(folder, name, errors, model=model, depth=depth, seed=seed, state=state, status=status, **REAL)
        if state == "finished":
            add_predictions(run, [(k, (k * index) % 10) for k in range(10)] * 20, CLASSES)
            layers = [0.5 + 0.01 * layer for layer in range(depth - 1)]
            add_layers(run, layers, layers)


def settings(folder):
    """12 settings of two networks with two seeds."""
    values = itertools.product((20, 56), (0.2, 0.1, 0.05), (1e-4, 5e-4), ("A", "B"), (0, 1))
    for index, (depth, lr, decay, shortcut, seed) in enumerate(values):
        keys = {"optim__lr": lr, "optim__weight_decay": decay, "model__shortcut": shortcut}
        write_run(folder, f"r{index}", [90.0, 40.0, 6.0 + 0.11 * index], depth=depth, seed=seed, **keys, **REAL)


REPORTS = {
    "1 run": one_run,
    "9 networks": networks,
    "12 settings": settings,
    "45 runs, some unfinished": lambda folder: networks(folder, range(5), ("failed", "diverged", "interrupted")),
}


@pytest.fixture(scope="module", params=REPORTS)
def compiled(request, tmp_path_factory):
    """The folder of a report with its PDF, and what LaTeX wrote."""
    folder = tmp_path_factory.mktemp("report")
    REPORTS[request.param](folder / "runs")
    aggregate([folder / "runs"], folder / "report", formats=["tex"])
    return folder / "report", compile_report(folder / "report")


def test_every_box_fits_and_every_reference_is_defined(compiled):
    _, said = compiled
    assert re.findall(r"Overfull[^\n]*", said) == []
    assert re.findall(r"(?:Reference|Citation)[^\n]* undefined", said) == []


def test_every_number_of_the_text_is_in_the_pdf(compiled):
    folder, _ = compiled
    shown = numbers(text_of(folder / "report.pdf"))
    for figure in (folder / "figures").glob("*.pdf"):
        shown -= numbers(text_of(figure))
    written = numbers(without_commands((folder / "report.tex").read_text("utf-8")))
    assert sum(written.values()) > 100
    assert written - shown == Counter()


def text_of(pdf):
    """A PDF's text, as far as it lies on its pages."""
    return subprocess.run([PDFTOTEXT, "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout


def without_commands(source):
    """The body without what it prints more than once, or only says to LaTeX."""
    body = source.partition(r"\begin{document}")[2]
    body = re.sub(r"\\endfirsthead.*?\\endhead", "", body, flags=re.S)
    body = re.sub(r"\\begin\{longtable\}\{.*\}", "", body)
    return re.sub(r"\\(room|roomforfigure|includegraphics|setlength|addtocounter)(\{[^}]*\})+", "", body)


def numbers(text):
    """How often each run of digits occurs; lines may break at the points and commas between them."""
    return Counter(re.findall(r"\d+", text))


def test_text_with_every_special_character_compiles(make_run, program, tmp_path):
    special = "<script>|`*_$\\%&#{}~^\"'± × ÷ → − ≤ “é” 漢"
    make_run("a", [50.0, 6.0], status={"device": special})
    make_run("b", [50.0], seed=1, state="failed", status={"reason": special})
    assert program("aggregate.py", "runs").returncode == 0
    compile_report(tmp_path / "runs/report")
