"""`train.py` as a user runs it: a sweep from end to end, the same command again, and the help."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cifar_resnet import load_run
from cifar_resnet.errors import RunError
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.states import State
from tests.conftest import ONE_BY_ONE, TINY, run_program

SWEEP = ["-m", "model=plain,resnet", *TINY]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A folder with the outputs of SWEEP."""
    folder = tmp_path_factory.mktemp("swept")
    for name in ("torch", "joblib", "json"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported from the working folder')")
    done = run_program(folder, "train.py", *SWEEP)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def states(folder):
    return sorted(run.verified_state().value for run in find_runs([folder / "outputs"]))


def test_a_sweep_of_two_trains_both(swept):
    assert states(swept) == ["finished"] * 2
    for run in find_runs([swept / "outputs"]):
        rows = list(csv.DictReader(run.metrics.open()))
        assert [row["epoch"] for row in rows] == ["1", "2"]
        expected = {"config.yaml", "run.json", "checkpoint.pt", "final.pt", "run.log"}
        assert expected <= {path.name for path in run.path.iterdir()}


@pytest.mark.parametrize("launcher", [ONE_BY_ONE, "hydra/launcher=basic"])
def test_the_same_command_skips_both(swept, train_py, launcher):
    done = train_py(*SWEEP, f"out={swept}/outputs", launcher)
    assert "2 finished before, 0 to train" in done.stdout


def test_a_sweep_replaces_another_users_record_of_one(swept, train_py, tmp_path, monkeypatch):
    shutil.copytree(swept / "outputs", tmp_path / "outputs")
    record, user = tmp_path / "outputs/multirun.yaml", os.getuid()
    record.write_text("theirs")
    os.link(record, tmp_path / "theirs")
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    done = train_py(*SWEEP, "hydra/launcher=basic")
    assert done.returncode == 0, done.stdout + done.stderr
    # Only root could have written to it.
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert record.read_text().startswith("hydra:")


def test_a_sweep_placed_by_hydra_names_its_folder_and_writes_nowhere_else(swept, train_py, tmp_path):
    shutil.copytree(swept / "outputs", tmp_path / "my place")
    done = train_py(*SWEEP, "hydra/launcher=basic", "hydra.sweep.dir=my place")
    assert done.stdout.endswith("tables and figures: python aggregate.py 'my place'\n"), done.stdout + done.stderr
    assert "2 finished before, 0 to train" in done.stdout
    assert not (tmp_path / "outputs").exists()


def test_damaged_files_of_a_finished_run_are_restored_from_its_checkpoint(swept, train_py, tmp_path):
    shutil.copytree(swept / "outputs", tmp_path / "outputs")
    plain, resnet = find_runs([tmp_path / "outputs"])
    whole = plain.metrics.read_text()
    plain.metrics.write_text(whole[:100])
    resnet.status.write_text('{"state": "fini')
    with pytest.raises(RunError, match="run its training command again to continue it"):
        load_run(resnet.path)
    done = train_py(*SWEEP, "hydra/launcher=basic")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "interrupted (its metrics.csv is not the one that it finished with); will continue" in done.stdout
    assert f"interrupted ({resnet.status} can't be read: Unterminated string" in done.stdout
    assert "it is made again from the checkpoint" in resnet.log.read_text()
    assert plain.metrics.read_text() == whole
    assert states(tmp_path) == ["finished"] * 2
    assert load_run(resnet.path).run == resnet
    assert plain.log.read_text().count("epoch 1/2") == 1


def test_results_are_kept_if_what_a_run_lacks_cannot_be_added(swept, train_py, tmp_path):
    shutil.copytree(swept / "outputs", tmp_path / "outputs")
    plain, _ = find_runs([tmp_path / "outputs"])
    for path in (plain.final, plain.checkpoint):
        path.write_bytes(path.read_bytes()[:-1])
    plain.previous_checkpoint.unlink(missing_ok=True)
    failed = "it has finished, but adding what it lacks failed: "
    done = train_py(*SWEEP, "hydra/launcher=basic")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count(f"s; {failed}") == 1
    single = train_py(*TINY, "model=plain")
    assert single.returncode == 2
    reason = f"{plain.checkpoint} is damaged: its checksum doesn't match its content"
    assert f"{reason}; delete {plain.path} to train the run from the start" in single.stderr
    state, reason = plain.verify()
    assert state is State.FINISHED and reason.startswith(failed)
    plain.checkpoint.unlink()
    assert train_py(*SWEEP, "hydra/launcher=basic").returncode == 0


def test_diagnostics_requested_later_are_added_to_finished_runs(swept, train_py, tmp_path):
    shutil.copytree(swept / "outputs", tmp_path / "outputs")
    one, _ = runs = find_runs([tmp_path / "outputs"])
    weights = one.final.read_bytes()
    done = train_py(*SWEEP, "diagnostics.enabled=true", ONE_BY_ONE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 runs: 2 finished without diagnostics, 0 to train" in done.stdout
    assert done.stdout.count("finished before; adding its diagnostics") == 2
    assert all(run.diagnostics.exists() for run in runs)
    assert one.final.read_bytes() == weights


@pytest.mark.parametrize("launcher", [ONE_BY_ONE, "hydra/launcher=basic"])
def test_one_diverging_run_does_not_stop_the_other(train_py, tmp_path, launcher):
    sweep = ["-m", "optim.lr=1e30,0.01", "optim.batch_size=8", launcher]
    done = train_py(*sweep, *TINY)
    assert done.returncode == 1
    assert states(tmp_path) == ["diverged", "finished"]
    assert "the training loss is not finite at step" in done.stdout


def test_help_shows_groups_keys_and_examples(train_py):
    text = train_py("--help").stdout
    assert "model: plain, preact, resnet" in text
    assert "batch_size: 128" in text
    assert text.count("python train.py ") == 3


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["single", "sweep"])
def test_a_full_disk_behind_the_output_changes_nothing(swept, tmp_path, sweep):
    shutil.copytree(swept / "outputs", tmp_path / "outputs")
    _, resnet = find_runs([tmp_path / "outputs"])
    resnet.update_status(state="diverged")
    arguments = [*sweep, f"model={'plain,' if sweep else ''}resnet", *TINY, "hydra/launcher=basic"]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, str(REPO_ROOT / "train.py"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1 if sweep else 0, "")
