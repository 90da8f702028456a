"""The notebook, executed from top to bottom without a GPU, which takes as long as a small sweep and a report."""

import runpy

import pytest

from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.states import State

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook") / "runs"


@pytest.fixture(scope="module")
def program():
    return runpy.run_path(str(REPO_ROOT / "notebooks/execute.py"))


@pytest.fixture(scope="module")
def executed(program, outputs):
    notebook = program["execute"](outputs)
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


def text(cell) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def test_no_cell_complains(executed):
    kinds = {(output.output_type, output.get("name")) for cell in executed.values() for output in cell.outputs}
    assert kinds == {("stream", "stdout"), ("display_data", None)}
    said = "\n".join(text(cell) for cell in executed.values()).lower()
    assert [word for word in ("warning", "traceback", "error:", "failed") if word in said] == []


def test_the_nine_are_trained_where_the_outputs_are(executed, outputs):
    assert [run.recorded_state() for run in find_runs([outputs])] == [State.FINISHED] * 9
    assert "[9/9]" in text(executed["sweep"])


def test_the_report_is_shown_in_the_notebook(executed, outputs):
    (page,) = [output.data["text/html"] for output in executed["page"].outputs if "data" in output]
    assert page.startswith("<div><iframe srcdoc=")
    assert "9 finished runs" in page and "about:srcdoc" in page
    assert (outputs / "digits/report/report.html").exists()


def test_both_pictures_are_drawn(executed):
    for name in ("overview-picture", "own-picture"):
        assert [list(output.data).count("image/png") for output in executed[name].outputs] == [1]


def test_the_committed_notebook_is_valid_and_what_the_program_saves(executed, program):
    import nbformat

    committed = nbformat.read(program["NOTEBOOK"], as_version=4)
    nbformat.validate(committed)
    saved = nbformat.from_dict({**committed, "cells": list(executed.values())})
    program["keep_pictures"](saved)
    nbformat.validate(saved)
    for cell, other in zip((cell for cell in committed.cells if cell.cell_type == "code"), saved.cells, strict=True):
        cell.outputs, other.outputs = len(cell.outputs), len(other.outputs)  # pixels differ from machine to machine
        assert cell == other
