"""The diffs of docs/extending.md apply in order, and their additions can be trained and appear in the report."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from cifar_resnet.run.defaults import REPO_ROOT
from tests.conftest import ONE_BY_ONE

# Takes long: the copy's own sweep and report.
pytestmark = pytest.mark.integration

DIFFS = re.findall(r"^```diff\n(.*?)^```$", (REPO_ROOT / "docs" / "extending.md").read_text("utf-8"), re.DOTALL | re.M)
RUN = ["depth=8", "model.width=4", "optim.batch_size=32", "optim.epochs=2", "out=runs", ONE_BY_ONE]
# Otherwise Numba compiles the copy's kernels, which it doesn't know.
RUN += ["runtime.threads=1", "runtime.kernels=eager"]


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the project with everything that the page adds, two runs trained by it, and their report."""
    copy = tmp_path_factory.mktemp("extended")
    for name in ("cifar_resnet", "conf", "sweeps", "hydra_plugins"):
        shutil.copytree(REPO_ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "aggregate.py"):
        shutil.copy(REPO_ROOT / name, copy)
    for diff in DIFFS:
        subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], cwd=copy, input=diff, text=True, check=True)
    train = ["train.py", "-m", "model=resnet,dropout", "data=stripes", "optim=linear", *RUN]
    for command in (train, ["aggregate.py", "runs", "--out", "report"]):
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        done = subprocess.run([sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return copy


def test_the_page_adds_a_model_a_data_set_a_schedule_and_a_figure():
    assert len(DIFFS) == 4


def test_the_report_describes_what_was_added(extended):
    text = (extended / "report" / "report.md").read_text("utf-8")
    assert "the residual block with dropout behind its branch" in text
    assert "Striped grayscale images of 8×8 pixels" in text
    assert "falls linearly from 0.1 to zero" in " ".join(text.split())
    assert "Generalization gap" in text


def test_the_added_figure_is_drawn(extended):
    assert (extended / "report" / "figures" / "generalization_gap.png").stat().st_size > 5_000


def test_the_runs_are_named_by_their_recipe(extended):
    names = [path.name for path in (extended / "runs" / "stripes").glob("*/*")]
    assert len(names) == 2
    assert all("optim=linear" in name for name in names)
