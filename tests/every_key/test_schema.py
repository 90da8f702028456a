"""Every key has a test of its effect, and reaches the run's folder."""

import dataclasses
import os

import pytest

from cifar_resnet.run.config import from_container
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import flatten
from cifar_resnet.run.schema import FIELDS
from cifar_resnet.sweep.worker_process import worker_config
from tests.conftest import compose_run

# Importing these modules registers their tests.
from tests.every_key import OTHER, test_data, test_network, test_optim, test_runtime

MODULES = (test_data, test_network, test_optim, test_runtime)
WHERE = {"out", "data.root", "data.cache"}


def test_every_key_has_a_test_that_it_acts():
    assert set(OTHER) == set(FIELDS)


@pytest.mark.parametrize("key", FIELDS)
def test_the_other_value_is_accepted_and_is_not_the_default(key):
    default, other = flatten(compose_run()), compose_run(*OTHER[key])
    from_container(other)
    assert flatten(other)[key] != default[key]


@pytest.mark.parametrize("key", FIELDS)
def test_the_value_reaches_the_worker_by_the_runs_folder(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = compose_run(*OTHER[key])
    run = RunDir(tmp_path / "run")
    run.write_config(worker_config(asked, n_jobs=1))
    value, expected = flatten(run.read_config())[key], flatten(asked)[key]
    assert value == (os.path.abspath(expected) if key in WHERE else expected)
    assert flatten(dataclasses.asdict(from_container(run.read_config())))[key] == value
