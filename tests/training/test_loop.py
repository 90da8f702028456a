"""Training continues exactly from any step, and follows its configuration."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.errors import RunError
from cifar_resnet.training import loop, models
from cifar_resnet.training.loop import Diverged, Training
from cifar_resnet.training.models import ResidualBlock
from cifar_resnet.training.schedule import Warmup

TIMES = {"train_seconds", "test_seconds", "images_per_second"}


def finish(run: Training) -> Training:
    while not run.finished:
        run.train_epoch(lambda: False)
    return run


def results(run: Training):
    history = [{name: value for name, value in row.items() if name not in TIMES} for row in run.history]
    return history, {name: value.tolist() for name, value in run.network.state_dict().items()}


CASES = [([], 1), ([], 7), ([], 8), ([], 12), (["optim.warmup=5"], 3)]
CASES += [([f"model.name={name}"], 3) for name in (*ARCHITECTURES, "dropout")]
# The only depth here whose warm-up watches the training error.
CASES += [(["depth=110", "model.width=1", "optim.batch_size=16", "optim.epochs=1"], 2)]


class DropoutBlock(ResidualBlock):
    """A residual block that draws random numbers in each step."""

    def branch(self, x):
        return F.dropout(super().branch(x), 0.3, self.training)


@pytest.fixture(autouse=True)
def dropout(monkeypatch):
    """Adds a model with random layers to the registry."""
    monkeypatch.setattr(models, "DropoutBlock", DropoutBlock, raising=False)
    monkeypatch.setitem(ARCHITECTURES, "dropout", replace(ARCHITECTURES["resnet"], block="DropoutBlock"))


@pytest.mark.parametrize(("overrides", "step"), CASES)
def test_a_run_stopped_at_any_step_and_continued_ends_bit_for_bit_alike(training, overrides, step):
    interrupted = training(*overrides)
    while interrupted.step < step:
        interrupted.train_epoch(lambda: interrupted.step == step)
    state = copy.deepcopy(interrupted.state())
    torch.manual_seed(12345)
    continued = training(*overrides)
    continued.load(state)
    assert results(finish(continued)) == results(finish(training(*overrides)))


def test_epoch_means_are_those_of_its_batches(training):
    run = training("optim.epochs=1")
    seen = []
    add = run.sums.add
    run.sums.add = lambda logits, labels, loss: seen.append((loss.item(), len(labels))) or add(logits, labels, loss)
    run.train_epoch(lambda: False)
    assert len(seen) == 8
    mean = sum(loss * size for loss, size in seen) / 64
    assert run.history[0]["train_loss"] == pytest.approx(mean, abs=1e-6)


def test_the_last_batch_is_whatever_is_left(training):
    run = finish(training("data.train_size=61", "optim.epochs=1"))
    assert run.step == 8
    assert run.history[0]["train_error"] == pytest.approx(100 * round(run.history[0]["train_error"] * 0.61) / 61)


def test_an_infinite_loss_names_the_step(training):
    with pytest.raises(Diverged, match=r"not finite at step \d+ \(epoch 1\)"):
        finish(training("optim.lr=1e30"))


def test_bf16_trains_with_fp32_weights(training):
    run = finish(training("precision=bf16", "optim.epochs=1"))
    assert run.network.conv1.weight.dtype == torch.float32
    assert run.history[0]["train_loss"] > 0
    assert results(run) != results(finish(training("optim.epochs=1")))


def test_the_learning_rate_drops_at_the_milestones(training):
    run = finish(training("optim.epochs=4", "optim.milestones=[1,3]"))
    assert [row["lr"] for row in run.history] == pytest.approx([0.01, 0.001, 0.001, 0.0001])


class Reads(TorchDispatchMode):
    """Counts operations that make the host wait for a GPU: reading a number, or a shape that depends on values."""

    STALLING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.count += function.overloadpacket.__name__ in self.STALLING
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("depth", [8, 110])
def test_where_reads_stall_nothing_is_read_between_an_epochs_first_step_and_its_last(training, depth):
    run = training(f"depth={depth}", "model.width=1", "optim.batch_size=16", "optim.epochs=1")
    run.reads_are_free = False
    counts = []
    with Reads() as reads:
        run.train_epoch(lambda: counts.append(reads.count) or False)
    assert counts == [0, 0, 0]  # after each step but the last
    assert reads.count > 0


def test_the_warmup_on_the_device_is_the_one_of_numbers(training):
    run = training("depth=110", "model.width=1", "optim.batch_size=32", "optim.lr=0.1", "optim.milestones=[]")
    factors = []
    step = run._train_step
    run._train_step = lambda draws: factors.append(step(draws)) or factors[-1]
    finish(run)
    # Two steps can't bring the running error below 80 %, but the warm-up still ends with the epoch.
    assert [round(float(factor), 6) for factor in factors] == [0.1, 0.1, 1.0, 1.0]
    assert [row["lr"] for row in run.history] == [0.01, 0.1]


@pytest.mark.parametrize("error", [50.0, 100.0])
def test_the_recorded_rate_is_that_of_the_epochs_last_step_with_the_warmup_as_a_number(training, error):
    run = training("optim=onecycle", "optim.epochs=2", "optim.lr=0.3")
    run.warmup = Warmup(100, until_error=80.0, error=torch.tensor(error, dtype=torch.float64))
    run.warmup.observe = lambda batch_error: None
    finish(run)
    factor = 1.0 if error < 80 else 0.1
    assert [row["lr"] for row in run.history] == pytest.approx([factor * run.schedule.lr_at(step) for step in (7, 15)])
    assert run.schedule.lr_at(7) != run.schedule.lr_at(6)


def test_the_warmup_watches_the_error_in_percent(training):
    run = training("depth=110", "model.width=1", "optim.batch_size=16", "optim.epochs=1")
    run.train_epoch(lambda: True)
    assert run.sums.wrong > 0
    assert run.warmup.error.item() == pytest.approx(95 + 0.05 * 100 * run.sums.wrong.item() / 16)


def test_a_state_names_its_kernels_and_has_the_time_since_the_epoch_began(training, monkeypatch):
    run = training("optim.epochs=1")
    run.train_epoch(lambda: True)
    monkeypatch.setattr(loop.time, "perf_counter", lambda: run._clock + 7.0)
    before = run.sums.seconds
    state = run.state()
    assert state["kernels"] == run.kernels
    assert state["sums"]["seconds"] == pytest.approx(before + 7.0)


def test_an_epoch_that_is_stopped_is_not_complete(training):
    run = training("optim.epochs=1")
    assert run.train_epoch(lambda: run.step == 3) is False
    assert run.train_epoch(lambda: False) is True


@pytest.mark.parametrize("name", [*ARCHITECTURES, "dropout"])
def test_diagnostics_change_nothing_in_a_run(training, name):
    overrides = [f"model.name={name}", "diagnostics.enabled=true", "diagnostics.every=1"]
    measured = training(*overrides)
    measured.diagnose()
    assert results(finish(measured)) == results(finish(training(*overrides[:1])))
    assert {row["epoch"] for row in measured.diagnostics} == {0, 1, 2}


@pytest.mark.integration  # compiling takes a minute or more, and needs a C++ compiler
def test_a_compiled_network_trains_alike(training):
    plain, compiled = training("optim.epochs=1"), training("optim.epochs=1", "runtime.compile=true")
    finish(plain), finish(compiled)
    assert compiled.history[0]["train_loss"] == pytest.approx(plain.history[0]["train_loss"], rel=1e-4)
    assert compiled.network.state_dict().keys() == plain.network.state_dict().keys()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_label_smoothing_changes_the_gradients_and_no_recorded_loss(training, precision):
    keys = ("optim.lr=1e-9", f"precision={precision}")
    run, smooth = training(*keys), training(*keys, "optim.label_smoothing=0.5")
    finish(run), finish(smooth)
    for loss in ("train_loss", "test_loss"):
        assert smooth.history[0][loss] == pytest.approx(run.history[0][loss], rel=1e-4)
    plain, other = (next(iter(one.network.parameters())).grad for one in (run, smooth))
    assert not torch.allclose(plain, other, rtol=0.1)


def test_a_run_whose_last_step_destroys_it_has_diverged(training):
    run = training("optim.epochs=2")
    learn = run._train_step

    def step(draws):
        factor = learn(draws)
        if run.finished:
            run.network.linear.weight.data[0, 0] = math.inf
        return factor

    run._train_step = step
    assert run.train_epoch(lambda: False)
    with pytest.raises(Diverged, match="the weights are not finite after the last step"):
        run.train_epoch(lambda: False)


def test_evaluation_uses_running_statistics_and_changes_nothing(training):
    run = training()
    before = results(run)
    first, second = run.evaluator.evaluate(run.splits["test"]), run.evaluator.evaluate(run.splits["test"])
    assert first == second
    assert results(run) == before


def test_a_checkpoint_of_another_network_is_refused(training):
    with pytest.raises(
        RunError, match=r"doesn't match this run's network: Error\(s\) in loading state_dict[^\n]*; delete it"
    ):
        training().load(training("model.width=8").state())


def test_the_time_between_two_epochs_belongs_to_neither(training, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(clock)))
    run = training("optim.epochs=2")
    run.train_epoch(lambda: False)
    assert run.state()["sums"]["seconds"] == 0
    run.train_epoch(lambda: True)  # stopped after its first step, one second later
    assert run.state()["sums"]["seconds"] == 1
