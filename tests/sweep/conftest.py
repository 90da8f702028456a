"""A run that the tests of sweeps begin with."""

import pytest

from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import run_name
from tests.conftest import TINY, compose_run, work


@pytest.fixture(scope="session")
def outputs(tmp_path_factory):
    """What `train.py` with TINY leaves under outputs/, trained once for the tests that copy it or begin with it."""
    folder = tmp_path_factory.mktemp("trained") / "outputs"
    config = compose_run(*TINY)
    run = RunDir(folder / run_name(config, overridden(config)))
    run.write_config(config)
    assert work(run).returncode == 0
    return folder
