"""Two users and one folder, for real: only root can start programs as other users."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.find import find_runs
from cifar_resnet.run.states import State
from tests.conftest import ONE_BY_ONE, TINY

pytestmark = pytest.mark.integration

GROUP = 60000


@pytest.fixture
def top():
    """A folder whose parents everybody may pass, unlike those of tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def shared(top):
    """A folder of run folders that a group may write to."""
    folder = top / "outputs"
    folder.mkdir()
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)
    return folder


@pytest.fixture
def start(top):
    """Starts Python as a user who may read everything but writes only as permissions say."""
    # The interpreter may lie in root's home.
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("starting programs as other users needs root and setpriv")

    def run(user: int, group: int, umask: int, *arguments: str) -> subprocess.Popen[str]:
        home = top / str(user)
        home.mkdir(exist_ok=True)
        os.chown(home, user, group)
        who = [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        may_read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        variables = {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(REPO_ROOT)}
        return subprocess.Popen(
            ["setpriv", *who, *may_read, sys.executable, *arguments],
            cwd=home,
            env={**os.environ, **variables},
            umask=umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.fixture
def sweep(start, shared):
    """Starts a sweep into the shared folder as a user of the group."""

    def run(user: int, umask: int, *arguments: str) -> subprocess.Popen[str]:
        words = ["-m", *TINY, ONE_BY_ONE, f"out={shared}", *arguments]
        return start(user, GROUP, umask, str(REPO_ROOT / "train.py"), *words)

    return run


def check(process, code, output="", error=""):
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == code, printed + errors
    assert output in printed
    assert error in errors and errors.count("\n") == (1 if error else 0)


def test_users_of_a_group_share_a_sweep_and_others_are_refused_in_one_line(sweep, shared):
    first, second = sweep(60001, 0o002, "seed=0,1"), sweep(60002, 0o002, "seed=1,2")
    check(first, 0)
    check(second, 0)
    assert [run.verified_state() for run in find_runs([shared])] == [State.FINISHED] * 3
    check(sweep(60001, 0o022, "depth=14"), 0)
    check(sweep(60002, 0o022, "depth=8,20", "seed=0"), 0, "1 finished before, 1 to train")
    check(sweep(60002, 0o022, "depth=14", "seed=1"), 2, error="resnet-14 can't be written to, perhaps because it is")
    assert len(find_runs([shared])) == 5


def test_who_may_only_read_can_look_at_all_runs_and_is_told_what_needs_another_folder(start, sweep, shared):
    check(sweep(60001, 0o022, "seed=0,1"), 0)
    done, killed = find_runs([shared])
    killed.update_status(state=State.RUNNING, pid=2**22)  # as if its process was killed; no process has this number
    before = {path: path.stat().st_mtime_ns for path in (shared, *shared.rglob("*"))}

    def check_reader(*arguments: str, code: int = 0, output: str = "", error: str = "") -> None:
        check(start(60003, 60003, 0o022, *arguments), code, output, error)

    check_reader("-m", "cifar_resnet.status", str(shared), output="1 interrupted, 1 finished")
    check_reader("-m", "cifar_resnet.evaluate", str(done.path), output=": equal")
    aggregate = [str(REPO_ROOT / "aggregate.py"), str(shared), "--format", "md"]
    check_reader(*aggregate, "--out", "report", output="one finished run")
    check_reader(*aggregate, code=2, error="choose another folder")
    train = [str(REPO_ROOT / "train.py"), "-m", *TINY, f"out={shared}", "seed=0,1"]
    check_reader(*train, code=2, error="expected a folder that can be written to")
    check_reader("-m", "cifar_resnet.training.worker", str(killed.path), code=2, error="copy it to train it")
    assert {path: path.stat().st_mtime_ns for path in (shared, *shared.rglob("*"))} == before
