"""What several rooms' tests share: the command line as a user runs it, and configs out of conf/."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import hypothesis
import pytest
from hydra import compose, initialize_config_dir

from cifar_resnet.defaults import REPO_ROOT
from cifar_resnet.sweep.resolvers import plain_config

# No test depends on time: on a busy machine any example may be slow.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TINY = [
    "data=synthetic",
    "data.train_size=64",
    "data.test_size=32",
    "data.image_size=8",
    "depth=8",
    "optim.epochs=2",
    "runtime.threads=1",  # tests run side by side, and the threads of several runs would wait for each other
]
"""Overrides of a run of a second: 64 images of 8×8 pixels, an eight-layer network, two epochs."""


@pytest.fixture
def program(tmp_path):
    """Runs one of the project's scripts in `tmp_path`, as from a terminal, and returns the finished process."""

    def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(REPO_ROOT / script), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONWARNINGS": "default", "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def composed():
    """Composes a run's config out of conf/, as plain dictionaries."""

    def run(*overrides: str) -> dict:
        with initialize_config_dir(str(REPO_ROOT / "conf"), version_base="1.3"):
            return plain_config(compose("config", overrides=list(overrides)))

    return run


def tree(folder: Path) -> list[str]:
    """All files under a folder, for tests that nothing was written."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def wait_for(condition, seconds=90):
    """What `condition` gives once it is true; fails where it isn't in `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.1)
    return found
