"""The time that a sweep may take: when it is over, the sweep stops as planned."""

from types import SimpleNamespace

import pytest

from cifar_resnet.errors import ConfigError
from cifar_resnet.run import durations
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import budget, callbacks
from cifar_resnet.sweep.budget import Budget
from tests.conftest import TINY


@pytest.fixture
def timers(monkeypatch):
    """Replaces timers: each is started and cancelled by name, and ends when the test calls it."""

    class Timer:
        def __init__(self, seconds, call, arguments):
            self.seconds, self.end, self.events = seconds, lambda: call(*arguments), []
            made.append(self)

        def start(self):
            self.events.append("started")

        def cancel(self):
            self.events.append("cancelled")

    made = []
    monkeypatch.setattr(budget.threading, "Timer", Timer)
    return made


@pytest.mark.parametrize("text", ["7", "7x", "h", "0s", "-1h", "1h 30m", "1.5h", "1H", "inf"])
def test_other_texts_are_no_length_of_time(text):
    assert durations.seconds_of(text) is None


def test_the_sweep_stops_when_its_time_is_over(sweep, timers, monkeypatch, capsys):
    clock = iter([100.0, 130.0])  # checking and compiling took half a minute
    monkeypatch.setattr(budget.time, "monotonic", lambda: next(clock))
    limit = Budget("2m")
    limit.start(sweep)
    assert (timers[0].seconds, timers[0].events) == (90.0, ["started"])
    assert not sweep.is_stopping()
    timers[0].end()
    assert sweep.why_stopping() == "runtime.stop_after=2m is over"
    assert "runtime.stop_after=2m is over; stopping: each run writes its checkpoint" in capsys.readouterr().err
    assert limit.has_stopped(sweep)
    assert timers[0].events == ["started", "cancelled"]


def test_a_sweep_that_was_stopped_before_is_not_stopped_by_its_time(sweep, timers, capsys):
    limit = Budget("2m")
    limit.start(sweep)
    sweep.stop("stopped by Ctrl-C")
    timers[0].end()
    assert not limit.has_stopped(sweep)
    assert capsys.readouterr().err == ""


def test_a_sweep_without_a_limit_has_no_timer(sweep, timers):
    limit = Budget(None)
    limit.start(sweep)
    assert timers == []
    assert not limit.has_stopped(sweep)


def test_a_sweep_has_one_limit():
    configs = [SimpleNamespace(runtime=SimpleNamespace(stop_after=value)) for value in (None, "1h")]
    with pytest.raises(ConfigError, match="expected one time for the whole sweep"):
        Budget.of(configs)


@pytest.mark.parametrize(
    ("states", "by_time", "is_well"),
    [
        ((State.FINISHED, State.INTERRUPTED, State.PENDING), True, True),
        ((State.FINISHED, State.INTERRUPTED, State.PENDING), False, False),
        ((State.FAILED, State.INTERRUPTED), True, False),
        ((State.DIVERGED, State.INTERRUPTED), True, False),
    ],
)
def test_a_sweep_that_ends_with_its_time_has_done_what_it_was_to_do(tmp_path, sweep, capsys, states, by_time, is_well):
    runs = [RunDir(tmp_path / f"d/resnet-8/seed{number}-1a") for number in range(len(states))]
    for run, state in zip(runs, states, strict=True):
        run.path.mkdir(parents=True)
        run.update_status(state=state)
    selected = callbacks.selection.ListedRuns.__new__(callbacks.selection.ListedRuns)
    selected._by_run = {run: SimpleNamespace(depth=8) for run in runs}
    limit = Budget("1h")
    sweep.stop(limit.reason if by_time else "stopped by Ctrl-C")
    machine = SimpleNamespace(runs_at_a_time=1, after_stop="stopped; run the same command again to continue")
    assert callbacks._ShownSweep(selected, machine, sweep, limit).end() is is_well
    assert capsys.readouterr().out.endswith("run the same command again to continue\n")


def test_on_slurm_the_jobs_have_a_limit_of_their_own(train_py, tmp_path):
    done = train_py("-m", "hydra/launcher=slurm", "runtime.stop_after=1h", *TINY)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "hydra.launcher.timeout_min" in done.stderr
