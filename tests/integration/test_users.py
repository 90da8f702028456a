"""Two users and one folder, for real: only root can start programs as other users."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.folder import State, find_runs
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
def start(top):
    """Starts train.py as one of two users of a group, who may read everything but write only as permissions say."""
    # The interpreter may lie in root's home.
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("starting programs as other users needs root and setpriv")
    shared = top / "outputs"
    shared.mkdir()
    os.chown(shared, 0, GROUP)
    shared.chmod(0o2775)

    def run(user: int, umask: int, *arguments: str) -> subprocess.Popen[str]:
        home = top / str(user)
        home.mkdir(exist_ok=True)
        os.chown(home, user, GROUP)
        who = [f"--reuid={user}", f"--regid={GROUP}", "--clear-groups"]
        may_read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        command = [sys.executable, str(REPO_ROOT / "train.py"), "-m", *TINY, ONE_BY_ONE, f"out={shared}", *arguments]
        return subprocess.Popen(
            ["setpriv", *who, *may_read, *command],
            cwd=home,
            env={**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
            umask=umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def check(process, code, output="", error=""):
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == code, printed + errors
    assert output in printed
    assert error in errors and errors.count("\n") == (1 if error else 0)


def test_users_of_a_group_share_a_sweep_and_others_are_refused_in_one_line(start, top):
    first, second = start(60001, 0o002, "seed=0,1"), start(60002, 0o002, "seed=1,2")
    check(first, 0)
    check(second, 0)
    assert [run.verified_state() for run in find_runs([top / "outputs"])] == [State.FINISHED] * 3
    check(start(60001, 0o022, "depth=14"), 0)
    check(start(60002, 0o022, "depth=8,20", "seed=0"), 0, "1 finished before, 1 to train")
    check(start(60002, 0o022, "depth=14", "seed=1"), 2, error="resnet-14 can't be written to, perhaps because it is")
    assert len(find_runs([top / "outputs"])) == 5
