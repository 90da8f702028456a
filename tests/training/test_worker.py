"""A run's worker writes its folder, stops when asked, and continues where it stopped."""

import csv
import dataclasses
import errno
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest
import torch

from cifar_resnet.datasets import DATASETS
from cifar_resnet.errors import ExitCode
from cifar_resnet.run.config import from_container
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import JOB_VARIABLE, RunDir
from cifar_resnet.run.identity import config_hash
from cifar_resnet.run.states import PARENT_GONE, State, stopped_by
from cifar_resnet.status.table import read_row
from cifar_resnet.training import describe, worker
from cifar_resnet.training.data import load
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
    """Makes the worker receive this signal after this many steps."""
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
        assert (status["state"], status["reason"]) == ("interrupted", stopped_by(number))
        assert len(metrics(stopped)) == epochs
    output = finish(stopped)
    assert "continues at step" in output
    assert f", {stopped.read_status()['seconds']:.1f} s, {stopped.path}" in output  # of the whole run
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


@pytest.mark.parametrize("known", [None, "eager"])
def test_kernels_that_were_not_recorded_stay_unknown(known):
    made_by = {"commit": "a", "device": "GPU", "threads": 1, "versions": {}}
    now = made_by | {"device": "CPU", "kernels": "fused"}
    before = made_by | {"kernels": known}
    assert describe.earlier(made_by, now, known) == [before]
    # A part before that one may have had others.
    older = made_by | {"commit": "older"}
    assert describe.earlier(made_by | {"earlier": [older]}, now, known) == [older | {"kernels": None}, before]
    # What isn't known is no difference.
    assert describe.earlier(made_by | {"device": "CPU"}, now, None) == []


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


@pytest.mark.parametrize("damage", ["changed", "absent"])
def test_a_damaged_record_of_a_finished_run_is_made_again(make_folder, monkeypatch, damage):
    run = make_folder("a", "data.holdout=20", "optim.batch_size=8", "optim.lr=0.01")
    for commit in ("first", "second"):
        monkeypatch.setattr(describe, "git_commit", lambda commit=commit: commit)
        with monkeypatch.context() as patch:
            signalled(patch, signal.SIGTERM, 1)
            work(run)
    run.update_status(started="2026-01-01T00:00:00+00:00")
    finish(run)
    before, row = run.read_status(), read_row(run)
    assert [part["commit"] for part in before["earlier"]] == ["first"]
    run.status.write_text('{"state": "fin') if damage == "changed" else run.status.unlink()
    finish(run)
    times = {"finished", "updated"}
    assert {key: run.read_status()[key] for key in before.keys() - times} == {
        key: before[key] for key in before.keys() - times
    }
    assert read_row(run) == row
    assert "finished before; skipped" in finish(run)


def test_a_busy_run_is_left_alone(make_folder):
    run = make_folder("a")
    with run.lock():
        assert work(run).returncode == ExitCode.BUSY
    assert not run.status.exists()


def test_the_seconds_of_a_run_are_those_of_training_and_evaluation(make_folder):
    run = make_folder("a", "data.test_size=600")  # so that evaluation takes measurable time, too
    finish(run)
    rows = list(csv.DictReader(run.metrics.open()))
    spent = [float(row["train_seconds"]) + float(row["test_seconds"]) for row in rows]
    assert all(float(row["test_seconds"]) > 0 for row in rows)
    assert run.read_status()["seconds"] == pytest.approx(sum(spent), abs=1e-9)


@pytest.mark.parametrize("name", ["checkpoint", "final", "metrics", "diagnostics", "predictions", "status"])
def test_what_a_killed_process_left_half_written_is_removed(make_folder, monkeypatch, name):
    run = make_folder("a")
    left = run.path / f".{getattr(run, name).name}.x7k2"
    left.write_bytes(b"half")
    monkeypatch.setattr(worker, "train", lambda *arguments: State.INTERRUPTED)
    work(run)
    assert not left.exists()
    assert run.config.exists()


def test_a_divergence_is_the_runs_state_with_its_step(make_folder):
    run = make_folder("a", "optim.lr=1e30")
    done = work(run)
    assert done.returncode == ExitCode.FAILED
    status = run.read_status()
    assert (status["state"], "outcome" in status) == ("diverged", False)
    assert re.fullmatch(r"the training loss is not finite at step \d+ \(epoch \d+\)", status["reason"])
    assert done.stderr == f"diverged: {status['reason']}\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("a bug"), "KeyError: 'a bug'"),
        (MemoryError("1 TB"), "out of memory: 1 TB"),
        (RuntimeError("[enforce fail] can't allocate memory"), "out of memory: [enforce fail] can't allocate memory"),
        (OSError(errno.ENOSPC, "No space left", "/a/final.pt"), "no space left on device while writing final.pt"),
    ],
)
def test_a_fault_is_the_runs_reason_and_its_traceback_is_in_the_log(make_folder, monkeypatch, error, reason):
    def fail(*arguments, **options):
        raise error

    run = make_folder("a")
    monkeypatch.setattr(worker, "load", fail)
    assert work(run).returncode == ExitCode.FAILED
    assert (run.read_status()["state"], run.read_status()["reason"]) == ("failed", reason)
    assert "Traceback" in run.log.read_text()


def test_a_run_whose_parent_is_gone_stops_after_a_step_with_a_checkpoint(make_folder, monkeypatch):
    run = make_folder("a")
    monkeypatch.setattr(worker.os, "getppid", lambda: 1)
    done = work(run, "--parent", "12345", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.INTERRUPTED, "", "")
    assert run.read_status()["reason"] == PARENT_GONE
    assert run.read_status()["progress"]["step"] == 1
    assert run.checkpoint.exists()


@pytest.mark.parametrize("image_size", [4, 5])
def test_batches_with_one_value_per_channel_are_one_line(make_folder, monkeypatch, image_size):
    run = make_folder("a", f"data.image_size={image_size}", "optim.batch_size=1", "optim.epochs=1", "data.train_size=8")
    # As for data whose sizes are known only from their files.
    monkeypatch.setitem(DATASETS, "synthetic", dataclasses.replace(DATASETS["synthetic"], sizes=None))
    done = work(run)
    assert done.returncode == (2 if image_size == 4 else 0), done.stderr
    assert ("too few for batch norm" in done.stderr) == (image_size == 4)
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_to_is_one_line(make_folder, monkeypatch, number):
    run = make_folder("a")

    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number), "run.lock")

    monkeypatch.setattr("cifar_resnet.run.locks.hold", refuse)
    done = work(run)
    assert done.returncode == ExitCode.USER
    assert done.stderr == f"error: {run.path} can't be written to ({os.strerror(number)}); copy it to train it\n"


def test_the_record_says_who_trained_what_on_which_images(make_folder, monkeypatch):
    monkeypatch.setenv(JOB_VARIABLE, "12_3")
    run = make_folder("a", "data.holdout=16", "optim.epochs=1")
    finish(run)
    config = from_container(run.read_config())
    dataset, status = load(config.data, config.seed), run.read_status()
    assert (status["pid"], status["host"], status["job"]) == (os.getpid(), socket.gethostname(), "12_3")
    assert status["hash"] == config_hash(run.read_config())
    assert (status["threads"], status["parameters"]) == (1, 75_290)
    assert status["data"] == {
        "name": "synthetic",
        "kind": "synthetic",
        "fingerprint": dataset.fingerprint,
        "identity": None,  # there is only one such data set
        "train_images": 48,
        "val_images": 16,
        "test_images": 32,
        "classes": 10,
        "class_names": list(dataset.classes),
        "mean": list(dataset.mean),
        "std": list(dataset.std),
        "image_shape": [8, 8, 3],
        "is_cifar10": False,
    }
