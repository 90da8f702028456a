"""Processes share GPUs: no slot is held twice, and none is kept by a dead process."""

import contextlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from cifar_resnet.devices import Gpu
from cifar_resnet.errors import RunError
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.find import find_runs
from cifar_resnet.sweep import launch, slots
from cifar_resnet.sweep.assignment import Assignment
from tests.conftest import TINY

GPUS = [Gpu("0", "aa"), Gpu("1", "bb")]

HOLDER = """
import subprocess, sys
from cifar_resnet.devices import Gpu
from cifar_resnet.sweep import slots
slot = slots.acquire([Gpu("7", "aa")], 1)  # the same GPU with another number
trains = [sys.executable, "-c", "print('held', flush=True); input()"]
subprocess.Popen(trains, pass_fds=[slot.descriptor] if sys.argv[1] == "inherited" else []).wait()
"""

# Gives every process of a sweep two GPUs. Workers train nothing. They record when they begin and end, and on which GPU.
# A worker ends once as many have asked for a slot, and have begun, as UNTIL states; that of LONG's run once four have
# begun.
FAKE = """
import os, re, sys, time
from pathlib import Path
SEEN = Path(os.environ["SEEN"])
def record(event):
    with SEEN.open("a") as file:
        file.write(event + "\\n")
if "cifar_resnet.training.worker" in sys.orig_argv:
    from cifar_resnet.run.folder import RunDir
    run = RunDir(Path(sys.orig_argv[sys.orig_argv.index("cifar_resnet.training.worker") + 1]))
    record("begin " + os.environ["CUDA_VISIBLE_DEVICES"])
    wanted, begun = os.environ.get("UNTIL", "0 1").split()
    if re.search(os.environ.get("LONG", "none"), str(run.path)):
        begun = 4
    while SEEN.read_text().count("wanted") < int(wanted) or SEEN.read_text().count("begin") < int(begun):
        time.sleep(0.02)
    run.update_status(state="finished", outcome={"test_error": 0.0}, seconds=0.0)
    record("end " + os.environ["CUDA_VISIBLE_DEVICES"])
    os._exit(0)
else:
    from cifar_resnet import devices
    from cifar_resnet.sweep import slots
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "0,1").split(",")
    devices.visible_gpus = lambda: [devices.Gpu(name, name.lower()) for name in names]
    devices.driver_fault = lambda: None
    wait_for = slots.wait_for
    slots.wait_for = lambda *arguments: record("wanted") or wait_for(*arguments)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of slots that only this test uses."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(slots.tempfile, "tempdir", None)


def take(count, gpus=GPUS, runs_per_gpu=1):
    return [slots.acquire(gpus, runs_per_gpu) for _ in range(count)]


def test_no_gpu_has_more_runs_than_it_may(place):
    taken = take(5, runs_per_gpu=2)
    assert taken[4] is None
    assert Counter(slot.gpu.name for slot in taken[:4]) == {"0": 2, "1": 2}
    taken[2].release()
    assert slots.acquire(GPUS, 2).gpu == taken[2].gpu


def test_the_gpu_with_the_most_free_slots_is_taken(place):
    taken = take(4, runs_per_gpu=2)
    busy = taken[0].gpu
    for slot in taken[1:]:
        if slot.gpu != busy:
            slot.release()
    assert slots.acquire(GPUS, 2).gpu != busy
    assert len({slot.gpu for slot in taken[:2]}) == 2


@pytest.mark.parametrize("held_by", ["holder", "inherited"])
def test_the_slot_of_a_killed_process_is_free_once_its_worker_has_ended(place, held_by):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, held_by],
        env={**os.environ, "PYTHONPATH": str(REPO_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    assert slots.acquire(GPUS[:1], 1) is None
    holder.kill()
    holder.wait()
    if held_by == "inherited":
        assert slots.acquire(GPUS[:1], 1) is None
    holder.stdin.close()  # ends the worker
    holder.stdout.read()
    assert slots.acquire(GPUS[:1], 1) is not None


def test_the_folder_of_slots_is_the_users_own(place):
    take(1)
    assert slots.folder().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.mkdir() or folder.chmod(0o777),
        lambda folder: folder.symlink_to(folder.parent),
        lambda folder: folder.mkdir(0o700) or os.chown(folder, os.getuid() + 1, -1),
    ],
    ids=["writable", "link", "another user's"],
)
def test_a_folder_of_slots_that_another_user_made_is_refused(place, values, control, run, monkeypatch, spoil):
    try:
        spoil(slots.folder())
    except PermissionError:
        pytest.skip("only root can give a folder to another user")
    with pytest.raises(slots.NoFolderError, match="other users can write to it"):
        take(1)
    monkeypatch.setattr(launch, "visible_gpus", lambda: GPUS)
    values["runtime"]["device"] = "auto"
    with contextlib.nullcontext() if control.size else pytest.raises(RunError, match="other users can write to it"):
        assert launch.train(Assignment(run, values), control) == 1


def test_a_slot_is_never_a_link(place, tmp_path):
    take(1, GPUS[:1])[0].release()
    (slots.folder() / "aa.0.lock").unlink()
    (slots.folder() / "aa.0.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        take(1, GPUS[:1])
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_waits_until_a_slot_is_released(place, monkeypatch):
    (taken,), reports = take(1, GPUS[:1]), []
    monkeypatch.setattr(slots.time, "sleep", lambda seconds: taken.release())
    assert slots.wait_for(GPUS[:1], 1, lambda: False, lambda: reports.append("waits")).gpu == GPUS[0]
    assert reports == ["waits"]


def test_a_stopped_run_stops_waiting(place, monkeypatch):
    take(1, GPUS[:1])
    stops = iter([False, False, True])
    monkeypatch.setattr(slots.time, "sleep", lambda seconds: None)
    assert slots.wait_for(GPUS[:1], 1, lambda: next(stops), lambda: None) is None

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(slots.time, "sleep", interrupt)
    assert slots.wait_for(GPUS[:1], 1, lambda: False, lambda: None) is None


def most_at_a_time(lines):
    """The highest number of simultaneous runs on each GPU."""
    now, most = Counter(), Counter()
    for line in lines:
        event, _, gpu = line.partition(" ")
        if event == "wanted":
            continue
        now[gpu] += 1 if event == "begin" else -1
        most[gpu] = max(most[gpu], now[gpu])
    assert not +now, "a run that never ended"
    return most


@pytest.fixture
def sweep(program, tmp_path):
    """Runs a sweep with two fake GPUs; returns its output and the highest number of simultaneous runs on each GPU."""

    def run(*arguments, **environment):
        (tmp_path / "fake").mkdir()
        (tmp_path / "fake" / "sitecustomize.py").write_text(FAKE)
        seen = tmp_path / "seen"
        path = os.pathsep.join([str(tmp_path / "fake"), str(REPO_ROOT)])
        done = program("train.py", "-m", *TINY, *arguments, PYTHONPATH=path, SEEN=str(seen), **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert {run.verified_state().value for run in find_runs([tmp_path / "outputs"])} == {"finished"}
        return done.stdout, most_at_a_time(seen.read_text().splitlines())

    return run


def test_runs_of_different_length_never_share_a_gpu(sweep):
    output, most = sweep("seed=0,1,2,3", LONG="seed1-")
    assert "4 to train, 2 at a time" in output
    assert max(most.values()) == 1
    assert set(most) <= {"0", "1"}


def test_as_many_runs_share_a_gpu_as_are_allowed_and_other_jobs_wait_and_uuids_are_passed_on(sweep):
    shared = ["runtime.runs_per_gpu=2", "hydra.launcher.n_jobs=3"]
    output, most = sweep("seed=0,1,2", *shared, CUDA_VISIBLE_DEVICES="GPU-8932f937", UNTIL="3 2")
    assert "3 to train, 2 at a time" in output
    assert most == {"GPU-8932f937": 2}
