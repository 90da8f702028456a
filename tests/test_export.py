"""What a tracker gets of run folders, with a fake tracker; tests/integration has the real ones."""

import importlib.util

import pytest

from cifar_resnet.errors import ConfigError, RunError
from cifar_resnet.export import __main__ as export
from cifar_resnet.export import record
from cifar_resnet.run.files import MOST_BYTES, digest
from cifar_resnet.run.states import State
from tests.report.conftest import write_run

STARTED = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def make(tmp_path):
    def make(name, errors, state="finished", **options):
        return write_run(tmp_path / "outputs", name, errors, state=state, status={"started": STARTED}, **options)

    return make


class Remembering:
    def __init__(self):
        self.records, self.reports = {}, []

    def add(self, found):
        outcome = (
            "unchanged" if self.records.get(found.key) == found else "updated" if found.key in self.records else "new"
        )
        self.records[found.key] = found
        return outcome

    def add_report(self, folder):
        self.reports.append(folder)
        return "unchanged"


def test_a_record_has_the_runs_identity_results_and_times(make):
    run = make("seed3", [30.0, 20.0], seed=3, optim__lr=0.05)
    found = record.read(run)
    assert (found.name, found.group, found.state) == ("resnet-20/seed3", "resnet-20", State.FINISHED)
    assert found.key == f"{found.tags['hash']}-20260102T030405"
    assert (found.params["optim.lr"], found.params["seed"], found.params["model.name"]) == (0.05, 3, "resnet")
    assert not [key for key in found.params if key.startswith(("runtime", "out", "diagnostics"))]
    assert (found.tags["state"], found.tags["reason"], found.tags["device"]) == ("finished", "", "a CPU")
    assert [(row["epoch"], row["test_error"], row["train_error"]) for row in found.rows] == [(1, 30, 31), (2, 20, 21)]
    # An epoch of these takes 2 seconds to train on, and 1 to test.
    assert [time - found.started for time in found.times] == [3, 6]
    assert set(found.attachments()) == {"config.yaml", "run.json", "metrics.csv"}


@pytest.mark.parametrize("state", list(State))
def test_files_are_attached_once_the_run_is_over(make, state):
    found = record.read(make("run", [30.0], state=state.value))
    assert bool(found.attachments()) is (state in (State.FINISHED, State.FAILED, State.DIVERGED))


def test_large_weights_are_attached(make):
    run = make("run", [30.0])
    with run.final.open("wb") as file:
        file.truncate(MOST_BYTES + 1)  # takes no space on the disk
    first = record.read(run).attachments()
    assert set(first) == {"config.yaml", "run.json", "metrics.csv", "final.pt"}
    with run.final.open("r+b") as file:
        file.seek(MOST_BYTES)
        file.write(b"x")
    assert record.read(run).attachments()["final.pt"] != first["final.pt"]


def test_files_keep_their_digests(make):
    run = make("run", [30.0])
    assert record.digests([run.metrics]) == {"metrics.csv": digest(run.metrics)}


def test_a_run_that_has_not_started_is_not_there_yet(tmp_path):
    assert record.read(write_run(tmp_path, "run", [], state="pending")) is None


def test_the_history_tells_other_results_but_not_other_times(make):
    before = record.read(make("run", [30.0, 20.0]))
    slower = make("run", [30.0, 20.0, 10.0])
    slower.metrics.write_text(slower.metrics.read_text().replace(",2,1,100\n", ",5,4,33\n"))
    other = make("other", [30.0, 21.0, 10.0])
    assert record.read(slower).history(2) == before.history(2)
    assert record.read(slower).times != before.times
    assert record.read(other).history(2) != before.history(2)
    assert record.read(other).history(1) == before.history(1)


def test_what_can_not_be_read_is_left_out_and_said(make, tmp_path, capsys):
    make("good", [30.0])
    damaged = make("damaged", [30.0], seed=1)
    damaged.status.write_text("{")
    tracker = Remembering()
    assert export.export([tmp_path / "outputs"], tracker) == 1
    printed = capsys.readouterr()
    assert [found.name for found in tracker.records.values()] == ["resnet-20/good"]
    assert "run.json" in printed.err and len(printed.err.splitlines()) == 1
    assert printed.out.splitlines()[-1] == "2 runs: 1 new, 1 unreadable"
    assert tracker.reports == [tmp_path / "outputs" / "report"]
    assert export.export([tmp_path / "outputs"], tracker) == 1
    assert capsys.readouterr().out.splitlines() == ["2 runs: 1 unchanged, 1 unreadable"]


def test_one_run_is_not_called_runs(make, tmp_path, capsys):
    make("good", [30.0])
    export.export([tmp_path / "outputs"], Remembering())
    assert capsys.readouterr().out.splitlines()[-1] == "1 run: 1 new"


def test_a_damaged_table_is_named(make):
    run = make("damaged", [30.0])
    run.metrics.write_text(run.metrics.read_text().replace("\n", "\nabc", 1))
    with pytest.raises(RunError) as error:
        record.read(run)
    assert str(error.value) == f"{run.metrics} can't be read: could not convert string to float: 'abc1'"


def test_watching_adds_what_is_new_and_survives_a_server_that_is_down(make, tmp_path, capsys):
    make("first", [30.0])
    tracker, paused = Remembering(), []

    def pause(seconds):
        paused.append(seconds)
        if len(paused) == 1:
            make("second", [30.0], seed=1)
        if len(paused) == 3:
            raise KeyboardInterrupt

    def add_report(folder):
        if len(paused) == 1:
            raise ConfigError("the server is down")

    tracker.add_report = add_report
    export.watch([tmp_path / "outputs"], tracker, pause)
    printed = capsys.readouterr()
    assert printed.err == "trying again in 30 seconds: the server is down\n"
    assert [found.name for found in tracker.records.values()] == ["resnet-20/first", "resnet-20/second"]
    assert paused == [30.0] * 3


@pytest.mark.parametrize("name", export.TRACKERS)
def test_a_tracker_that_is_not_installed_is_one_line(make, tmp_path, monkeypatch, capsys, name):
    make("run", [30.0])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert export.main([str(tmp_path), "--to", name]) == 2
    assert capsys.readouterr().err.startswith(f"error: --to {name}: {name} is not installed; expected the extra")


def test_a_folder_without_runs_is_one_line(tmp_path, capsys):
    assert export.main([str(tmp_path), "--to", "mlflow"]) == 2
    assert "no run folder" in capsys.readouterr().err
