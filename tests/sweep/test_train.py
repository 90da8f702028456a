"""When the parent starts a worker for a run, and what it passes on. No process is started."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import ExitCode, RunError
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.sweep import launch, slots
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.control import Control, SingleRun
from tests.sweep.conftest import Exited, finish


def test_a_worker_gets_its_folder_its_parent_and_its_config(run, values, started, control):
    assert launch.train(Assignment(run, values), control) == ExitCode.FINISHED
    (worker,) = started
    quiet = [] if control == SingleRun() else ["--quiet"]
    expected = [sys.executable, "-m", "cifar_resnet.training.worker", str(run.path), "--parent", str(os.getpid())]
    assert worker.command == [*expected, *quiet]
    assert worker.config == values
    assert worker.env["OMP_NUM_THREADS"] == "1"
    assert worker.pass_fds == ()


def test_a_worker_of_a_sweep_writes_to_its_log_and_is_detached_from_the_terminal(run, values, started, sweep):
    run.path.mkdir(parents=True)
    run.log.write_text("earlier output\n")
    started.work = lambda run: (os.write(started[-1].stdout.fileno(), b"new output\n"), finish(run))
    launch.train(Assignment(run, values), sweep)
    (worker,) = started
    assert run.log.read_text() == "earlier output\nnew output\n"
    assert worker.stderr is worker.stdout
    assert (worker.stdin, worker.start_new_session) == (subprocess.DEVNULL, True)


@pytest.fixture
def one_gpu(monkeypatch, tmp_path, values):
    """A machine with one GPU, whose slots only this test uses."""
    monkeypatch.setattr(slots, "folder", lambda: tmp_path / "slots")
    monkeypatch.setattr(launch, "visible_gpus", lambda: [Gpu("4", "aa")])
    values["runtime"]["device"] = "auto"
    return Gpu("4", "aa")


def test_a_worker_inherits_the_slot_of_its_gpu(run, values, started, control, one_gpu):
    taken = []
    started.work = lambda run: (finish(run), taken.append(slots.acquire([one_gpu], 1)))
    launch.train(Assignment(run, values), control)
    (worker,) = started
    (descriptor,) = worker.pass_fds
    assert worker.env["CUDA_VISIBLE_DEVICES"] == one_gpu.name
    assert taken == [None]
    # It was the descriptor of the slot, and was closed with it.
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert slots.acquire([one_gpu], 1) is not None


def test_a_gpu_is_shared_by_as_many_runs_as_the_config_allows(run, values, started, one_gpu):
    values["runtime"]["runs_per_gpu"] = 2
    left = []
    started.work = lambda run: (finish(run), left.extend(slots.acquire([one_gpu], 2) for _ in range(2)))
    launch.train(Assignment(run, values), SingleRun())
    assert [slot is None for slot in left] == [False, True]


def test_a_run_that_another_sweep_trained_while_this_one_waited_for_a_gpu_is_skipped(
    run, values, started, one_gpu, monkeypatch, capsys
):
    run.path.mkdir(parents=True)
    slot = slots.acquire([one_gpu], 1)

    def wait(seconds):
        finish(run)
        slot.release()

    monkeypatch.setattr(time, "sleep", wait)
    assert launch.train(Assignment(run, values), SingleRun()) == ExitCode.FINISHED
    assert started == []
    assert "finished before; skipped" in capsys.readouterr().out


def test_a_run_that_another_process_began_while_this_one_waited_for_a_gpu_is_skipped(
    run, values, started, one_gpu, monkeypatch, capsys
):
    slot, held = slots.acquire([one_gpu], 1), contextlib.ExitStack()

    def wait(seconds):
        held.enter_context(run.lock())
        slot.release()
        monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits for the run, too"))

    monkeypatch.setattr(time, "sleep", wait)
    with held:
        assert launch.train(Assignment(run, values), SingleRun()) == ExitCode.BUSY
    assert started == []
    assert "another process is training this run; skipped" in capsys.readouterr().out


def test_a_folder_of_slots_that_others_can_write_to_is_a_failure(run, values, started, one_gpu, control, capsys):
    slots.folder().mkdir()
    slots.folder().chmod(0o777)
    reason = "other users can write to it"
    if control == SingleRun():
        with pytest.raises(RunError, match=reason):
            launch.train(Assignment(run, values), control)
    else:
        assert launch.train(Assignment(run, values), control) == ExitCode.FAILED
        assert reason in control.notes("reason")[run]
        assert reason in capsys.readouterr().out
    assert started == []


@pytest.mark.parametrize("stopped", ["the user", "the main process"])
def test_a_stopped_sweep_does_not_wait_for_a_gpu(run, values, started, one_gpu, sweep, monkeypatch, stopped):
    taken = slots.acquire([one_gpu], 1)
    gone = []
    monkeypatch.setattr(Control, "main_is_alive", lambda self: not gone)
    monkeypatch.setattr(time, "sleep", lambda seconds: sweep.stop() if stopped == "the user" else gone.append(True))
    assert launch.train(Assignment(run, values), sweep) == ExitCode.FINISHED
    assert started == []
    taken.release()


@pytest.mark.parametrize(
    ("state", "retry_failed", "is_started", "message"),
    [
        (State.FINISHED, True, False, "finished before; skipped"),
        (State.DIVERGED, True, False, "diverged before and would diverge again; skipped"),
        (State.FAILED, False, False, "failed before; skipped because runtime.retry_failed=false"),
        (State.FAILED, True, True, "failed before; continuing"),
        (State.INTERRUPTED, False, True, "interrupted before (stopped); continuing"),
        (State.QUEUED, True, True, "started"),
    ],
)
def test_the_same_command_trains_every_run_that_can_still_finish(
    run, values, started, sweep, capsys, state, retry_failed, is_started, message
):
    run.path.mkdir(parents=True)
    if state is State.FINISHED:
        finish(run)
    run.update_status(state=state, reason="stopped" if state is State.INTERRUPTED else None)
    values["runtime"]["retry_failed"] = retry_failed
    assert launch.train(Assignment(run, values, 1), sweep) == ExitCode.FINISHED
    assert len(started) == is_started
    assert f"[2/3] resnet-8 {run.path.name}: {message}" in capsys.readouterr().out


def test_a_queued_run_with_a_checkpoint_continues(run, values, started, sweep, capsys):
    run.path.mkdir(parents=True)
    run.update_status(state=State.QUEUED)
    run.checkpoint.write_bytes(b"state")
    launch.train(Assignment(run, values), sweep)
    assert "queued before; continuing" in capsys.readouterr().out


def test_missing_diagnostics_are_added_to_a_finished_run(lacking, values, started, sweep, capsys):
    launch.train(Assignment(lacking, values), sweep)
    assert len(started) == 1
    assert "finished before; adding its diagnostics" in capsys.readouterr().out


@pytest.mark.parametrize("patience", [[], [0], [60]], ids=["none", "0", "60"])
def test_a_run_that_is_released_within_the_patience_is_trained(run, values, started, monkeypatch, patience):
    holder = run.lock()
    holder.__enter__()
    monkeypatch.setattr(time, "sleep", lambda seconds: holder.__exit__(None, None, None))
    code = launch.train(Assignment(run, values), SingleRun(), *patience)
    assert (code, len(started)) == ((ExitCode.FINISHED, 1) if patience == [60] else (ExitCode.BUSY, 0))


@pytest.mark.parametrize("when", ["before", "before it is started", "after it was started"])
def test_a_busy_run_is_skipped_and_noted_for_the_end_of_the_sweep(
    run, values, started, control, monkeypatch, capsys, when
):
    if when == "after it was started":
        started.work, started.code = lambda run: None, ExitCode.BUSY
        code = launch.train(Assignment(run, values), control)
    else:
        with run.lock(), monkeypatch.context() as patched:
            if when == "before it is started":
                patched.setattr(RunDir, "is_locked", lambda self, timeout: False)
            code = launch.train(Assignment(run, values), control)
        assert started == []
    *before, line = capsys.readouterr().out.splitlines()
    assert line.endswith(": another process is training this run; skipped")
    assert when != "before" or not before  # in particular, not that it has started
    if control == SingleRun():
        assert code == ExitCode.BUSY
    else:
        assert code == ExitCode.FINISHED
        assert control.notes("busy") == {run: values}


def test_a_stopped_sweep_starts_no_more_runs(run, values, started, sweep):
    sweep.stop()
    assert launch.train(Assignment(run, values), sweep) == ExitCode.FINISHED
    assert started == []
    assert not run.path.exists()


@pytest.fixture
def job(sweep, interruptible):
    """The sweep as seen by a process that is not its main one, which is the parent of this process."""
    return Control(sweep.folder, os.getppid(), sweep.size, sweep.live)


def test_a_job_leaves_ctrl_c_to_the_main_process(run, values, started, job):
    launch.train(Assignment(run, values), job)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_sigterm_does_not_end_a_job_but_what_it_starts(run, values, started, job):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # as in a process that a sweep starts
    launch.train(Assignment(run, values), job)
    os.kill(os.getpid(), signal.SIGTERM)
    # Programs inherit what is ignored and what is blocked, but not a handler.
    assert callable(signal.getsignal(signal.SIGTERM))
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_main_process_still_receives_ctrl_c(run, values, started, sweep, interruptible):
    launch.train(Assignment(run, values), sweep)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_job_whose_sweep_is_gone_trains_nothing(run, values, started, job, no_main):
    with pytest.raises(Exited) as exited:
        launch.train(Assignment(run, values), job)
    assert exited.value.args == (ExitCode.INTERRUPTED,)
    assert started == []
