"""The programs' own options: the version, and the names that the help lists."""

import subprocess
import sys

import pytest

import cifar_resnet
from cifar_resnet.run.defaults import REPO_ROOT


def output_of(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=REPO_ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("program", [["train.py"], ["aggregate.py"], ["-m", "cifar_resnet"]], ids=" ".join)
def test_version_is_the_projects(program):
    assert output_of(*program, "--version") == f"cifar-resnet {cifar_resnet.__version__}\n"


def test_help_lists_every_sweep_and_launcher():
    words = output_of("train.py", "--help").replace(",", " ").split()
    for folder in ("sweeps", "conf/hydra/launcher"):
        names = {path.stem for path in (REPO_ROOT / folder).glob("*.yaml")}
        assert names and names <= set(words)


def test_help_lists_the_programs():
    text = output_of("-m", "cifar_resnet")
    assert all(name in text for name in ("train.py", "aggregate.py", "status", "evaluate", "diagnose"))
