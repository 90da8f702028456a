"""The notebook as it is committed, and its choices on machines other than this one; tests/integration executes it."""

import base64
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pytest

from cifar_resnet.devices import Gpu
from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.report import command as report
from cifar_resnet.run.defaults import REPO_ROOT
from tests.report.conftest import write_run

NOTEBOOK = json.loads((REPO_ROOT / "notebooks/lab.ipynb").read_text(encoding="utf-8"))
CODE = {cell["id"]: cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"}


def has_picture(cell: dict) -> bool:
    return "picture" in cell["metadata"].get("tags", [])


def execute(name: str, variables: dict) -> dict:
    exec("".join(CODE[name]["source"]), variables)
    return variables


def test_two_small_pictures_are_the_only_output():
    assert [name for name, cell in CODE.items() if cell["outputs"]] == [n for n, c in CODE.items() if has_picture(c)]
    outputs = [output for cell in CODE.values() for output in cell["outputs"]]
    assert [list(output["data"]) for output in outputs] == [["image/png"]] * 2
    pictures = [base64.b64decode("".join(output["data"]["image/png"])) for output in outputs]
    assert all(picture.startswith(b"\x89PNG") and len(picture) < 60_000 for picture in pictures)


def test_nothing_else_is_left_from_running_it():
    assert {cell["execution_count"] for cell in CODE.values()} == {None}
    assert not [cell["id"] for cell in CODE.values() if "execution" in cell["metadata"]]
    assert {output["output_type"] for cell in CODE.values() for output in cell["outputs"]} == {"display_data"}


@pytest.fixture
def commands(monkeypatch):
    """The programs that the notebook starts, which only pretend to run."""
    started = []

    def run(command, **options):
        started.append(command)
        if command[:2] == ["git", "clone"]:
            Path(command[-1], "cifar_resnet").mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "")

    monkeypatch.setattr(subprocess, "run", run)
    return started


def not_installed(name: str):
    raise metadata.PackageNotFoundError(name)


PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", "."]


@pytest.mark.parametrize("is_installed", [True, False])
def test_it_clones_and_installs_what_is_missing_and_only_once(is_installed, commands, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if not is_installed:
        monkeypatch.setattr(metadata, "version", not_installed)
    assert execute("project", {"REPOSITORY": "address"})["project"] == tmp_path / "cifar-resnet"
    missing = [] if is_installed else [PIP]
    assert commands == [["git", "clone", "--quiet", "address", "cifar-resnet"], *missing]
    commands.clear()
    for folder in (tmp_path, tmp_path / "cifar-resnet"):  # a new session, and the same one
        monkeypatch.chdir(folder)
        assert execute("project", {"REPOSITORY": "address"})["project"] == tmp_path / "cifar-resnet"
        assert Path.cwd() == tmp_path / "cifar-resnet"
    assert commands == missing * 2


def test_in_a_clone_it_uses_that(commands, monkeypatch):
    monkeypatch.chdir(REPO_ROOT / "notebooks")
    assert execute("project", {"REPOSITORY": ""})["project"] == REPO_ROOT
    assert commands == []


def test_without_an_address_it_says_what_to_enter(commands, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="REPOSITORY is empty: enter the address"):
        execute("project", {"REPOSITORY": ""})
    assert commands == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "capabilities, precision", [([(7, 5)], "fp16"), ([(8, 0)], "bf16"), ([(9, 0), (7, 5)], "fp16"), ([], None)]
)
def test_the_settings_suit_the_gpus(capabilities, precision, tmp_path, monkeypatch):
    gpus = [Gpu(str(number), "", capability) for number, capability in enumerate(capabilities)]
    monkeypatch.setattr("cifar_resnet.devices.visible_gpus", lambda: gpus)
    monkeypatch.setattr(sys, "path", list(sys.path))
    chosen = execute("parameters", {})
    chosen |= {"OUTPUTS": str(tmp_path / "runs"), "project": REPO_ROOT, "sys": sys, "Path": Path}
    found = SimpleNamespace(**execute("settings", chosen))
    sweep = next(setting.removeprefix("sweeps=") for setting in found.settings if setting.startswith("sweeps="))
    assert (REPO_ROOT / f"sweeps/{sweep}.yaml").exists()
    assert [setting for setting in found.settings if setting.startswith("precision=")] == (
        [f"precision={precision}"] if precision else []
    )
    assert precision is None or precision in PRECISIONS
    assert found.runs == tmp_path / "runs" / ("cifar10" if precision else "digits")


@pytest.mark.parametrize("rates, rows", [((0.1,), [""]), ((0.1, 0.05), ["lr=0.05", "lr=0.1"])])
def test_the_figure_has_a_row_for_each_setting(rates, rows, tmp_path, monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    for rate in rates:
        write_run(tmp_path, f"run-{rate}", [30.0, 20.0], optim__lr=rate)
    assert report.main([str(tmp_path), "--format", "csv"]) == 0
    with matplotlib.rc_context():
        grid = execute("own-picture", {"runs": tmp_path})["grid"]
    assert sorted(grid.row_names) == rows
    assert {axes.get_ylabel() for axes in grid.axes.flat} == {"training error (%)"}
    matplotlib.pyplot.close(grid.figure)
