"""The images that the network sees in an epoch, and the row of metrics.csv."""

import types

import pytest
import torch
from torch.nn import functional as F

from cifar_resnet.training import loop
from cifar_resnet.training.data import crop_and_flip, draw_epoch, normalise
from cifar_resnet.training.diagnostics import choose_batch, measure_layers
from cifar_resnet.training.loop import Diverged
from tests.training.conftest import images_seen

UNEVEN = ["data.train_size=61"]  # seven batches of 8 images and one of 5


def outputs(run):
    """A list that collects the network's output at each forward pass, and whether it was in training mode."""
    seen = []
    run.network.register_forward_hook(
        lambda network, inputs, output: seen.append((output.detach().clone(), network.training))
    )
    return seen


@pytest.mark.parametrize("augment", [True, False])
def test_each_step_shows_the_next_images_of_the_epochs_draws(training, augment):
    run = training(*UNEVEN, "seed=5", f"data.augment={augment}")
    for epoch in range(2):
        draws = draw_epoch(61, 5, epoch, augment)
        images = crop_and_flip(run.train.images[draws.permutation], draws.offsets, draws.flips)
        seen = images_seen(run)
        assert [len(batch) for batch in seen] == [8] * 7 + [5]
        assert torch.equal(torch.cat(seen), normalise(images, run.mean, run.std))


def test_a_last_batch_of_one_image_is_left_out_of_the_epoch(training):
    assert [len(batch) for batch in images_seen(training("data.train_size=57"))] == [8] * 7


def test_evaluation_shows_all_images_as_they_are_in_their_order(training):
    run = training("data.test_size=300", "data.augment=true")  # more than one batch
    seen = []
    run.network.register_forward_pre_hook(lambda network, inputs: seen.append(inputs[0]))
    run.evaluator.evaluate(run.splits["test"])
    run.evaluator.predict(run.splits["test"])
    expected = normalise(run.splits["test"].images, run.mean, run.std)
    assert torch.equal(torch.cat(seen), torch.cat([expected, expected]))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_epochs_means_weigh_each_image_alike(training, precision):
    run = training(*UNEVEN, "seed=2", f"precision={precision}")
    for epoch in range(2):
        seen = outputs(run)
        run.train_epoch(lambda: False)
        logits = torch.cat([output for output, in_training in seen if in_training]).float()
        labels = run.train.labels[draw_epoch(61, 2, epoch, True).permutation]
        row = run.history[epoch]
        assert row["train_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
        assert row["train_error"] == pytest.approx(100 * (logits.argmax(1) != labels).sum().item() / 61, abs=1e-6)


def test_evaluation_weighs_each_image_alike(training):
    run = training("data.test_size=300")  # a batch of 250 and one of 50
    test = run.splits["test"]
    images_seen(run)  # so that the two batches' errors differ
    with torch.no_grad():
        logits = run.network.eval()(normalise(test.images, run.mean, run.std))
    loss, error = run.evaluator.evaluate(test)
    assert loss == pytest.approx(F.cross_entropy(logits, test.labels).item(), rel=1e-5)
    assert error == pytest.approx(100 * (logits.argmax(1) != test.labels).sum().item() / 300)
    assert (run.history[0]["test_loss"], run.history[0]["test_error"]) == pytest.approx((loss, error), abs=1e-6)


def test_predictions_are_the_likeliest_classes_with_their_probabilities(training):
    run = training("data.test_size=300")
    test = run.splits["test"]
    found = run.evaluator.predict(test)
    with torch.no_grad():
        probabilities = run.network.eval()(normalise(test.images, run.mean, run.std)).softmax(1)
    assert torch.equal(found.label, test.labels)
    assert torch.equal(found.prediction, probabilities.argmax(1))
    torch.testing.assert_close(found.probability, probabilities.max(1).values)
    assert found.error == pytest.approx(run.evaluator.evaluate(test)[1], abs=1e-6)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_training_evaluation_and_predictions_all_compute_in_the_precision_asked_for(training, precision, dtype):
    run = training(f"precision={precision}", "optim.epochs=1")
    seen = outputs(run)
    for compute in (lambda: run.train_epoch(lambda: False), lambda: run.evaluator.predict(run.splits["test"])):
        seen.clear()
        compute()
        assert {output.dtype for output, _ in seen} == {dtype}
    seen.clear()
    run.evaluator.evaluate(run.splits["test"])
    assert [(output.dtype, in_training) for output, in_training in seen] == [(dtype, False)]
    assert run.evaluator.predict(run.splits["test"]).probability.dtype == torch.float32


@pytest.mark.parametrize(("broken_after", "epoch"), [(3, 1), (8 + 5, 2)])
@pytest.mark.parametrize(("bias", "others"), [(float("nan"), 0.0), (3e38, -3e38)], ids=["not a number", "infinite"])
def test_divergence_is_noticed_at_the_step_at_which_the_loss_is_no_longer_finite(
    training, broken_after, epoch, bias, others
):
    run = training()

    def break_it():
        if run.step == broken_after:
            run.network.linear.bias.data.fill_(others)[0] = bias
        return False

    with pytest.raises(Diverged, match=rf"not finite at step {broken_after + 1} \(epoch {epoch}\)"):
        while not run.finished:
            run.train_epoch(break_it)
    assert len(run.history) == epoch - 1


def test_where_reads_stall_divergence_is_noticed_at_the_end_of_its_epoch(training):
    run = training()
    run.reads_are_free = False
    run.network.linear.bias.data[0] = float("nan")
    with pytest.raises(Diverged, match=r"at step 8 \(epoch 1\)"):
        run.train_epoch(lambda: False)


class Clock:
    """Replaces `time.perf_counter` with a clock that only advances when a test sets it."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(loop, "time", types.SimpleNamespace(perf_counter=lambda: self.now))

    def tick(self, network, inputs):
        """A training step takes 2 seconds, an evaluation batch 0.5."""
        self.now += 2.0 if network.training else 0.5


def test_times_are_those_of_training_and_of_evaluation_without_what_lies_between(training, monkeypatch):
    clock = Clock(monkeypatch)
    first, second = training("data.test_size=300"), training("data.test_size=300")
    for run in (first, second):
        run.network.register_forward_pre_hook(clock.tick)
    first.train_epoch(lambda: first.step == 3)
    state = first.state()
    clock.now += 10_000  # no training in between
    second.load(state)
    while not second.finished:
        second.train_epoch(lambda: False)
    for row in second.history:
        assert (row["train_seconds"], row["test_seconds"]) == (16.0, 1.0)
        assert row["images_per_second"] == 4.0


def test_an_epochs_row_has_its_number_its_last_step_and_that_steps_rate(training):
    run = training("optim.milestones=[1]", "optim.gamma=0.5", "optim.warmup=10")
    images_seen(run), images_seen(run)
    assert [(row["epoch"], row["step"], row["lr"]) for row in run.history] == [(1, 8, 0.001), (2, 16, 0.005)]


@pytest.mark.parametrize("overrides", [["optim.warmup=5"], ["optim.schedule=onecycle"], ["optim.milestones=[1]"]])
def test_the_optimizer_takes_each_step_at_the_schedules_rate(training, overrides):
    run = training(*overrides, *UNEVEN)
    rates = {}
    run.optimizer.register_step_pre_hook(
        lambda optimizer, *_: rates.update({run.step: float(optimizer.param_groups[0]["lr"])})
    )
    images_seen(run), images_seen(run)
    warm = 5 if overrides == ["optim.warmup=5"] else 0
    assert rates == pytest.approx({step: run.schedule.lr_at(step) * (0.1 if step < warm else 1) for step in range(16)})


def test_a_holdout_is_evaluated_each_epoch_and_the_test_set_after_the_last(training):
    run = training("data.holdout=16", "optim.epochs=3")
    while not run.finished:
        run.train_epoch(lambda: False)
    assert ["val_error" in row for row in run.history] == [True] * 3
    assert ["test_error" in row for row in run.history] == [False, False, True]
    last = run.history[-1]
    assert [last["val_loss"], last["test_loss"]] == pytest.approx(
        [run.evaluator.evaluate(run.splits[name])[0] for name in ("val", "test")], abs=1e-6
    )


def test_diagnostics_are_of_the_training_images_as_the_network_takes_them(training):
    run = training("diagnostics.enabled=true", "diagnostics.every=1")
    run.diagnose()
    images, labels = choose_batch(run.train)
    expected = measure_layers(run.network, normalise(images, run.mean, run.std), labels)
    assert repr(run.diagnostics) == repr([{"epoch": 0, "step": 0, **row} for row in expected])
    images_seen(run)
    assert {(row["epoch"], row["step"]) for row in run.diagnostics} == {(0, 0), (1, 8)}


def test_layers_are_named_as_in_the_network(training):
    run = training()
    convolutions = [
        name for name, module in run.network.named_modules() if getattr(module, "kernel_size", None) == (3, 3)
    ]
    images, labels = choose_batch(run.train)
    rows = measure_layers(run.network, normalise(images, run.mean, run.std), labels)
    assert [row["name"] for row in rows] == convolutions
