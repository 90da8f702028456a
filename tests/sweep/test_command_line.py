"""`train.py` as a user runs it: a sweep end to end, a run continued, and mistakes in one line."""

import csv
import json

import pytest

from tests.conftest import TINY, tree


def statuses(folder):
    return [json.loads(path.read_text()) for path in sorted((folder / "outputs").rglob("run.json"))]


@pytest.mark.parametrize("launcher", ["joblib", "basic"])
def test_a_sweep_of_two_trains_both_and_the_same_command_skips_both(program, tmp_path, launcher):
    command = ["train.py", "-m", "model=plain,resnet", f"hydra/launcher={launcher}", *TINY]
    done = program(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [status["state"] for status in statuses(tmp_path)] == ["finished"] * 2
    for path in (tmp_path / "outputs").rglob("metrics.csv"):
        rows = list(csv.DictReader(path.open()))
        assert [row["epoch"] for row in rows] == ["1", "2"]
        assert {"config.yaml", "run.json", "checkpoint.pt", "final.pt", "run.log"} <= {
            p.name for p in path.parent.iterdir()
        }
    assert "2 finished before, 0 to train" in program(*command).stdout


def test_one_diverging_run_does_not_stop_the_other(program, tmp_path):
    done = program("train.py", "-m", "optim.lr=1e30,0.01", "optim.batch_size=8", *TINY)
    assert done.returncode == 1
    assert sorted(status["state"] for status in statuses(tmp_path)) == ["diverged", "finished"]
    assert "the training loss is not finite at step" in done.stdout


def test_holdout_reports_its_split_each_epoch_and_the_test_set_once(program, tmp_path):
    done = program("train.py", "data.holdout=20", *TINY)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "outputs").rglob("metrics.csv")
    rows = list(csv.DictReader(path.open()))
    assert [row["test_error"] != "" for row in rows] == [False, True]
    assert all(row["val_error"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["depth=21"], "nearest are 20 and 26"),
        (["depth=twenty"], "6n+2"),
        (["optim.lr=nan"], "a number above 0"),
        (["optim.warmup=later"], "auto, none or a number of iterations"),
        (["model=resnt"], "expected one of plain, preact, resnet"),
        (["optim=null"], "give each group the name of one of its options"),
        (["optim.lrr=1"], "did you mean optim.lr?"),
        (["-m", "depth=20,21"], "nearest are 20 and 26"),
        (
            ["-m", "sweeps=nope"],
            "sweeps=nope: expected one of augmentation, demo, depths, holdout, init, lr, nine, quick, search, seeds, ",
        ),
        (["-m", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs=0"),
    ],
)
def test_a_mistake_is_one_line_exit_code_2_and_nothing_written(program, tmp_path, arguments, message):
    done = program("train.py", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert tree(tmp_path) == []


def test_help_shows_groups_keys_and_examples(program):
    text = program("train.py", "--help").stdout
    assert "model: plain, preact, resnet" in text
    assert "batch_size: 128" in text
    assert text.count("python train.py ") == 3
