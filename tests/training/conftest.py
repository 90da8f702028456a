"""Training in this process."""

import pytest
import torch

from cifar_resnet.run.config import from_container
from cifar_resnet.run.folder import RunDir
from cifar_resnet.training.data import load
from cifar_resnet.training.loop import Training
from tests.conftest import TINY, work


@pytest.fixture
def make_folder(tmp_path, composed):
    """A run folder with nothing but a config."""

    def make(name: str, *overrides: str) -> RunDir:
        run = RunDir(tmp_path / name)
        run.write_config(composed(*TINY, *overrides))
        return run

    return make


@pytest.fixture
def training(composed):
    """Makes the training of a tiny run: 64 images in batches of 8, two epochs of 8 steps."""

    def make(*overrides: str) -> Training:
        config = from_container(composed(*TINY, "optim.batch_size=8", "optim.lr=0.01", *overrides))
        return Training(config, load(config.data, config.seed), torch.device("cpu"))

    return make


def finish(run: RunDir) -> str:
    """Brings a run to its end, as its worker process would; what it said."""
    done = work(run)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
