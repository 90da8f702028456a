"""A real full disk: a small tmpfs, which only root can mount."""

import os
import subprocess

import pytest

from cifar_resnet.run.find import find_runs
from cifar_resnet.run.states import State
from tests.conftest import TINY

pytestmark = pytest.mark.integration


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)])
    if not mounted or mounted.returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_run_that_fills_it_fails_in_words_and_continues_when_there_is_room(program, disk):
    command = ["train.py", "-m", "model.width=1,32", *TINY, "optim.lr=0.01", f"out={disk}"]
    done = program(*command)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "no space left on device while writing checkpoint.pt" in done.stdout
    assert "Traceback" not in done.stderr
    assert sorted(run.verified_state().value for run in find_runs([disk])) == ["failed", "finished"]
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    done = program(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {run.verified_state() for run in find_runs([disk])} == {State.FINISHED}


def test_a_read_only_disk_is_refused_in_one_line(program, disk):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = program("train.py", *TINY, f"out={disk}/runs")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "expected a folder that can be written to" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(disk.iterdir()) == []
