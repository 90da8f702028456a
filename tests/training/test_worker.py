"""The worker process, started by hand: it fills its folder, stops when asked, and goes on where it stopped."""

import csv
import json
import signal
import time

import torch

from cifar_resnet.errors import ExitCode
from cifar_resnet.run_dir import RunDir
from tests.training.conftest import finish, start


def metrics(run: RunDir):
    rows = list(csv.DictReader(run.metrics.open()))
    return [{name: x for name, x in row.items() if "second" not in name} for row in rows]


def test_fills_its_folder_and_ends_with_one_line_of_results(make_folder):
    run = make_folder("a")
    lines = finish(run).splitlines()
    assert lines[0].startswith("epoch 1/2  lr 0.1  train loss ")
    assert lines[-1].startswith("final test error ")
    assert str(run.path) in lines[-1]
    status = json.loads(run.status.read_text())
    expected = {"state", "started", "finished", "versions", "commit", "data", "device", "threads", "parameters"}
    assert expected <= set(status)
    assert status["data"]["train_images"] == 64
    assert len(status["data"]["mean"]) == 3
    assert status["outcome"]["test_error"] == float(metrics(run)[-1]["test_error"])


def test_a_run_stopped_twice_continues_to_the_same_weights(make_folder):
    long = ["optim.epochs=80", "optim.batch_size=8"]
    whole, stopped = make_folder("whole", *long), make_folder("stopped", *long)
    for number in (signal.SIGTERM, signal.SIGINT):
        stopped.metrics.unlink(missing_ok=True)  # it is written anew at the end of the next epoch
        worker = start(stopped)
        deadline = time.monotonic() + 60
        while not stopped.metrics.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        worker.send_signal(number)
        assert worker.wait(60) == ExitCode.INTERRUPTED
        status = stopped.read_status()
        assert (status["state"], status["reason"]) == ("interrupted", f"stopped by {number.name}")
        assert 0 < len(metrics(stopped)) < 80
    assert "continues at step" in finish(stopped)
    finish(whole)
    assert metrics(whole) == metrics(stopped)
    a, b = (torch.load(run.final, weights_only=True) for run in (whole, stopped))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_finished_run_is_left_as_it_is(make_folder):
    run = make_folder("a")
    finish(run)
    before = run.checkpoint.stat().st_mtime_ns
    assert "finished before; skipped" in finish(run)
    assert run.checkpoint.stat().st_mtime_ns == before


def test_a_busy_run_is_left_alone(make_folder):
    run = make_folder("a")
    with run.lock():
        worker = start(run)
        assert worker.wait(60) == ExitCode.BUSY
    assert not run.status.exists()
