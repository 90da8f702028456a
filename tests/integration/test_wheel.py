"""The wheel, installed into an environment of its own: a sweep and its report in a folder that isn't the project's."""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from cifar_resnet import __version__
from cifar_resnet.programs import PROGRAMS
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.run.find import find_runs

# Takes long: a wheel, an environment, a sweep and its report.
pytestmark = pytest.mark.integration

SWEEP = """# @package _global_
hydra:
  sweeper:
    params:
      model: plain,resnet
      depth: 8
      optim: mine
      data: synthetic
      data.image_size: 8
      data.train_size: 64
      data.test_size: 32
      runtime.kernels: eager
"""
RECIPE = "defaults: [lab, _self_]\nname: mine\nepochs: 2\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the project."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPO_ROOT, check=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a command of an environment with the wheel; it finds everything else in the environment of the tests."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True)
    (packages,) = place.glob("lib/python*/site-packages")
    # Python doesn't read the .pth files of folders that are listed here, such as that of an editable installation.
    others = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["XDG_CACHE_HOME"] = str(place / "cache")

    def run(folder, program, *arguments):
        command = [str(place / "bin" / program), *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)

    done = run(place, "python", "-m", "pip", "install", "--no-deps", "--no-index", "--ignore-installed", str(wheel))
    assert done.returncode == 0, done.stdout + done.stderr
    found = run(place, "python", "-c", "import cifar_resnet; print(cifar_resnet.__file__)").stdout
    assert Path(found.strip()).is_relative_to(place), f"{found} is not the installed package"
    return run


def test_the_wheel_has_all_files_and_claims_nobody_elses_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {
        "cifar_resnet",
        "hydra_plugins",
        f"cifar_resnet-{__version__}.dist-info",
    }
    assert "hydra_plugins/__init__.py" not in names  # others have plugins there, too
    for folder, inside in {
        "cifar_resnet": "",
        "hydra_plugins": "",
        "conf": "cifar_resnet/",
        "sweeps": "cifar_resnet/",
    }.items():
        files = [path for path in (REPO_ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert files
        assert {f"{inside}{path.relative_to(REPO_ROOT)}" for path in files} <= names


def test_its_description_is_a_page_without_links_into_the_project(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = message_from_bytes(archive.read(f"cifar_resnet-{__version__}.dist-info/METADATA"))
    text = metadata.get_payload(decode=True).decode()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert text == (REPO_ROOT / "docs/installed.md").read_text(encoding="utf-8")
    assert not re.search(r"\]\((?!https?://)", text)
    assert all(f"| `{name}` | {program.summary} |" in text for name, program in PROGRAMS.items())


def test_a_sweep_of_the_users_own_and_its_report_in_another_folder(installed, tmp_path):
    for name, text in {"sweeps/mine.yaml": SWEEP, "conf/optim/mine.yaml": RECIPE}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    trained = installed(tmp_path, "cifar-resnet", "train", "-m", "sweeps=mine", "hydra.launcher.n_jobs=2")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert trained.stdout.endswith("tables and figures: cifar-resnet aggregate outputs\n")
    runs = find_runs([tmp_path / "outputs"])
    assert len(runs) == 2
    for run in runs:
        status = json.loads(run.status.read_text())
        assert (status["state"], status["commit"]) == ("finished", None)
        assert status["versions"]["cifar_resnet"] == __version__
    shown = installed(tmp_path, "cifar-resnet", "status", "outputs")
    assert shown.returncode == 0
    assert len(re.findall(r"^(?:plain|resnet)-8 .* finished ", shown.stdout, re.MULTILINE)) == 2, shown.stdout
    reported = installed(tmp_path, "cifar-resnet", "aggregate", "outputs", "--format", "md")
    assert reported.returncode == 0, reported.stdout + reported.stderr
    text = (tmp_path / "outputs/report/report.md").read_text(encoding="utf-8")
    assert "\ncifar-resnet train -m model=plain,resnet depth=8 data=synthetic" in text
    assert "\ncifar-resnet aggregate outputs\n" in text
