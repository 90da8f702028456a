"""When the parent starts a worker for a run, and what it hands to it. No process starts."""

import os
import signal
import subprocess
import sys
import time

import pytest

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import ExitCode
from cifar_resnet.run.folder import State
from cifar_resnet.sweep import launch, slots
from cifar_resnet.sweep.control import Control
from tests.sweep.conftest import Exited, finish


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
def job(sweep, interruptible):
    """The sweep as one of its job processes sees it: another process, this one's parent, is the main one."""
    return Control(sweep.folder, os.getppid(), sweep.size, sweep.live)


def test_a_job_leaves_ctrl_c_to_the_main_process(run, values, started, job):
    launch.train(run, values, job, 0)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_the_main_process_still_hears_ctrl_c(run, values, started, sweep, interruptible):
    launch.train(run, values, sweep, 0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_job_whose_sweep_is_gone_trains_nothing(run, values, started, job, no_main):
    with pytest.raises(Exited) as exited:
        launch.train(run, values, job, 0)
    assert exited.value.args == (ExitCode.INTERRUPTED,)
    assert started == []
