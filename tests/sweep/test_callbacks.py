"""What a sweep says before its runs and does after them, with neither Hydra's start nor any process."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from cifar_resnet.run.files import digest
from cifar_resnet.run.folder import RunDir, State
from cifar_resnet.sweep import callbacks, launch
from cifar_resnet.sweep.control import Control
from tests.conftest import TINY


@pytest.fixture
def runs(tmp_path):
    """A run of each state, and a finished one that lacks diagnostics, by what tells their folders apart."""
    made = {}
    for seed, state in enumerate([*State, "looked into"]):
        run = made[str(state)] = RunDir(tmp_path / f"synthetic/resnet-8/seed{seed}-1a")
        run.path.mkdir(parents=True)
        run.metrics.write_text("epoch\n")
        run.checkpoint.write_bytes(b"state")
        if state != "looked into":
            run.diagnostics.write_text("epoch\n")
        if state != State.PENDING:
            value = State.FINISHED if state == "looked into" else state
            run.update_status(state=value, metrics_digest=digest(run.metrics), outcome={"test_error": 5.0})
    return made


@pytest.mark.parametrize("retry_failed", [True, False])
def test_a_sweep_says_what_it_will_do_with_each_run(runs, capsys, retry_failed):
    config = OmegaConf.create({"diagnostics": {"enabled": True}})
    attached = {runs["queued"].path: "with job 1_0 (pending); waited for"}
    with runs["running"].lock():
        callbacks._print_standing(dict.fromkeys(runs.values(), config), 2, retry_failed, attached)
    *lines, standing = capsys.readouterr().out.splitlines()
    assert dict(line.strip().split(": ", 1) for line in lines) == {
        "resnet-8 seed1": "with job 1_0 (pending); waited for",
        "resnet-8 seed2": "running; continues",
        "resnet-8 seed3": "finished before; skipped",
        "resnet-8 seed4": "failed; continues" if retry_failed else "failed before; left, as runtime.retry_failed=false",
        "resnet-8 seed5": f"diverged before, and the same config would again; left (delete {runs['diverged'].path} to "
        "train it anew)",
        "resnet-8 seed6": "interrupted; continues",
        "resnet-8 seed7": "finished; its diagnostics are added",
    }
    # To train: the pending and the interrupted one, and the failed one where it is retried.
    assert standing == (
        "8 runs: 1 finished before, 1 finished without diagnostics, 1 interrupted, 2 failed, "
        f"1 trained by another process, 1 with their jobs, {3 if retry_failed else 2} to train, 2 at a time"
    )


def test_a_sweep_that_chooses_as_it_goes_says_nothing_before(capsys):
    callbacks._print_standing({}, 2, True, {})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("n_jobs", "slots", "at_a_time"), [(2, 0, 2), (-1, 0, 6), (3, 1, 1), (1, 4, 1), (-1, 4, 4), (None, 0, 1)]
)
def test_runs_at_a_time_are_those_that_jobs_and_gpus_allow(monkeypatch, n_jobs, slots, at_a_time):
    monkeypatch.setattr(callbacks, "count_cores", lambda: 6)
    monkeypatch.setattr(callbacks, "count_slots", lambda device, runs_per_gpu: slots)
    launcher = {} if n_jobs is None else {"n_jobs": n_jobs}
    config = {"hydra": {"launcher": launcher}, "runtime": {"device": "auto", "runs_per_gpu": 1}}
    assert callbacks._runs_at_a_time(OmegaConf.create(config)) == at_a_time


@pytest.fixture
def control():
    begun = Control.begin(2, live=False)
    yield begun
    begun.end()


@pytest.fixture
def trained(monkeypatch):
    """Runs that were trained at the sweep's end, with their configs."""
    calls = []
    monkeypatch.setattr(launch, "train", lambda run, values, control, index: calls.append((run, values, index)))
    return calls


@pytest.mark.parametrize(
    ("left", "taken_up"),
    [
        (State.INTERRUPTED, True),
        (State.PENDING, True),
        (State.FINISHED, False),
        (State.FAILED, False),
        (State.DIVERGED, False),
    ],
)
def test_a_run_that_another_process_left_unfinished_is_trained_at_the_end(
    tmp_path, control, trained, composed, monkeypatch, capsys, left, taken_up
):
    run, values = RunDir(tmp_path), composed(*TINY)
    run.metrics.write_text("epoch\n")
    control.note(run, busy=values)
    holder = run.lock()
    holder.__enter__()

    def end(seconds):
        if left is not State.PENDING:
            run.update_status(state=left, metrics_digest=digest(run.metrics))
        holder.__exit__(None, None, None)

    monkeypatch.setattr(callbacks, "time", SimpleNamespace(sleep=end))
    callbacks._await_others(control)
    assert trained == ([(run, values, 0)] if taken_up else [])
    assert f"waiting for {run.path}" in capsys.readouterr().out


def test_a_stopped_sweep_waits_for_no_other_process(tmp_path, control, trained, composed):
    control.note(RunDir(tmp_path), busy=composed(*TINY))
    control.stop()
    with RunDir(tmp_path).lock():
        callbacks._await_others(control)
    callbacks._await_others(control)
    assert trained == []


@pytest.mark.parametrize(
    ("state", "whole"),
    [(State.FINISHED, True), (State.FAILED, False), (State.DIVERGED, False), (State.INTERRUPTED, False)],
)
def test_a_sweep_has_finished_where_all_its_runs_have(runs, state, whole):
    plan = callbacks.Plan()
    plan.runs = [runs["finished"], runs[str(state)]]
    assert plan._all_finished() == whole


def test_a_finished_run_that_another_sweep_has_taken_up_again_has_finished(runs):
    plan = callbacks.Plan()
    plan.runs = [runs["running"]]
    assert not plan._all_finished()  # nobody is at it
    with runs["running"].lock():
        assert plan._all_finished()


@pytest.mark.parametrize(("state", "looked_at"), [(State.PENDING, True), (State.FAILED, True), (State.FINISHED, False)])
def test_only_runs_that_are_to_be_trained_need_their_images(runs, monkeypatch, state, looked_at):
    listed = []
    monkeypatch.setitem(callbacks._CHECKS, "image_folder", listed.append)
    monkeypatch.setenv("HOME", "/home/me")
    data = SimpleNamespace(kind="image_folder", root="~/images")
    config = SimpleNamespace(data=data, runtime=SimpleNamespace(retry_failed=True))
    callbacks._check_images({runs[str(state)]: config, runs["looked into"]: config})
    assert [str(path) for path in listed] == (["/home/me/images"] if looked_at else [])
