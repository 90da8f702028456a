"""The report's LaTeX compiles with Debian's smallest TeX Live installation."""

import re
import shutil
import subprocess

import pytest

from cifar_resnet.architectures import ARCHITECTURES

PDFLATEX = shutil.which("pdflatex")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        PDFLATEX is None, reason="needs pdflatex: apt-get install texlive-latex-base texlive-latex-recommended"
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


def test_the_report_compiles_without_undefined_references_or_wide_lines(make_run, program, tmp_path):
    for model in ARCHITECTURES:
        for depth in (20, 56, 110):
            make_run(f"{model}-{depth}", [90.0, 40.0, 5.0 + depth / 50], model=model, depth=depth)
    assert program("aggregate.py", "runs").returncode == 0
    said = compile_report(tmp_path / "runs/report")
    assert "undefined" not in said
    # Half a centimeter beyond the margin is visible; less is not.
    assert [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", said) if float(points) > 14] == []


def test_text_with_every_special_character_compiles(make_run, program, tmp_path):
    special = "<script>|`*_$\\%&#{}~^\"'± × ÷ → − ≤ “é” 漢"
    make_run("a", [50.0, 6.0], status={"device": special})
    make_run("b", [50.0], seed=1, state="failed", status={"reason": special})
    assert program("aggregate.py", "runs").returncode == 0
    compile_report(tmp_path / "runs/report")
