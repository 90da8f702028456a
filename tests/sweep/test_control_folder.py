"""A sweep leaves no temporary folder behind, even if it is killed, and removes nobody else's."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.sweep import control_folder

SWEEP = """
import sys
from cifar_resnet.sweep import control_folder
print(control_folder.create(), flush=True)
(control_folder.create() / "stop").touch()
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A temporary folder that only this test uses."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.mark.parametrize("ending", ["kill", "return"])
def test_a_sweep_leaves_no_folder_once_it_has_ended_and_another_one_has_begun(place, ending):
    sweep = subprocess.Popen(
        [sys.executable, "-c", SWEEP],
        env={**os.environ, "PYTHONPATH": str(REPO_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    theirs = Path(sweep.stdout.readline().rstrip())
    ours = control_folder.create()
    assert theirs.is_dir()
    if ending == "kill":
        sweep.kill()
    sweep.communicate()
    assert theirs.is_dir() == (ending == "kill")
    control_folder.remove(control_folder.create())
    assert list(place.iterdir()) == [ours]
    control_folder.remove(ours)
    control_folder.remove(ours)
    assert list(place.iterdir()) == []


def abandoned():
    """The folder of a sweep that was killed, as the next sweep finds it."""
    folder = control_folder.create()
    os.close(control_folder._locks.pop(folder))
    return folder


def another_users(folder):
    os.chown(folder, os.getuid() + 1, -1)


def another_machines(folder):
    folder.rename(str(folder).replace("-sweep-", "-sweep-another"))


def link(folder):
    target = folder.rename(folder.with_name("target"))
    folder.symlink_to(target)


@pytest.mark.parametrize("spoil", [another_users, another_machines, link])
def test_what_may_belong_to_somebody_else_stays(place, spoil):
    folder = abandoned()
    try:
        spoil(folder)
    except PermissionError:
        pytest.skip("only root can give a folder to another user")
    before = set(place.iterdir())
    control_folder.remove(control_folder.create())
    assert set(place.iterdir()) == before


def test_a_folder_that_another_sweep_removes_before_it_is_locked_is_replaced(place, monkeypatch):
    lock, made = control_folder.fcntl.flock, []

    def take(descriptor, operation):
        if not made:
            made.extend(place.iterdir())
            made[0].rmdir()
        lock(descriptor, operation)

    monkeypatch.setattr(control_folder.fcntl, "flock", take)
    folder = control_folder.create()
    assert list(place.iterdir()) == [folder] != made
    control_folder.remove(folder)


def test_a_folder_that_another_sweep_removes_before_it_is_opened_is_replaced(place, monkeypatch):
    opened, made = control_folder._open, []

    def late(folder):
        if not made:
            made.append(folder)
            folder.rmdir()
        return opened(folder)

    monkeypatch.setattr(control_folder, "_open", late)
    folder = control_folder.create()
    assert list(place.iterdir()) == [folder] != made
    control_folder.remove(folder)


def test_folders_that_cannot_be_locked_stay(place, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError("no locks available")

    monkeypatch.setattr(control_folder.fcntl, "flock", refuse)
    folders = {control_folder.create(), control_folder.create()}
    assert set(place.iterdir()) == folders
    for folder in folders:
        control_folder.remove(folder)
