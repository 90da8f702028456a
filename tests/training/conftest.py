"""Training in this process, and worker processes started by hand."""

import os
import subprocess
import sys

import pytest
import torch

from cifar_resnet.config import from_container
from cifar_resnet.defaults import REPO_ROOT
from cifar_resnet.run_dir import RunDir
from cifar_resnet.training.data import load
from cifar_resnet.training.loop import Training
from tests.conftest import TINY


@pytest.fixture
def make_folder(tmp_path, composed):
    """A run folder with nothing but a config, of a thread."""

    def make(name: str, *overrides: str) -> RunDir:
        run = RunDir(tmp_path / name)
        run.write_config(composed(*TINY, "runtime.threads=1", *overrides))
        return run

    return make


@pytest.fixture
def training(composed):
    """Makes the training of a tiny run: 64 images in batches of 8, two epochs of 8 steps."""

    def make(*overrides: str) -> Training:
        config = from_container(composed(*TINY, "optim.batch_size=8", "optim.lr=0.01", *overrides))
        return Training(config, load(config.data, config.seed), torch.device("cpu"))

    return make


def start(run: RunDir) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cifar_resnet.training.worker", str(run.path)]
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(run: RunDir) -> str:
    worker = start(run)
    out, err = worker.communicate(timeout=120)
    assert worker.returncode == 0, out + err
    return out
