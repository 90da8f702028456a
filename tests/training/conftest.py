"""Fixtures for training in this process."""

import pytest
import torch

from cifar_resnet.run.config import from_container
from cifar_resnet.run.folder import RunDir
from cifar_resnet.training.data import load
from cifar_resnet.training.loop import Training
from tests.conftest import TINY, compose_run, work


@pytest.fixture
def restored_torch():
    """Restores torch's switches."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


@pytest.fixture
def make_folder(tmp_path, composed):
    """A run folder that contains only a config."""

    def make(name: str, *overrides: str) -> RunDir:
        run = RunDir(tmp_path / name)
        run.write_config(composed(*TINY, *overrides))
        return run

    return make


def make_training(*overrides: str) -> Training:
    """A tiny training: 64 images in batches of 8, two epochs of 8 steps."""
    config = from_container(compose_run(*TINY, "optim.batch_size=8", "optim.lr=0.01", *overrides))
    return Training(config, load(config.data, config.seed), torch.device("cpu"))


@pytest.fixture
def training():
    """Makes a tiny training, see `make_training`."""
    return make_training


def images_seen(run: Training) -> list[torch.Tensor]:
    """Trains an epoch; returns the network's input at each step."""
    seen: list[torch.Tensor] = []
    hook = run.network.register_forward_pre_hook(
        lambda network, inputs: seen.append(inputs[0].clone()) if network.training else None
    )
    run.train_epoch(lambda: False)
    hook.remove()
    return seen


def finish(run: RunDir) -> str:
    """Trains a run to its end, like its worker process; returns its output."""
    done = work(run)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
