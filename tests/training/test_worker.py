"""A run's worker fills its folder, stops when asked, and goes on where it stopped."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys

import torch

from cifar_resnet.errors import ExitCode
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import RunDir, State
from cifar_resnet.training import describe, worker
from tests.conftest import work
from tests.training.conftest import finish


def metrics(run: RunDir):
    rows = list(csv.DictReader(run.metrics.open()))
    return [{name: x for name, x in row.items() if "second" not in name} for row in rows]


def test_started_by_hand_it_fills_its_folder_and_ends_with_one_line_of_results(make_folder):
    run = make_folder("a")
    command = [sys.executable, "-m", "cifar_resnet.training.worker", str(run.path)]
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("epoch 1/2  lr 0.1  train loss ")
    assert lines[-1].startswith("final test error ")
    assert str(run.path) in lines[-1]
    status = json.loads(run.status.read_text())
    expected = {"state", "started", "finished", "versions", "commit", "data", "device", "threads", "parameters"}
    assert expected <= set(status)
    assert status["data"]["train_images"] == 64
    assert len(status["data"]["mean"]) == 3
    assert status["outcome"]["test_error"] == float(metrics(run)[-1]["test_error"])


def signalled(monkeypatch, number, step):
    """The worker gets this signal after so many steps of its."""
    steps, wanted = itertools.count(1), worker.StopRequest.wanted

    def receive(stop):
        if next(steps) == step:
            signal.raise_signal(number)
        return wanted(stop)

    monkeypatch.setattr(worker.StopRequest, "wanted", receive)


def test_a_run_stopped_twice_continues_to_the_same_weights(make_folder, monkeypatch):
    # Epochs of 8 steps: the first stop is within one, the second at the end of one.
    long = ["optim.epochs=4", "optim.batch_size=8"]
    whole, stopped = make_folder("whole", *long), make_folder("stopped", *long)
    for number, epochs in ((signal.SIGTERM, 1), (signal.SIGINT, 3)):
        with monkeypatch.context() as patch:
            signalled(patch, number, 12)
            assert work(stopped).returncode == ExitCode.INTERRUPTED
        status = stopped.read_status()
        assert (status["state"], status["reason"]) == ("interrupted", f"stopped by {number.name}")
        assert len(metrics(stopped)) == epochs
    assert "continues at step" in finish(stopped)
    finish(whole)
    assert metrics(whole) == metrics(stopped)
    a, b = (torch.load(run.final, weights_only=True) for run in (whole, stopped))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_names_every_commit_that_trained_a_part_of_it(make_folder, monkeypatch):
    run = make_folder("a", "optim.epochs=4", "optim.batch_size=8")
    earlier = {}
    for commit in ("first", "second", "second", "first"):
        monkeypatch.setattr(describe, "git_commit", lambda commit=commit: commit)
        with monkeypatch.context() as patch:
            signalled(patch, signal.SIGTERM, 4)
            work(run)
        status = run.read_status()
        assert status["commit"] == commit
        earlier[commit] = [part["commit"] for part in status["earlier"]]
    assert earlier == {"first": ["second"], "second": ["first"]}
    assert status["earlier"][0]["versions"] == status["versions"]
    for checkpoint in (run.checkpoint, run.previous_checkpoint):
        checkpoint.unlink(missing_ok=True)
    finish(run)
    assert run.read_status()["earlier"] == []


def test_a_run_that_goes_on_is_not_said_to_have_ended(make_folder, monkeypatch):
    run = make_folder("a")
    run.update_status(state="interrupted", finished="2026-01-01T00:00:00+00:00")
    seen = []
    monkeypatch.setattr(worker, "train", lambda run, *_: seen.append(run.read_status()) or State.INTERRUPTED)
    work(run)
    assert (seen[0]["state"], seen[0]["finished"]) == ("running", None)
    assert run.read_status()["finished"] > "2026-01-01T00:00:00+00:00"


def test_holdout_reports_its_split_each_epoch_and_the_test_set_once(make_folder):
    run = make_folder("a", "data.holdout=20")
    finish(run)
    rows = metrics(run)
    assert [row["test_error"] != "" for row in rows] == [False, True]
    assert all(row["val_error"] for row in rows)


def test_a_finished_run_is_left_as_it_is(make_folder):
    run = make_folder("a")
    finish(run)
    before = run.checkpoint.stat().st_mtime_ns
    assert "finished before; skipped" in finish(run)
    assert run.checkpoint.stat().st_mtime_ns == before


def test_a_busy_run_is_left_alone(make_folder):
    run = make_folder("a")
    with run.lock():
        assert work(run).returncode == ExitCode.BUSY
    assert not run.status.exists()
