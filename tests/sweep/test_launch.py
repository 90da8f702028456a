"""What the worker is given before it starts, since it can't be changed after."""

import socket

import pytest

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import ExitCode
from cifar_resnet.run.folder import RunDir, State
from cifar_resnet.sweep import launch


@pytest.fixture
def values(composed):
    return composed("data=synthetic", "runtime.threads=3")


def test_threads_and_memory_settings_are_in_the_environment(values):
    environment = launch.worker_environment(values)
    assert {environment[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "4294967296"


def test_the_users_own_memory_settings_win(values, monkeypatch):
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    assert launch.worker_environment(values)["MALLOC_TOP_PAD_"] == "1"


def test_a_run_sees_its_gpu_alone_and_none_is_named_where_it_has_none(values, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert launch.worker_environment(values, Gpu("3", "ab"))["CUDA_VISIBLE_DEVICES"] == "3"
    assert launch.worker_environment(values)["CUDA_VISIBLE_DEVICES"] == "0,3"


def test_a_run_on_the_cpu_needs_no_slot(values, monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "visible_gpus", lambda: [Gpu("0", "ab")])
    monkeypatch.setattr(launch.slots, "wait_for", lambda *arguments: pytest.fail("it waited for a GPU"))
    values["runtime"]["device"] = "cpu"
    with launch._gpu_slot(RunDir(tmp_path), values, None, 0) as slot:
        assert slot is None


@pytest.mark.parametrize(
    ("before", "code", "after", "returned"),
    [
        (State.FINISHED, -15, State.FINISHED, 0),  # killed while it took down what it used, its results written
        (State.DIVERGED, -15, State.DIVERGED, -15),
        (State.RUNNING, -15, State.INTERRUPTED, -15),
        (State.RUNNING, -9, State.FAILED, -9),
        (State.RUNNING, 1, State.FAILED, 1),
        (State.INTERRUPTED, 3, State.INTERRUPTED, 3),
    ],
)
def test_a_worker_that_dies_leaves_the_state_that_its_run_deserves(tmp_path, before, code, after, returned):
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    # No process has this id: the kernel gives none beyond 2**22.
    run.update_status(state=before, pid=2**22 + 1, host=socket.gethostname())
    assert launch._note_death(run, code, None) == returned
    assert run.verified_state() is after


def test_a_run_that_finds_no_gpu_free_says_so(values, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(launch, "visible_gpus", lambda: [Gpu("0", "ab")])
    monkeypatch.setattr(launch.slots, "wait_for", lambda gpus, runs_per_gpu, stops, say_waiting: say_waiting())
    assert launch.train(RunDir(tmp_path / "run"), values, None, 0) == ExitCode.INTERRUPTED
    assert "run: waits: no GPU is free (runtime.runs_per_gpu=1)" in capsys.readouterr().out
