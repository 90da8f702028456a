"""The keys of the optimizer and of its schedule."""

import pytest
import torch

from cifar_resnet.run.defaults import overridden, recipe
from cifar_resnet.run.identity import flatten, run_name
from tests.every_key import acts
from tests.training.conftest import images_seen


def rates(run):
    """The learning rate that the optimizer used at each step of the run."""
    taken = []
    run.optimizer.register_step_pre_hook(lambda optimizer, *_: taken.append(float(optimizer.param_groups[0]["lr"])))
    while not run.finished:
        run.train_epoch(lambda: False)
    return taken


@acts("optim.name", "optim.name=mine")
def test_the_recipes_name_is_what_its_runs_are_called_by(composed, overrides):
    config = composed("data=digits", *overrides)
    assert recipe(flatten(config)) == "mine"
    assert run_name(config, overridden(config)).startswith("digits/resnet-20/seed0-optim=mine")


@acts("optim.epochs", "optim.epochs=3")
def test_epochs_is_the_length_of_the_run(training, overrides):
    assert len(rates(training(*overrides))) == 3 * 8


@acts("optim.iterations", "optim.iterations=5", "optim.epochs=null")
def test_iterations_is_the_length_of_the_run(training, overrides):
    assert len(rates(training(*overrides))) == 5


@acts("optim.batch_size", "optim.batch_size=24")
def test_batch_size_is_the_images_of_a_step(training, overrides):
    assert [len(images) for images in images_seen(training(*overrides))] == [24, 24, 16]


@acts("optim.schedule", "optim.schedule=onecycle")
def test_one_cycle_climbs_and_comes_down(training, overrides):
    taken = rates(training(*overrides))
    assert max(taken) == taken[3] == pytest.approx(0.01)
    assert taken[0] < taken[2] > taken[-1]


@acts("optim.lr", "optim.lr=0.05")
def test_lr_is_the_rate_of_the_first_step(training, overrides):
    assert rates(training(*overrides))[0] == 0.05


@acts("optim.peak", "optim.peak=0.5")
def test_peak_is_where_one_cycle_is_highest(training, overrides):
    taken = rates(training(*overrides, "optim.schedule=onecycle"))
    assert taken.index(max(taken)) == 7


def groups(run, name):
    (value,) = {group[name] for group in run.optimizer.param_groups}
    assert sum(len(group["params"]) for group in run.optimizer.param_groups) == len(list(run.network.parameters()))
    return value


@acts("optim.optimizer", "optim.optimizer=adamw", "optim.momentum=0.8", "optim.weight_decay=0.03")
def test_the_optimizer_is_the_chosen_one(training, overrides):
    run = training(*overrides)
    assert isinstance(run.optimizer, torch.optim.AdamW)
    assert (groups(run, "betas"), groups(run, "weight_decay")) == ((0.8, 0.999), 0.03)
    assert isinstance(training().optimizer, torch.optim.SGD)


@acts("optim.momentum", "optim.momentum=0.5")
def test_momentum_is_the_optimizers(training, overrides):
    assert groups(training(*overrides), "momentum") == 0.5


@acts("optim.nesterov", "optim.nesterov=true")
def test_nesterov_is_the_optimizers(training, overrides):
    assert groups(training(*overrides), "nesterov") is True
    assert groups(training(), "nesterov") is False


@acts("optim.weight_decay", "optim.weight_decay=0.03")
def test_weight_decay_is_the_optimizers_for_all_parameters(training, overrides):
    assert groups(training(*overrides), "weight_decay") == 0.03


@acts("optim.label_smoothing", "optim.label_smoothing=0.5")
def test_label_smoothing_moves_a_network_that_knows(training, overrides):
    """A network that always predicts the first class, and is right, learns nothing more without smoothing."""
    biases = []
    for words in ((), overrides):
        run = training("optim.weight_decay=0", *words)
        run.train.labels.zero_()
        run.network.linear.weight.data.zero_()
        run.network.linear.bias.data[0] = 100.0
        run.train_epoch(lambda: False)
        biases.append(run.network.linear.bias[0].item())
    assert biases[0] == 100.0 > biases[1]


@acts("optim.milestones", "optim.milestones=[1]")
def test_milestones_are_where_the_rate_drops(training, overrides):
    assert rates(training(*overrides, "optim.epochs=2")) == pytest.approx([0.01] * 8 + [0.001] * 8)


@acts("optim.gamma", "optim.gamma=0.5")
def test_gamma_is_the_factor_at_a_milestone(training, overrides):
    assert rates(training(*overrides, "optim.milestones=[1]")) == pytest.approx([0.01] * 8 + [0.005] * 8)


@acts("optim.warmup", "optim.warmup=3")
def test_warmup_is_the_number_of_steps_at_a_tenth_of_the_rate(training, overrides):
    assert rates(training(*overrides, "optim.milestones=[]")) == pytest.approx([0.001] * 3 + [0.01] * 13)
