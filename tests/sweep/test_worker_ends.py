"""How the parent waits for a run's worker, stops it, and reports how it ended. No process is started."""

import os
import signal
import subprocess
from datetime import datetime
from types import SimpleNamespace

import pytest

from cifar_resnet.errors import BusyError, ExitCode, RunError
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import launch
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.control import Control, SingleRun
from tests.conftest import wait_for
from tests.sweep.conftest import Exited, finish


class Stubborn:
    """A worker that ignores requests to stop for a number of polls, unless it is killed."""

    def __init__(self, polls=10):
        self.polls, self.received = polls, []

    def wait(self, timeout=None):
        if "kill" in self.received:
            return -signal.SIGKILL
        self.polls -= 1
        if self.polls <= 0 or timeout is None:
            return 0
        raise subprocess.TimeoutExpired("worker", timeout)

    def terminate(self):
        self.received.append("terminate")

    def kill(self):
        self.received.append("kill")


def test_a_worker_is_left_alone_until_the_sweep_stops(sweep):
    worker = Stubborn()
    assert sweep.wait(worker) == 0
    assert worker.received == []


def test_the_first_ctrl_c_asks_the_worker_once_to_stop(sweep):
    worker = Stubborn()
    sweep.stop()
    assert sweep.wait(worker) == 0
    assert worker.received == ["terminate"]


def test_the_second_ctrl_c_kills_a_worker_that_ignores_the_first(sweep, interruptible):
    sweep.listen()
    for has_arrived in (sweep.is_stopping, sweep.is_stopping_now):
        os.kill(os.getpid(), signal.SIGINT)
        wait_for(has_arrived)  # another thread takes the signal
    worker = Stubborn()
    assert sweep.wait(worker) == -signal.SIGKILL
    assert worker.received == ["terminate", "kill"]


def test_a_job_whose_sweep_is_gone_stops_its_worker_and_itself(sweep, no_main):
    worker = Stubborn()
    with pytest.raises(Exited) as exited:
        sweep.wait(worker)
    assert exited.value.args == (ExitCode.INTERRUPTED,)
    assert worker.received == ["terminate"]


def test_ctrl_c_lets_the_worker_of_a_single_run_write_its_checkpoint():
    answers = iter([KeyboardInterrupt, KeyboardInterrupt, ExitCode.INTERRUPTED])

    def wait(timeout):
        answer = next(answers)
        if answer is KeyboardInterrupt:
            raise KeyboardInterrupt
        return answer

    assert SingleRun().wait(SimpleNamespace(wait=wait)) == ExitCode.INTERRUPTED


def test_a_folder_that_cannot_be_written_to_is_a_failure_that_names_the_file(
    run, values, started, control, monkeypatch, capsys
):
    def refuse(self, config):
        raise OSError(28, "No space left on device", str(self.config))

    monkeypatch.setattr(RunDir, "write_config", refuse)
    reason = "No space left on device while writing config.yaml"
    if control == SingleRun():
        with pytest.raises(RunError, match=reason):
            launch.train(Assignment(run, values), control)
        return
    assert launch.train(Assignment(run, values), control) == ExitCode.FAILED
    assert control.notes("reason") == {run: reason}
    assert f"failed: {reason}" in capsys.readouterr().out


def died(run):
    """Leaves the run as a worker does that is killed during training: running."""
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
def test_the_reason_for_a_workers_death_is_recorded(run, values, started, sweep, capsys, code, state, reason):
    started.work, started.code = died, code
    assert launch.train(Assignment(run, values), sweep) == code
    status = run.read_status()
    assert (status["state"], status["reason"]) == (state, reason)
    assert datetime.fromisoformat(status["finished"]) <= datetime.fromisoformat(status["updated"])
    assert f"{state}: {reason}" in capsys.readouterr().out


def test_a_finished_run_outlives_the_process_that_adds_diagnostics_to_it(lacking, values, started, sweep, capsys):
    started.work, started.code = died, -signal.SIGKILL
    assert launch.train(Assignment(lacking, values), sweep) == -signal.SIGKILL
    reason = "it has finished, but adding what it lacks failed: killed by signal 9: out of memory?"
    assert lacking.verify() == (State.FINISHED, reason)
    assert lacking.read_status()["state"] == State.FINISHED
    assert reason in capsys.readouterr().out
    assert lacking.verify(values)[0] is State.INTERRUPTED  # the same command tries again


def test_a_run_killed_by_a_stopped_sweep_is_interrupted_and_not_failed(run, values, started, sweep):
    started.work, started.code = lambda run: (died(run), sweep.stop()), -signal.SIGKILL
    launch.train(Assignment(run, values), sweep)
    assert run.verified_state() is State.INTERRUPTED


@pytest.mark.parametrize("code", [ExitCode.INTERRUPTED, -signal.SIGTERM])
def test_a_run_that_its_sweep_stopped_has_the_sweeps_reason(run, values, started, sweep, capsys, code):
    def stop(run):
        sweep.stop("stopped by Ctrl-C")
        state = State.INTERRUPTED if code == ExitCode.INTERRUPTED else State.RUNNING
        run.update_status(state=state, reason="stopped by SIGTERM")

    started.work, started.code = stop, code
    assert launch.train(Assignment(run, values), sweep) == code
    assert run.read_status()["reason"] == "stopped by Ctrl-C"
    assert "interrupted: stopped by Ctrl-C" in capsys.readouterr().out


def test_a_run_stopped_by_someone_else_keeps_its_own_reason(run, values, started, sweep):
    started.work = lambda run: run.update_status(state=State.INTERRUPTED, reason="stopped by SIGTERM")
    started.code = ExitCode.INTERRUPTED
    launch.train(Assignment(run, values), sweep)
    assert run.read_status()["reason"] == "stopped by SIGTERM"


def test_a_run_that_another_process_has_started_since_keeps_its_state(run, values, started, sweep, monkeypatch):
    def busy(self, timeout=0):
        raise BusyError

    started.work, started.code = lambda run: (died(run), monkeypatch.setattr(RunDir, "lock", busy)), 1
    assert launch.train(Assignment(run, values), sweep) == 1
    assert run.read_status()["state"] == State.RUNNING


def test_a_death_that_does_not_fit_on_the_disk_is_noted(run, values, started, sweep, monkeypatch):
    started.work, started.code = died, 1

    def refuse(self, **fields):
        raise OSError(28, "No space left on device", str(self.status))

    started.work = lambda run: (died(run), monkeypatch.setattr(RunDir, "update_status", refuse))
    assert launch.train(Assignment(run, values), sweep) == 1
    assert sweep.notes("reason") == {run: "ended with exit code 1"}


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"test_error": 12.345}, "finished: final test error 12.35 %, 61 s"),
        ({"test_error": 12.345, "val_error": 3.0}, "finished: final validation error 3.00 %, 61 s"),
    ],
)
def test_the_end_of_a_run_is_reported_with_its_error(run, values, started, sweep, capsys, outcome, message):
    started.work = lambda run: (finish(run), run.update_status(outcome=outcome))
    launch.train(Assignment(run, values, 1), sweep)
    assert f"[2/3] resnet-8 {run.path.name}: {message}\n" in capsys.readouterr().out


def test_no_lines_interrupt_a_live_table(run, values, started, sweep, capsys):
    live = Control(sweep.folder, sweep.main, sweep.size, live=True)
    launch.train(Assignment(run, values), live)
    assert capsys.readouterr().out == ""


def test_a_single_run_leaves_the_output_to_its_worker(run, values, started, capsys):
    launch.train(Assignment(run, values), SingleRun())
    assert capsys.readouterr().out == ""


def test_runs_of_a_search_are_numbered_without_a_total(run, values, started, sweep, capsys):
    search = Control(sweep.folder, sweep.main, 0, live=False)
    launch.train(Assignment(run, values, 4), search)
    assert "[5/?] " in capsys.readouterr().out
