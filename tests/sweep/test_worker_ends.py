"""How the parent waits for a run's worker, ends it, and says how it ended. No process starts."""

import os
import signal
import subprocess
from types import SimpleNamespace

import pytest

from cifar_resnet.errors import BusyError, ExitCode, RunError
from cifar_resnet.run.folder import RunDir, State
from cifar_resnet.sweep import launch
from cifar_resnet.sweep.control import Control
from tests.sweep.conftest import Exited, finish


class Stubborn:
    """A worker that trains on for so many polls, whatever it is told, unless it is killed."""

    def __init__(self, polls=10):
        self.polls, self.heard = polls, []

    def wait(self, timeout=None):
        if "kill" in self.heard:
            return -signal.SIGKILL
        self.polls -= 1
        if self.polls <= 0 or timeout is None:
            return 0
        raise subprocess.TimeoutExpired("worker", timeout)

    def terminate(self):
        self.heard.append("terminate")

    def kill(self):
        self.heard.append("kill")


def test_nobody_disturbs_a_worker(sweep):
    worker = Stubborn()
    assert launch._wait(worker, sweep) == 0
    assert worker.heard == []


def test_the_first_ctrl_c_asks_the_worker_once_to_end(sweep):
    worker = Stubborn()
    sweep.stop()
    assert launch._wait(worker, sweep) == 0
    assert worker.heard == ["terminate"]


def test_the_second_ctrl_c_kills_a_worker_that_ignores_the_first(sweep, interruptible):
    sweep.listen()
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    worker = Stubborn()
    assert launch._wait(worker, sweep) == -signal.SIGKILL
    assert worker.heard == ["terminate", "kill"]


def test_a_job_whose_sweep_is_gone_ends_its_worker_and_itself(sweep, no_main):
    worker = Stubborn()
    with pytest.raises(Exited) as exited:
        launch._wait(worker, sweep)
    assert exited.value.args == (ExitCode.INTERRUPTED,)
    assert worker.heard == ["terminate"]


def test_ctrl_c_lets_the_worker_of_a_single_run_write_its_checkpoint():
    answers = iter([KeyboardInterrupt, KeyboardInterrupt, ExitCode.INTERRUPTED])

    def wait():
        answer = next(answers)
        if answer is KeyboardInterrupt:
            raise KeyboardInterrupt
        return answer

    assert launch._wait_alone(SimpleNamespace(wait=wait)) == ExitCode.INTERRUPTED


def test_a_run_whose_folder_cannot_be_written_fails_by_the_files_name(
    run, values, started, control, monkeypatch, capsys
):
    def refuse(self, config):
        raise OSError(28, "No space left on device", str(self.config))

    monkeypatch.setattr(RunDir, "write_config", refuse)
    reason = "No space left on device while writing config.yaml"
    if control is None:
        with pytest.raises(RunError, match=reason):
            launch.train(run, values, control, 0)
        return
    assert launch.train(run, values, control, 0) == ExitCode.FAILED
    assert list(control.notes()) == [(run, {"reason": reason})]
    assert f"failed: {reason}" in capsys.readouterr().out


def died(run):
    """Does what a worker does that is killed while it trains: it leaves its run running."""
    run.update_status(state=State.RUNNING)


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [
        (-signal.SIGKILL, State.FAILED, "killed by signal 9: out of memory?"),
        (-signal.SIGSEGV, State.FAILED, "killed by signal 11 (SIGSEGV)"),
        (-signal.SIGTERM, State.INTERRUPTED, "killed by signal 15 (SIGTERM)"),
        (-signal.SIGINT, State.INTERRUPTED, "killed by signal 2 (SIGINT)"),
        (7, State.FAILED, "ended with exit code 7"),
    ],
)
def test_a_worker_that_dies_leaves_a_reason(run, values, started, sweep, capsys, code, state, reason):
    started.work, started.code = died, code
    assert launch.train(run, values, sweep, 0) == code
    status = run.read_status()
    assert (status["state"], status["reason"]) == (state, reason)
    assert "finished" in status  # when
    assert f"{state}: {reason}" in capsys.readouterr().out


def test_a_worker_that_a_stopped_sweep_kills_is_interrupted_and_not_failed(run, values, started, sweep):
    started.work, started.code = lambda run: (died(run), sweep.stop()), -signal.SIGKILL
    launch.train(run, values, sweep, 0)
    assert run.verified_state() is State.INTERRUPTED


def test_a_run_that_somebody_else_has_taken_up_since_keeps_its_state(run, values, started, sweep, monkeypatch):
    def busy(self, timeout=0):
        raise BusyError

    started.work, started.code = lambda run: (died(run), monkeypatch.setattr(RunDir, "lock", busy)), 1
    assert launch.train(run, values, sweep, 0) == 1
    assert run.read_status()["state"] == State.RUNNING


def test_a_death_that_the_folder_has_no_room_for_is_noted(run, values, started, sweep, monkeypatch):
    started.work, started.code = died, 1

    def refuse(self, **fields):
        raise OSError(28, "No space left on device", str(self.status))

    started.work = lambda run: (died(run), monkeypatch.setattr(RunDir, "update_status", refuse))
    assert launch.train(run, values, sweep, 0) == 1
    assert list(sweep.notes()) == [(run, {"reason": "ended with exit code 1"})]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ({"test_error": 12.345}, "finished: final test error 12.35 %, 61 s"),
        ({"test_error": 12.345, "val_error": 3.0}, "finished: final validation error 3.00 %, 61 s"),
    ],
)
def test_the_end_of_a_run_is_said_with_its_error(run, values, started, sweep, capsys, outcome, said):
    started.work = lambda run: (finish(run), run.update_status(outcome=outcome))
    launch.train(run, values, sweep, 1)
    assert f"[2/3] resnet-8 {run.path.name}: {said}\n" in capsys.readouterr().out


def test_a_live_table_is_not_torn_by_lines(run, values, started, sweep, capsys):
    live = Control(sweep.folder, sweep.main, sweep.size, live=True)
    launch.train(run, values, live, 0)
    assert capsys.readouterr().out == ""


def test_a_single_run_lets_its_worker_speak(run, values, started, capsys):
    launch.train(run, values, None, 0)
    assert capsys.readouterr().out == ""


def test_runs_of_a_search_are_numbered_without_a_total(run, values, started, sweep, capsys):
    search = Control(sweep.folder, sweep.main, 0, live=False)
    launch.train(run, values, search, 4)
    assert "[5/?] " in capsys.readouterr().out
