"""Every optimizer of the registry trains, continues exactly, and starts from moments of zero as from none."""

import copy

import pytest
import torch

from cifar_resnet.errors import ConfigError
from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.training import muon, optimizer


@pytest.fixture(params=OPTIMIZERS)
def chosen(request):
    return f"optim.optimizer={request.param}"


def finish(run):
    while not run.finished:
        run.train_epoch(lambda: False)
    return run


def weights(run):
    return torch.cat([parameter.detach().flatten() for parameter in run.network.parameters()])


def test_it_learns(training, chosen):
    run = finish(training(chosen, "optim.epochs=3", "optim.lr=0.01"))
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]


def test_a_run_continues_exactly(training, chosen):
    whole = finish(training(chosen, "optim.epochs=2"))
    begun, steps = training(chosen, "optim.epochs=2"), iter(range(100))
    begun.train_epoch(lambda: next(steps) == 4)
    continued = training(chosen, "optim.epochs=2")
    continued.load(copy.deepcopy(begun.state()))
    assert torch.equal(weights(finish(continued)), weights(whole))


def test_moments_of_zero_give_the_first_step_of_none(training, chosen):
    plain, prepared = training(chosen), training(chosen)
    optimizer.create_state(prepared.optimizer)
    kinds = {name for state in prepared.optimizer.state.values() for name in state} - {"step"}
    assert len(kinds) == OPTIMIZERS[chosen.partition("=")[2]].moments
    for run in (plain, prepared):
        run.train_epoch(lambda: True)
    assert torch.equal(weights(plain), weights(prepared))


def test_the_moments_created_are_those_that_the_first_step_creates(training, chosen):
    stepped, prepared = training(chosen), training(chosen)
    stepped.train_epoch(lambda: True)
    optimizer.create_state(prepared.optimizer)
    for parameter, other in zip(stepped.network.parameters(), prepared.network.parameters(), strict=True):
        own, created = stepped.optimizer.state[parameter], prepared.optimizer.state[other]
        assert {name: value.shape for name, value in own.items()} == {name: v.shape for name, v in created.items()}


def test_an_optimizer_without_an_entry_is_named_before_a_step_is_captured():
    with pytest.raises(KeyError, match="RMSprop"):
        optimizer.create_state(torch.optim.RMSprop([torch.nn.Parameter(torch.zeros(2))], momentum=0.9))


def test_the_step_of_adamw_is_that_of_its_paper(training):
    run = training("optim.optimizer=adamw", "optim.lr=0.01", "optim.weight_decay=0.1", "optim.warmup=none")
    before = weights(run)
    run.train_epoch(lambda: True)
    gradient = torch.cat([parameter.grad.flatten() for parameter in run.network.parameters()])
    # At the first step, both moments are the gradient's own after their bias is removed.
    expected = before - 0.01 * 0.1 * before - 0.01 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(weights(run), expected, rtol=1e-5, atol=1e-6)


def test_the_step_of_muon_is_orthogonal_for_convolutions_and_that_of_sgd_for_the_rest(training):
    changes = ["optim.lr=0.5", "optim.weight_decay=0.1", "optim.warmup=none", "model.shortcut=B"]
    run = training("optim.optimizer=muon", *changes)
    before = [parameter.detach().clone() for parameter in run.network.parameters()]
    run.train_epoch(lambda: True)
    for index, (parameter, old) in enumerate(zip(run.network.parameters(), before, strict=True)):
        expected = parameter.grad
        if index > 0 and expected.ndim == 4:
            rows, columns = expected.flatten(1).shape
            scale = 0.1 * max(1, rows / columns) ** 0.5
            expected = scale * muon.orthogonalize(expected.flatten(1)[None])[0].view_as(old)
        torch.testing.assert_close(parameter.detach(), (1 - 0.5 * 0.1) * old - 0.5 * expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 16, 144), (1, 32, 16), (2, 8, 8)])
def test_orthogonal_matrices_keep_their_singular_vectors(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape, dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    diagonal = left.mT @ muon.orthogonalize(matrices) @ right.mT
    values = diagonal.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(diagonal, torch.diag_embed(values), rtol=0, atol=1e-9)
    assert ((values > 0.6) & (values < 1.3)).all()


def test_adamw_has_no_nesterov_momentum(training):
    with pytest.raises(ConfigError, match="adamw has no Nesterov momentum; expected false"):
        training("optim.optimizer=adamw", "optim.nesterov=true")


def test_a_state_of_another_device_is_adapted(training):
    run = training("optim.optimizer=adamw")
    state = run.state()
    state["optimizer"]["param_groups"][0]["capturable"] = True
    run.load(state)
    run.train_epoch(lambda: True)
    assert run.optimizer.param_groups[0]["capturable"] is False
