"""The cost of a run before it is trained: its images, its floating-point operations, and its time."""

import io
import json
import sys
import types

import pytest
import torch
from torch import nn

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.errors import ExitCode
from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.run.config import from_container
from cifar_resnet.training import loop, measure
from cifar_resnet.training.data import load
from cifar_resnet.training.data.workload import count
from cifar_resnet.training.evaluator import BATCH, Evaluator
from cifar_resnet.training.loop import Training, network_of
from cifar_resnet.training.models import count_parameters
from tests.conftest import TINY, called, compose_run


@pytest.mark.parametrize(
    "overrides",
    [
        ["data=digits"],
        ["data=digits", "data.holdout=100"],
        ["data=digits", "data.train_size=300", "data.test_size=30"],
        [*TINY, "data.image_size=12"],
        [*TINY, "data.holdout=20", "data.train_size=50"],
    ],
    ids=" ".join,
)
def test_the_images_counted_are_those_that_are_loaded(overrides):
    config = from_container(compose_run(*overrides))
    counted, data = count(config.data), load(config.data, seed=0)
    watched = data.test if data.val is None else data.val
    assert (counted.train, counted.watched) == (len(data.train.labels), len(watched.labels))
    assert (counted.height, counted.width, counted.channels) == data.train.images.shape[1:]
    assert counted.classes == len(data.classes)


def products(network: nn.Module, image: torch.Tensor) -> int:
    """Multiply-adds of an image's forward and backward pass in convolutions and linear layers."""
    total = 0

    def add(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        forward = layer.weight.numel() * output[0].numel() // output.shape[1]
        # Backward, there is a product for the weights and another for the input, unless that is the image.
        total += forward * (2 if inputs[0] is image else 3)

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(add)
    network(image)
    return total


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize("overrides", [[], ["data.image_size=10", "model.width=4"]], ids=["small", "smaller"])
def test_a_multiply_add_counts_as_two_operations(model, overrides):
    config = from_container(compose_run(*TINY, f"model={model}", *overrides))
    sizes = count(config.data)
    network = network_of(config, sizes.channels, sizes.classes).eval()
    image = torch.zeros(1, sizes.channels, sizes.height, sizes.width)
    assert measure.count_gflop(config, sizes) == pytest.approx(2 * products(network, image) / 1e9, rel=1e-9)


@pytest.fixture
def timed(monkeypatch):
    """The trainings that are measured. A step takes 99 seconds at first, and later 0.5; the second evaluation, 2."""
    trainings, clock = [], types.SimpleNamespace(now=0.0)

    def learn(self, batch):
        trainings.append(self)
        clock.now += 99.0 if self.step < 2 else 0.5
        self.sums.images += len(batch.permutation)

    def evaluate(self, split):
        clock.now += 2.0 if trainings[-1].history else 99.0
        return 1.0, 50.0

    monkeypatch.setattr(Training, "_learn", learn)
    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock.now)
    return trainings


# 50 or 44 training images are 7 or 6 batches of at most 8; 11 steps are two epochs.
@pytest.mark.parametrize(
    ("overrides", "steps", "epochs", "watched"),
    [
        (["optim.epochs=3", "optim.milestones=[1,2]"], 21, 3, 32),
        (["optim.epochs=3", "data.holdout=6"], 18, 3, 6),
        (["optim.epochs=null", "optim.iterations=11", "optim.milestones=[]"], 11, 2, 32),
    ],
    ids=["epochs", "hold-out", "iterations"],
)
def test_the_time_is_that_of_all_steps_and_of_the_evaluation_after_each_epoch(
    timed, restored_torch, overrides, steps, epochs, watched
):
    config = from_container(compose_run(*TINY, "data.train_size=50", "optim.batch_size=8", *overrides))
    cost = measure.measure(config)
    assert (cost["steps"], cost["step_seconds"]) == (steps, 0.5)
    assert cost["seconds"] == pytest.approx(steps * 0.5 + epochs * watched * 2.0 / BATCH["cpu"])
    assert cost["parameters"] == count_parameters(timed[0].network)
    assert cost["gflop"] == measure.count_gflop(config, count(config.data))


def test_twenty_steps_are_timed_after_two_that_are_not(timed, restored_torch):
    measure.measure(from_container(compose_run(*TINY, "optim.batch_size=8")))
    first = timed[0]
    assert timed == [first] * 22
    assert len(first.train.labels) == 22 * 8
    assert len(first.splits["test"].labels) == BATCH["cpu"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_run_that_would_diverge_is_measured(restored_torch, monkeypatch, optimizer, norm):
    losses, learn = [], Training._learn

    def observed(self, batch):
        learn(self, batch)
        losses.append(float(self.sums.loss))

    monkeypatch.setattr(Training, "_learn", observed)
    words = [*TINY, "optim.batch_size=8", f"optim.optimizer={optimizer}", f"model.norm={norm}", "optim.lr=1e30"]
    assert measure.measure(from_container(compose_run(*words)))["step_seconds"] > 0
    assert len(losses) == 22
    assert torch.tensor(losses).isfinite().all()


def test_signals_that_overflow_in_a_network_without_normalization_do_not_end_the_measurement(
    restored_torch, monkeypatch
):
    def overflowing(*arguments):
        network = network_of(*arguments)
        for parameter in network.parameters():
            parameter.detach().mul_(1e30)
        return network

    monkeypatch.setattr(loop, "network_of", overflowing)
    words = [*TINY, "optim.batch_size=8", "model.norm=none"]
    assert measure.measure(from_container(compose_run(*words)))["step_seconds"] > 0


def asked(monkeypatch, values):
    """The program's answer to a config."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(values)))
    return called(lambda: sys.exit(measure.main()))


def test_the_program_answers_with_the_measurement(timed, restored_torch, monkeypatch):
    values = compose_run(*TINY)
    done = asked(monkeypatch, values)
    assert (done.returncode, done.stderr) == (ExitCode.FINISHED, "")
    assert json.loads(done.stdout) == measure.measure(from_container(values))


def test_the_program_reports_a_mistake_in_one_line(monkeypatch):
    done = asked(monkeypatch, {**compose_run(*TINY), "depth": 21})
    assert (done.returncode, done.stdout) == (ExitCode.USER, "")
    assert done.stderr.startswith("error: depth=21")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_a_very_deep_network_is_estimated_from_shallower_ones(timed, restored_torch, monkeypatch, model):
    for name, depth in {"_SHALLOW": 8, "_DEEPER": 14, "DEEPEST": 20}.items():
        monkeypatch.setattr(measure, name, depth)
    words = [*TINY, f"model={model}", "model.shortcut=B", "model.width=2", "optim.batch_size=8", "depth=26"]
    config = from_container(compose_run(*words))
    cost, sizes = measure.measure(config), count(config.data)
    assert {training.config.depth for training in timed} == {8, 14}
    assert cost["parameters"] == count_parameters(network_of(config, sizes.channels, sizes.classes))
    assert cost["gflop"] == pytest.approx(measure.count_gflop(config, sizes))
    assert (cost["steps"], cost["step_seconds"]) == (16, pytest.approx(0.5))
