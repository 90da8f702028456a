"""Run folders that version 0.1.0 made before the code base was restructured keep their names, count, and continue.

`old_runs/` contains small runs on synthetic images: one per model, one with another recipe, and two that were
interrupted after the first of two epochs, one of them with AdamW by PyTorch 2.6, whose AdamW keeps fewer keys than
newer ones. Their paths, logs and the machine's name have been removed.
"""

import csv
import shutil
from pathlib import Path

import pytest

from cifar_resnet import load_run
from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.report.runs import load
from cifar_resnet.run.config import from_container
from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import config_hash, run_name
from cifar_resnet.run.states import State
from tests.conftest import work

OLD = Path(__file__).parent / "old_runs"
FINISHED = find_runs([OLD / "synthetic"])


def rows(run):
    return list(csv.DictReader(run.metrics.read_text().splitlines()))


def test_there_is_one_of_each_model_and_one_of_another_recipe():
    assert {run.path.parent.name for run in FINISHED} >= {f"{name}-8" for name in ("plain", "resnet", "preact")}
    assert any("optim=onecycle" in run.path.name for run in FINISHED)
    assert {run.read_config()["model"]["name"] for run in FINISHED} <= set(ARCHITECTURES)


@pytest.mark.parametrize("run", FINISHED, ids=lambda run: run.path.parent.name)
def test_its_folder_is_still_the_one_that_its_config_names(run):
    config = run.read_config()
    assert run_name(config, overridden(config)) == str(run.path.relative_to(OLD))
    assert config_hash(config) == run.read_status()["hash"]


@pytest.mark.parametrize("run", FINISHED, ids=lambda run: run.path.parent.name)
def test_it_is_finished_and_its_network_can_be_used(run):
    assert run.verify() == (State.FINISHED, None)
    loaded = load_run(run.path)
    assert loaded.config == from_container(run.read_config())
    assert len(loaded.metrics) == 2


def test_the_report_counts_all_of_them():
    runs = load.load([OLD / "synthetic"])
    assert len(runs.finished) == len(FINISHED) == 4
    assert not runs.unreadable


@pytest.mark.parametrize(("name", "step"), [("interrupted", 2), ("interrupted-torch-2.6", 3)])
def test_an_interrupted_one_continues_from_its_checkpoint(tmp_path, name, step):
    run = RunDir(tmp_path / "run")
    shutil.copytree(OLD / name, run.path)
    before, status = rows(run), run.read_status()
    assert run.verified_state() is State.INTERRUPTED
    done = work(run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"continues at step {step} of 4" in done.stdout
    assert run.verified_state() is State.FINISHED
    assert len(rows(run)) == 2
    assert rows(run)[0] == before[0]
    assert status["versions"] in [part["versions"] for part in run.read_status()["earlier"]]
