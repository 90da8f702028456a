"""The programs' own options: the version, and the names that the help lists."""

import runpy
import sys

import pytest

import cifar_resnet
from cifar_resnet.__main__ import main
from cifar_resnet.run.defaults import REPO_ROOT
from tests.conftest import called


@pytest.mark.parametrize("program", ["train.py", "aggregate.py", "cifar_resnet/__main__.py"])
def test_version_is_the_projects(program, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program, "--version"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")  # restored after the test; train.py sets it
    done = called(lambda: runpy.run_path(str(REPO_ROOT / program), run_name="__main__"))
    assert (done.returncode, done.stdout) == (0, f"cifar-resnet {cifar_resnet.__version__}\n")


def test_help_lists_every_sweep_and_launcher(train_py):
    words = train_py("--help").stdout.replace(",", " ").split()
    for folder in ("sweeps", "conf/hydra/launcher"):
        names = {path.stem for path in (REPO_ROOT / folder).glob("*.yaml")}
        assert names and names <= set(words)


def test_help_lists_the_programs():
    text = called(lambda: main([])).stdout
    assert all(name in text for name in ("train.py", "aggregate.py", "status", "evaluate", "diagnose"))
