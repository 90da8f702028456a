"""The parent's side of one run: when it starts a worker, what it hands to it, and how it ends it. No process starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import BusyError, ExitCode, RunError
from cifar_resnet.run_dir import RunDir, State, digest
from cifar_resnet.sweep import launch, slots
from cifar_resnet.sweep.control import Control
from tests.conftest import TINY


@pytest.fixture
def values(composed):
    return composed(*TINY, "runtime.device=cpu")


@pytest.fixture
def run(tmp_path):
    return RunDir(tmp_path / "outputs/synthetic/resnet-8/seed0-1a2b3c4d")


@pytest.fixture(params=[False, True], ids=["alone", "sweep"])
def control(request):
    """None, or the sweep that this process is the main one of."""
    if not request.param:
        yield None
        return
    begun = Control.begin(3, live=False)
    yield begun
    begun.end()


@pytest.fixture
def sweep():
    begun = Control.begin(3, live=False)
    yield begun
    begun.end()


def finish(run: RunDir) -> None:
    """Leaves what a worker leaves that has finished its run."""
    run.metrics.write_text("epoch\n1\n")
    run.update_status(
        state=State.FINISHED, outcome={"test_error": 12.345}, seconds=61.4, metrics_digest=digest(run.metrics)
    )


@pytest.fixture
def started(monkeypatch):
    """Replaces worker processes: what each one was started with. Each does `work` as it starts and ends with `code`."""

    class Worker(SimpleNamespace):
        def __init__(self, command, **options):
            super().__init__(command=command, run=RunDir(Path(command[3])), **options)
            self.config = self.run.read_config()
            workers.append(self)
            workers.work(self.run)

        def wait(self, timeout=None):
            return workers.code

    class Workers(list):
        work, code = staticmethod(finish), 0

    workers = Workers()
    monkeypatch.setattr(launch.subprocess, "Popen", Worker)
    return workers


def test_a_worker_is_given_its_folder_its_parent_and_its_config(run, values, started, control):
    assert launch.train(run, values, control, 0) == ExitCode.FINISHED
    (worker,) = started
    quiet = [] if control is None else ["--quiet"]
    expected = [sys.executable, "-m", "cifar_resnet.training.worker", str(run.path), "--parent", str(os.getpid())]
    assert worker.command == [*expected, *quiet]
    assert worker.config == values
    assert worker.env["OMP_NUM_THREADS"] == "1"
    assert worker.pass_fds == ()


def test_a_worker_of_a_sweep_writes_to_its_log_and_never_hears_the_terminal(run, values, started, sweep):
    run.path.mkdir(parents=True)
    run.log.write_text("what it said before\n")
    started.work = lambda run: (os.write(started[-1].stdout.fileno(), b"what it says now\n"), finish(run))
    launch.train(run, values, sweep, 0)
    (worker,) = started
    assert run.log.read_text() == "what it said before\nwhat it says now\n"
    assert worker.stderr is worker.stdout
    assert (worker.stdin, worker.start_new_session) == (subprocess.DEVNULL, True)


@pytest.fixture
def one_gpu(monkeypatch, tmp_path, values):
    """A machine with one GPU, whose slots are the test's own."""
    monkeypatch.setattr(slots, "folder", lambda: tmp_path / "slots")
    monkeypatch.setattr(launch, "visible_gpus", lambda: [Gpu("4", "aa")])
    values["runtime"]["device"] = "auto"
    return Gpu("4", "aa")


def test_a_worker_inherits_the_slot_of_its_gpu(run, values, started, control, one_gpu):
    taken = []
    started.work = lambda run: (finish(run), taken.append(slots.acquire([one_gpu], 1)))
    launch.train(run, values, control, 0)
    (worker,) = started
    (descriptor,) = worker.pass_fds
    assert worker.env["CUDA_VISIBLE_DEVICES"] == one_gpu.name
    assert taken == [None]
    # The descriptor was that of the slot: it was closed with it.
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert slots.acquire([one_gpu], 1) is not None


def test_a_gpu_takes_as_many_runs_as_the_config_allows(run, values, started, one_gpu):
    values["runtime"]["runs_per_gpu"] = 2
    left = []
    started.work = lambda run: (finish(run), left.extend(slots.acquire([one_gpu], 2) for _ in range(2)))
    launch.train(run, values, None, 0)
    assert [slot is None for slot in left] == [False, True]


def test_a_run_that_another_sweep_trained_while_it_waited_for_the_gpu_is_skipped(
    run, values, started, one_gpu, monkeypatch, capsys
):
    run.path.mkdir(parents=True)
    slot = slots.acquire([one_gpu], 1)

    def wait(seconds):
        finish(run)
        slot.release()

    monkeypatch.setattr(time, "sleep", wait)
    assert launch.train(run, values, None, 0) == ExitCode.FINISHED
    assert started == []
    assert "finished before; skipped" in capsys.readouterr().out


@pytest.mark.parametrize("stopped", ["the user", "the main process"])
def test_a_sweep_that_is_stopped_waits_for_no_gpu(run, values, started, one_gpu, sweep, monkeypatch, stopped):
    taken = slots.acquire([one_gpu], 1)
    gone = []
    monkeypatch.setattr(Control, "main_is_alive", lambda self: not gone)
    monkeypatch.setattr(time, "sleep", lambda seconds: sweep.stop() if stopped == "the user" else gone.append(True))
    assert launch.train(run, values, sweep, 0) == ExitCode.FINISHED
    assert started == []
    taken.release()


@pytest.mark.parametrize(
    ("state", "retry_failed", "begun", "said"),
    [
        (State.FINISHED, True, False, "finished before; skipped"),
        (State.DIVERGED, True, False, "diverged before, and the same config would again; left"),
        (State.FAILED, False, False, "failed before; left, as runtime.retry_failed=false"),
        (State.FAILED, True, True, "failed before; continues"),
        (State.INTERRUPTED, False, True, "interrupted before; continues"),
        (State.QUEUED, True, True, "started"),
    ],
)
def test_the_same_command_again_trains_what_can_still_finish(
    run, values, started, sweep, capsys, state, retry_failed, begun, said
):
    run.path.mkdir(parents=True)
    finish(run)
    run.update_status(state=state)
    values["runtime"]["retry_failed"] = retry_failed
    assert launch.train(run, values, sweep, 1) == ExitCode.FINISHED
    assert len(started) == begun
    assert f"[2/3] resnet-8 {run.path.name}: {said}" in capsys.readouterr().out


def test_a_queued_run_with_a_checkpoint_continues(run, values, started, sweep, capsys):
    run.path.mkdir(parents=True)
    run.update_status(state=State.QUEUED)
    run.checkpoint.write_bytes(b"state")
    launch.train(run, values, sweep, 0)
    assert "queued before; continues" in capsys.readouterr().out


def test_a_finished_run_that_lacks_diagnostics_is_given_them(run, values, started, sweep, capsys):
    run.path.mkdir(parents=True)
    finish(run)
    run.checkpoint.write_bytes(b"state")
    values["diagnostics"]["enabled"] = True
    launch.train(run, values, sweep, 0)
    assert len(started) == 1
    assert "finished before; its diagnostics are added" in capsys.readouterr().out


@pytest.mark.parametrize("patience", [0, 60])
def test_a_run_that_is_freed_within_the_patience_is_trained(run, values, started, monkeypatch, patience):
    holder = run.lock()
    holder.__enter__()
    monkeypatch.setattr(time, "sleep", lambda seconds: holder.__exit__(None, None, None))
    code = launch.train(run, values, None, 0, patience)
    assert (code, len(started)) == ((ExitCode.FINISHED, 1) if patience else (ExitCode.BUSY, 0))


@pytest.mark.parametrize("when", ["before", "at the start"])
def test_a_busy_run_is_left_alone_and_noted_for_the_sweeps_end(run, values, started, control, capsys, when):
    if when == "before":
        with run.lock():
            code = launch.train(run, values, control, 0)
        assert started == []
    else:  # another worker has taken the run up since
        started.work, started.code = lambda run: None, ExitCode.BUSY
        code = launch.train(run, values, control, 0)
    assert "another process is training this run; left alone" in capsys.readouterr().out
    if control is None:
        assert code == ExitCode.BUSY
    else:
        assert code == ExitCode.FINISHED
        assert list(control.notes()) == [(run, {"busy": values})]


def test_a_stopped_sweep_starts_no_more_runs(run, values, started, sweep):
    sweep.stop()
    assert launch.train(run, values, sweep, 0) == ExitCode.FINISHED
    assert started == []
    assert not run.path.exists()


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, as in a terminal; afterwards signals are handled as before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def job(sweep, interruptible):
    """The sweep as one of its job processes sees it: another process, this one's parent, is the main one."""
    return Control(sweep.folder, os.getppid(), sweep.size, sweep.live)


def test_a_job_leaves_ctrl_c_to_the_main_process(run, values, started, job):
    launch.train(run, values, job, 0)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_the_main_process_still_hears_ctrl_c(run, values, started, sweep, interruptible):
    launch.train(run, values, sweep, 0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Exited(BaseException):
    """What stands for the end of this process."""


@pytest.fixture
def no_main(monkeypatch):
    """The sweep's main process is gone."""

    def leave(code):
        raise Exited(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(Control, "main_is_alive", lambda self: False)


def test_a_job_whose_sweep_is_gone_trains_nothing(run, values, started, job, no_main):
    with pytest.raises(Exited) as exited:
        launch.train(run, values, job, 0)
    assert exited.value.args == (ExitCode.INTERRUPTED,)
    assert started == []


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
    assert run.state() is State.INTERRUPTED


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
