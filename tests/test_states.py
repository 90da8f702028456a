"""A run's state: states and their files, writing run.json on a full disk, locks that wait, and finding run folders."""

import errno
import os
import re
import signal
import socket
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from cifar_resnet.errors import BusyError, RunError
from cifar_resnet.run import folder, locks
from cifar_resnet.run.files import digest
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.folder import RunDir, now
from cifar_resnet.run.identity import config_hash
from cifar_resnet.run.states import State, stopped_by
from tests.conftest import EMPTY_ARCHIVE

TABLES = ["metrics", "diagnostics", "predictions"]


@pytest.fixture
def run(tmp_path):
    return RunDir(tmp_path)


@pytest.fixture
def finished(run):
    """A finished run with all its tables."""
    for name in TABLES:
        getattr(run, name).write_text(f"{name}\n3\n")
    run.final.write_bytes(EMPTY_ARCHIVE)
    digests = {f"{name}_digest": digest(getattr(run, name)) for name in TABLES}
    run.update_status(state=State.FINISHED, outcome={"test_error": 5.0}, **digests)
    return run


@pytest.mark.parametrize("state", State)
def test_a_run_is_open_until_it_has_finished_failed_or_diverged(state):
    assert state.is_open == (state not in {State.FINISHED, State.FAILED, State.DIVERGED})
    assert str(state) == state.value


def test_the_time_is_that_of_utc_to_the_second():
    read = datetime.fromisoformat(now())
    assert read.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - read) < timedelta(minutes=1)
    assert len(now()) == len("2026-01-31T12:00:00+00:00")


def test_a_digest_is_of_the_contents_alone(tmp_path):
    for name, text in (("a", "text"), ("b", "text"), ("c", "texts")):
        (tmp_path / name).write_text(text)
    a, b, c, absent = (digest(tmp_path / name) for name in "abcd")
    assert a == b != c
    assert len(a) == 16 and absent is None


def test_a_finished_run_with_the_tables_that_it_finished_with_is_finished(finished):
    assert finished.verified_state() is State.FINISHED
    assert finished.has_results()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("damage", ["changed", "absent"])
def test_a_finished_run_with_another_table_is_to_be_rebuilt(finished, name, damage):
    path = getattr(finished, name)
    path.unlink() if damage == "absent" else path.write_text("half")
    assert finished.recorded_state() is State.FINISHED
    assert finished.verified_state() is State.INTERRUPTED
    reason = finished.verify()[1]
    assert reason is not None and path.name in reason
    assert not finished.has_results()


@pytest.mark.parametrize("name", TABLES[1:])
def test_a_run_from_before_there_was_a_table_needs_none(finished, name):
    finished.update_status(**{f"{name}_digest": None})
    assert finished.verified_state() is State.FINISHED  # although it may have one
    getattr(finished, name).unlink()
    assert finished.verified_state() is State.FINISHED


def test_a_finished_run_without_a_digest_of_its_metrics_is_to_be_rebuilt(finished):
    finished.update_status(metrics_digest=None)
    assert finished.verified_state() is State.INTERRUPTED


@pytest.mark.parametrize("state", [state for state in State if state not in (State.FINISHED, State.RUNNING)])
def test_no_other_state_hangs_on_the_tables(run, state):
    run.metrics.write_text("another one than any digest is of")
    run.update_status(state=state)
    assert run.verified_state() is state
    assert not run.has_results()


def test_a_run_to_which_diagnostics_are_being_added_has_its_results(finished):
    with finished.lock():
        finished.update_status(state=State.RUNNING)
        assert finished.verified_state() is State.RUNNING
        assert finished.has_results()


@pytest.mark.parametrize("state", [State.RUNNING, State.INTERRUPTED, State.FAILED])
def test_a_finished_run_remains_finished_however_adding_to_it_ended(finished, composed, state):
    finished.checkpoint.write_bytes(b"state")
    finished.diagnostics.unlink()
    finished.update_status(state=state, diagnostics_digest=None)
    assert finished.verified_state() is State.FINISHED
    wanted = composed("diagnostics.enabled=true")
    assert finished.verify(wanted) == (State.INTERRUPTED, "its diagnostics are still to be added")
    finished.metrics.write_text("another one")
    assert finished.verified_state() is not State.FINISHED


def test_diagnostics_that_end_before_the_run_are_still_to_be_added(finished, composed):
    finished.checkpoint.write_bytes(b"state")
    finished.diagnostics.write_text("epoch\n0\n1\n")
    finished.update_status(diagnostics_digest=digest(finished.diagnostics))
    assert finished.verified_state() is State.FINISHED
    reason = "its diagnostics are still to be added"
    assert finished.verify(composed("diagnostics.enabled=true")) == (State.INTERRUPTED, reason)


def test_a_damaged_record_is_to_be_rebuilt(run):
    run.status.write_text("{")
    assert run.verified_state() is State.INTERRUPTED
    assert not run.has_results()


@pytest.mark.parametrize(
    ("asked", "checkpoint", "diagnostics", "state"),
    [
        (True, True, False, State.INTERRUPTED),
        (True, True, True, State.FINISHED),
        (True, False, False, State.FINISHED),  # adding them would require training again
        (False, True, False, State.FINISHED),
        (None, True, False, State.FINISHED),
    ],
)
def test_diagnostics_asked_for_later_are_added_to_a_finished_run(
    finished, composed, asked, checkpoint, diagnostics, state
):
    config = None if asked is None else composed(f"diagnostics.enabled={asked}")
    if checkpoint:
        finished.checkpoint.write_bytes(b"state")
    if not diagnostics:
        finished.diagnostics.unlink()
        finished.update_status(diagnostics_digest=None)
    assert finished.verified_state(config) is state
    reason = "its diagnostics are still to be added" if state is State.INTERRUPTED else None
    assert finished.verify(config) == (state, reason)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [truncate, Path.unlink, as_pipe])
def test_damaged_weights_are_written_again_by_the_command_that_trains_the_run_if_there_is_a_checkpoint(
    finished, composed, damage
):
    damage(finished.final)
    assert finished.verify(composed()) == (State.FINISHED, None)  # writing them would require training again
    finished.checkpoint.write_bytes(b"state")
    assert finished.verify(composed()) == (State.INTERRUPTED, "its final weights are still to be added")
    assert finished.verify() == (State.FINISHED, None)  # its results are whole
    assert finished.has_results()


def test_a_state_comes_with_its_reason(run):
    run.update_status(state=State.FAILED, reason="disk full")
    assert run.verify() == (State.FAILED, "disk full")
    run.status.write_text("{")
    state, reason = run.verify()
    assert state is State.INTERRUPTED and f"{run.status} can't be read" in str(reason)


def test_a_folder_belongs_to_the_run_that_its_config_describes(run, composed):
    run.claim(composed("optim.lr=0.2", "seed=1"))
    run.check_belongs_to(composed("optim.lr=0.2", "seed=1", "runtime.threads=3"))
    with pytest.raises(RunError, match=r"contains another run \(seed is 1 there and 0 here\)"):
        run.check_belongs_to(composed("optim.lr=0.2"))
    with pytest.raises(RunError) as refused:
        run.claim(composed("depth=56", "optim.momentum=0.5", "model=plain"))
    # The first three keys that differ.
    assert re.findall(r"([\w.]+) is (\S+) there and (\S+) here[,)]", str(refused.value)) == [
        ("depth", "20", "56"),
        ("seed", "1", "0"),
        ("model.name", "resnet", "plain"),
    ]
    assert run.read_config()["depth"] == 20


def test_a_folder_without_its_config_belongs_to_the_run_of_the_recorded_hash(run, composed):
    run.update_status(state=State.FAILED, hash=config_hash(composed()))
    run.check_belongs_to(composed())
    with pytest.raises(RunError, match="contains another run, without its config"):
        run.check_belongs_to(composed("seed=1"))


def test_a_config_that_was_changed_after_the_run_began_is_refused(run, composed):
    begun, changed = config_hash(composed()), config_hash(composed("seed=1"))
    run.write_config(composed())
    run.update_status(state=State.RUNNING, hash=begun)
    assert run.checked_config()["seed"] == 0
    run.write_config(composed("seed=1"))
    with pytest.raises(RunError, match=f"its hash is {changed}, but run.json has {begun}"):
        run.checked_config()
    run.status.write_text("{")
    assert run.checked_config()["seed"] == 1


def test_a_config_may_be_changed_by_whoever_has_read_it(run, composed):
    run.write_config(composed())
    run.checked_config()["optim"]["lr"] = 9.0
    assert run.checked_config()["optim"]["lr"] == composed()["optim"]["lr"]


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGINT, "stopped by Ctrl-C"), (signal.SIGTERM, "stopped by SIGTERM")]
)
def test_the_signal_that_stopped_a_run_is_named(number, reason):
    assert stopped_by(number) == reason


def test_a_half_written_file_that_gets_its_name_in_the_meantime_is_no_leftover(run, monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [self / pattern.replace("*", "renamed")])
    run.remove_leftovers()


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(run):
    files = [run.checkpoint, run.final, run.metrics, run.diagnostics, run.predictions, run.status]
    for path in files:
        path.write_text("whole")
        (path.parent / f".{path.name}.abc123").write_text("half")
    (run.path / ".mine").write_text("the user's")
    run.remove_leftovers()
    assert sorted(run.path.iterdir()) == sorted([*files, run.path / ".mine"])


@pytest.fixture
def disk(monkeypatch):
    """A disk on which each atomic write fails with this error."""

    def fail(number):
        def refuse(path, text):
            raise OSError(number, "refused", str(path))

        monkeypatch.setattr(folder, "write_text", refuse)

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_on_a_full_disk_the_old_record_makes_room_for_the_reason(run, disk, number):
    run.update_status(state=State.RUNNING, threads=2, reason="a reason that is longer than the next one " * 9)
    disk(number)
    run.update_status(state=State.FAILED, reason="disk full")
    status = run.read_status()
    assert (status["state"], status["reason"], status["threads"]) == ("failed", "disk full", 2)


def test_on_a_full_disk_there_is_no_room_where_there_was_no_record(run, disk):
    disk(errno.ENOSPC)
    with pytest.raises(OSError, match="refused"):
        run.update_status(state=State.FAILED)
    assert not run.status.exists()


def test_a_record_that_may_not_be_written_is_as_it_was(run, disk):
    run.update_status(state=State.RUNNING)
    disk(errno.EACCES)
    with pytest.raises(OSError, match="refused"):
        run.update_status(state=State.FAILED)
    assert run.read_status()["state"] == State.RUNNING


def test_a_damaged_record_is_begun_anew(run):
    run.status.write_text("{")
    status = run.update_status(state=State.FAILED)
    assert set(status) == {"state", "updated"}
    assert run.read_status() == status


@pytest.mark.parametrize("kind", ["flock", "soft"])
@pytest.mark.parametrize("patience", [0, 60])
def test_a_lock_that_is_freed_within_the_patience_is_had(run, monkeypatch, kind, patience):
    monkeypatch.setenv(locks.VARIABLE, kind)
    holder = run.lock()
    holder.__enter__()
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits unless told to"))
    assert run.is_locked()
    monkeypatch.setattr(time, "sleep", lambda seconds: holder.__exit__(None, None, None))
    assert run.is_locked(patience) == (not patience)
    if not patience:
        with pytest.raises(BusyError), run.lock():
            pass
        holder.__exit__(None, None, None)
    with run.lock():
        pass


@pytest.mark.parametrize(("kind", "name", "stays"), [("flock", "run.lock", True), ("soft", "run.softlock", False)])
def test_a_soft_lock_is_a_file_that_exists_while_it_is_held(run, monkeypatch, kind, name, stays):
    monkeypatch.setenv(locks.VARIABLE, kind)
    with run.lock():
        assert (run.path / name).exists()
    assert stays or not (run.path / name).exists()


@pytest.mark.parametrize("is_filled", [False, True])
def test_of_folders_made_for_data_only_those_with_data_stay(tmp_path, is_filled):
    (tmp_path / "there").mkdir()
    for data in (tmp_path / "there", tmp_path / "made/images"):
        with locks.fill_alone(data, "cifar10"):
            assert (data / ".cifar10.lock").exists()
            if is_filled:
                (data / "archive").write_text("data")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    filled = {"there/archive", "made", "made/images", "made/images/archive"}
    assert left == {"there"} | (filled if is_filled else set())


def test_folders_of_data_that_another_process_removed_are_made_again_and_removed(tmp_path, monkeypatch):
    first = locks.fill_alone(tmp_path / "made/images", "cifar10")
    first.__enter__()

    def end_first(seconds):
        first.__exit__(None, None, None)
        assert list(tmp_path.iterdir()) == []

    monkeypatch.setattr(time, "sleep", end_first)
    with locks.fill_alone(tmp_path / "made/images", "cifar10"):
        assert (tmp_path / "made/images/.cifar10.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_records_are_readable_by_people(run):
    run.write_config({"seed": 0, "data": {"root": "größte"}, "a": 1})
    assert run.config.read_text(encoding="utf-8") == "seed: 0\ndata:\n  root: größte\na: 1\n"
    run.update_status(state=State.FAILED, reason="größte")
    assert run.status.read_text(encoding="utf-8").startswith('{\n  "state": "failed",\n  "reason": "größte",\n')


def test_a_lock_is_free_after_a_fault_of_its_holder(run):
    with pytest.raises(ZeroDivisionError), run.lock():
        raise ZeroDivisionError
    assert not run.is_locked()


@pytest.mark.parametrize(
    ("host", "pid", "state"),
    [
        (socket.gethostname(), os.getpid(), State.RUNNING),
        (socket.gethostname(), 2**31, State.INTERRUPTED),
        (socket.gethostname(), 2**22, State.INTERRUPTED),  # above the largest number of a process in Linux
        (socket.gethostname(), None, State.RUNNING),
        ("elsewhere", 2**22, State.RUNNING),
        (None, None, State.RUNNING),
    ],
    # Not the number of this process, which would be another one in each of pytest's.
    ids=["here", "gone", "gone, largest number", "unknown", "elsewhere", "nowhere"],
)
def test_where_a_lock_cannot_be_tested_the_process_of_this_machine_counts(run, monkeypatch, host, pid, state):
    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "another user's")

    run.update_status(state=State.RUNNING, host=host, pid=pid)
    locks.file_of(run.path).touch()
    monkeypatch.setattr(locks, "hold", refuse)
    assert run.recorded_state() is run.verified_state() is state


def test_a_folder_that_nobody_held_is_not_locked_and_is_not_made(tmp_path):
    assert not RunDir(tmp_path / "a").is_locked()
    assert not (tmp_path / "a").exists()
    with RunDir(tmp_path / "a/b").lock():
        assert (tmp_path / "a/b").is_dir()


def test_only_soft_locks_are_broken(run, monkeypatch):
    with run.lock():
        locks.break_soft(run.path)
        assert run.is_locked()
    monkeypatch.setenv(locks.VARIABLE, "soft")
    locks.break_soft(run.path)  # there is none


def test_runs_are_found_once_in_the_order_of_their_names(tmp_path):
    for name in ("b/2", "b/10", "a", ".hidden/c", "b/.hydra"):
        RunDir(tmp_path / name).write_config({})
    found = [run.path.relative_to(tmp_path).as_posix() for run in find_runs([tmp_path, tmp_path / "b"])]
    assert found == ["a", "b/10", "b/2"]
    assert find_runs([tmp_path / "b", tmp_path])[0].path == tmp_path / "b/10"


def test_a_hidden_folder_may_hold_runs_where_it_is_asked_for(tmp_path):
    RunDir(tmp_path / ".hidden/c").write_config({})
    assert len(find_runs([tmp_path / ".hidden"])) == 1


def test_a_folder_without_runs_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(RunError, match=f"no run folder under {tmp_path}, {tmp_path}/a; train some first"):
        find_runs([tmp_path, tmp_path / "a"])
    with pytest.raises(RunError, match="nowhere is not a folder"):
        find_runs([tmp_path / "nowhere"])
