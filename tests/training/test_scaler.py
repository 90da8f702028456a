"""In fp16, the loss is scaled: a step with infinite gradients is skipped, and the scale continues with the run."""

import copy
import math

import pytest
import torch

from tests.training.test_graph import assert_alike

FP16 = "precision=fp16"


def trained(run):
    while not run.finished:
        run.train_epoch(lambda: False)
    return run


def test_only_fp16_scales_the_loss(training):
    assert [training(f"precision={name}").scaler.is_enabled() for name in ("fp32", "bf16", "fp16")] == [
        False,
        False,
        True,
    ]


def test_it_trains(training):
    run = trained(training(FP16, "optim.lr=0.05", "optim.epochs=6"))
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_a_step_with_infinite_gradients_is_skipped_and_halves_the_scale(training, momentum):
    run = training(FP16, f"optim.momentum={momentum}")
    before = copy.deepcopy(run.network.state_dict())
    hook = run.network.linear.weight.register_hook(lambda gradient: gradient * math.inf)
    run.train_epoch(lambda: True)
    hook.remove()
    assert run.scaler.get_scale() == 2.0**15
    for name, parameter in run.network.named_parameters():
        assert torch.equal(parameter, before[name])
    assert not any(state["momentum_buffer"].any() for state in run.optimizer.state.values() if momentum)
    # The next step finds nothing left of the skipped one.
    run.train_epoch(lambda: True)
    assert all(parameter.isfinite().all() for parameter in run.network.parameters())
    assert not torch.equal(run.network.linear.weight, before["linear.weight"])


@pytest.mark.parametrize("step", [1, 8, 11])
def test_a_run_continues_with_its_scale_bit_for_bit(training, step):
    def make():
        run = training(FP16)
        run.scaler.set_growth_interval(3)
        return run

    interrupted = make()
    while interrupted.step < step:
        interrupted.train_epoch(lambda: interrupted.step == step)
    continued = training(FP16)
    continued.load(copy.deepcopy(interrupted.state()))
    assert_alike(trained(continued), trained(make()))
