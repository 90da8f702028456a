"""TensorBoard gets the numbers of metrics.csv, once per epoch; without the extra, there is a one-line error."""

import csv

import pytest

from cifar_resnet import devices
from cifar_resnet.errors import ConfigError
from cifar_resnet.run.config import from_container
from cifar_resnet.sweep import checks
from tests.training.conftest import finish


def test_it_has_the_numbers_of_metrics_csv(make_folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = make_folder("a", "runtime.tensorboard=true")
    finish(run)
    events = accumulator.EventAccumulator(str(run.tensorboard)).Reload()
    rows = list(csv.DictReader(run.metrics.open()))
    assert set(events.Tags()["scalars"]) == set(rows[0]) - {"epoch"}
    for name in ("train_loss", "test_error", "lr"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == [1, 2]
        assert [value for _, value in found] == pytest.approx([float(row[name]) for row in rows])


def test_without_the_extra_it_is_refused_in_one_line(composed, monkeypatch):
    config = from_container(composed("runtime.tensorboard=true"))
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"TensorBoard is not installed; expected the extra"):
        checks.check_extras(config)
    checks.check_extras(from_container(composed()))
