"""What a sweep prints before its runs and does after them, without starting Hydra or any process."""

import dataclasses
import os
import pickle
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from cifar_resnet.datasets import DATASETS, Sizes
from cifar_resnet.errors import ConfigError
from cifar_resnet.run import locks
from cifar_resnet.run.config import from_container
from cifar_resnet.run.files import digest
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.states import State
from cifar_resnet.status.live import LiveTable
from cifar_resnet.sweep import callbacks, checks, launch, machines
from cifar_resnet.sweep.assignment import Assignment
from cifar_resnet.sweep.messages import user_errors
from cifar_resnet.sweep.selection import all_finished
from cifar_resnet.sweep.standing import print_standing
from tests.conftest import EMPTY_ARCHIVE, TINY


@pytest.fixture
def runs(tmp_path):
    """A run in each state, and finished ones without diagnostics and with damaged weights; by state."""
    made = {}
    for seed, state in enumerate([*State, "no diagnostics", "no weights"]):
        run = made[str(state)] = RunDir(tmp_path / f"synthetic/resnet-8/seed{seed}-1a")
        run.path.mkdir(parents=True)
        if state == State.PENDING:
            continue
        run.metrics.write_text("epoch\n")
        run.checkpoint.write_bytes(b"state")
        run.final.write_bytes(b"half" if state == "no weights" else EMPTY_ARCHIVE)
        if state != "no diagnostics":
            run.diagnostics.write_text("epoch\n")
        run.update_status(state=state if isinstance(state, State) else State.FINISHED)
        if run.read_status()["state"] == State.FINISHED:
            run.update_status(metrics_digest=digest(run.metrics), outcome={"test_error": 5.0})
    return made


@pytest.mark.parametrize("retry_failed", [True, False])
def test_a_sweep_reports_what_it_will_do_with_each_run(runs, composed, capsys, retry_failed):
    config = OmegaConf.create(composed(*TINY, "diagnostics.enabled=true"))
    attached = {runs["queued"].path: "in job 1_0 (pending); waiting for it"}
    with runs["running"].lock():
        print_standing(dict.fromkeys(runs.values(), config), 2, retry_failed, attached)
    *lines, standing = capsys.readouterr().out.splitlines()
    assert dict(line.strip().split(": ", 1) for line in lines) == {
        "resnet-8 seed1": "in job 1_0 (pending); waiting for it",
        "resnet-8 seed2": "running; will continue",
        "resnet-8 seed3": "finished before; skipped",
        "resnet-8 seed4": "failed; will continue"
        if retry_failed
        else "failed before; skipped because runtime.retry_failed=false",
        "resnet-8 seed5": f"diverged before and would diverge again; skipped (delete {runs['diverged'].path} to "
        "train it again)",
        "resnet-8 seed6": "interrupted; will continue",
        "resnet-8 seed7": "finished; adding its diagnostics",
        "resnet-8 seed8": "finished; adding its final weights",
    }
    # To train: the pending and the interrupted run, and the failed one if it is retried.
    assert standing == (
        "9 runs: 1 finished before, 1 finished without diagnostics, 1 finished without final weights, "
        f"1 interrupted, 2 failed, 1 being trained by another process, 1 in Slurm jobs, {3 if retry_failed else 2} to "
        "train, 2 at a time"
    )


def test_a_run_whose_run_json_is_gone_is_listed_as_interrupted(runs, composed, capsys):
    runs["finished"].status.unlink()
    print_standing({runs["finished"]: OmegaConf.create(composed(*TINY))}, 2, True, {})
    line, standing = capsys.readouterr().out.splitlines()
    assert line == "  resnet-8 seed3: interrupted (its run.json is missing); will continue"
    assert standing == "1 run: 1 interrupted, 1 to train, 2 at a time"


def test_a_sweep_without_known_runs_prints_nothing(capsys):
    print_standing({}, 2, True, {})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("n_jobs", "slots", "at_a_time"), [(2, 0, 2), (-1, 0, 6), (3, 1, 1), (1, 4, 1), (-1, 4, 4), (None, 0, 1)]
)
def test_as_many_runs_are_parallel_as_jobs_and_gpus_allow(monkeypatch, n_jobs, slots, at_a_time):
    monkeypatch.setattr(machines, "count_cores", lambda: 6)
    monkeypatch.setattr(machines, "count_slots", lambda device, runs_per_gpu: slots)
    launcher = {} if n_jobs is None else {"n_jobs": n_jobs}
    config = {"hydra": {"launcher": launcher}, "runtime": {"device": "auto", "runs_per_gpu": 1}}
    assert machines.ThisMachine(OmegaConf.create(config)).runs_at_a_time == at_a_time


@pytest.fixture
def trained(monkeypatch):
    """Records the runs that are trained at the end of the sweep."""
    calls = []
    monkeypatch.setattr(launch, "train", lambda assignment, control: calls.append(assignment))
    return calls


@pytest.mark.parametrize(
    ("state", "is_trained"),
    [
        (State.INTERRUPTED, True),
        (State.PENDING, True),
        (State.FINISHED, False),
        (State.FAILED, False),
        (State.DIVERGED, False),
    ],
)
def test_a_run_that_another_process_left_unfinished_is_trained_at_the_end(
    tmp_path, sweep, trained, composed, monkeypatch, capsys, state, is_trained
):
    run, values = RunDir(tmp_path), composed(*TINY)
    run.metrics.write_text("epoch\n")
    sweep.note(run, busy=values)
    holder = run.lock()
    holder.__enter__()

    def end(seconds):
        if state is not State.PENDING:
            run.update_status(state=state, metrics_digest=digest(run.metrics))
        holder.__exit__(None, None, None)

    monkeypatch.setattr(callbacks, "time", SimpleNamespace(sleep=end))
    callbacks.wait_for_others(sweep)
    assert trained == ([Assignment(run, values)] if is_trained else [])
    assert f"waiting for {run.path}" in capsys.readouterr().out


def test_a_stopped_sweep_does_not_wait_for_other_processes(tmp_path, sweep, trained, composed):
    sweep.note(RunDir(tmp_path), busy=composed(*TINY))
    sweep.stop()
    with RunDir(tmp_path).lock():
        callbacks.wait_for_others(sweep)
    callbacks.wait_for_others(sweep)
    assert trained == []


@pytest.mark.parametrize(
    ("state", "is_finished"),
    [(State.FINISHED, True), (State.FAILED, False), (State.DIVERGED, False), (State.INTERRUPTED, False)],
)
def test_a_sweep_has_finished_if_all_its_runs_have(runs, state, is_finished):
    assert all_finished([runs["finished"], runs[str(state)]]) == is_finished


def test_a_finished_run_counts_as_finished_while_another_sweep_adds_to_it(runs):
    run = runs["running"]
    assert not all_finished([run])  # no process is
    run.update_status(metrics_digest=digest(run.metrics), outcome={"test_error": 5.0})
    with run.lock():
        assert all_finished([run])


@pytest.mark.parametrize(
    ("state", "is_checked"), [(State.PENDING, True), (State.FAILED, True), (State.FINISHED, False)]
)
def test_only_runs_that_will_be_trained_need_their_images(runs, composed, monkeypatch, state, is_checked):
    listed = []
    folder = dataclasses.replace(DATASETS["image_folder"], check_root=listed.append, sizes=Sizes(9, 9, 8, 8, 3, 2))
    monkeypatch.setitem(DATASETS, "image_folder", folder)
    monkeypatch.setenv("HOME", "/home/me")
    config = from_container(composed("data=image_folder", 'data.root="~/images"'))
    checks.check_images({runs[str(state)]: config, runs["no diagnostics"]: config})
    assert [str(path) for path in listed] == (["/home/me/images"] if is_checked else [])


@pytest.mark.parametrize("state", [State.PENDING, State.FAILED, State.FINISHED])
@pytest.mark.parametrize("closed", ["resnet-8", "seed0-1", "run.lock"])
def test_only_runs_that_will_be_trained_need_a_folder_that_can_be_written_to(tmp_path, monkeypatch, state, closed):
    run = RunDir(tmp_path / "resnet-8/seed0-1")
    run.path.parent.mkdir()
    if state is not State.PENDING:
        run.path.mkdir()
        run.metrics.write_text("epoch\n")
        run.update_status(state=state, metrics_digest=digest(run.metrics))
        with run.lock():
            pass
    is_open = lambda path, mode: path.exists() if mode == os.F_OK else path.name != closed  # noqa: E731
    monkeypatch.setattr(checks.os, "access", is_open)
    # The innermost one that exists; older versions of filelock remove the file of a released lock.
    innermost = "run.lock" if locks.file_of(run.path).exists() else "seed0-1"
    asked = {"resnet-8": State.PENDING, innermost: State.FAILED}.get(closed)
    with pytest.raises(ConfigError, match=f"{closed} can't be written to") if asked is state else nullcontext():
        checks.check_folders({run: SimpleNamespace(runtime=SimpleNamespace(retry_failed=True))})


def test_joblibs_processes_get_a_callback_without_the_state_of_the_main_one():
    callback = callbacks.SweepCallback()
    callback._sweep = sys.stdout  # can't be pickled, like a thread or a terminal
    assert pickle.loads(pickle.dumps(callback))._sweep is None


def test_a_live_table_is_removed_before_an_error_is_printed(capsys):
    table = LiveTable(lambda console: "the table")
    table.start()
    with pytest.raises(SystemExit) as ended, user_errors():
        raise ConfigError("depth=21: expected 6n+2")
    assert ended.value.code == 2
    assert not table._thread.is_alive()
    assert capsys.readouterr().err == "error: depth=21: expected 6n+2\n"


def test_ctrl_c_before_a_sweep_begins_ends_it_without_a_traceback(capsys):
    with pytest.raises(SystemExit) as ended, user_errors():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""
