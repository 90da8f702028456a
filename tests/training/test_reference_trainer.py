"""Speed-ups don't change results: this project's training loop gives the same losses as a conventional trainer."""

import sys

import pytest
import torch
from torch import nn

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.run.defaults import REPO_ROOT
from cifar_resnet.training.data import draw_epoch, normalise
from cifar_resnet.training.loop import Training

sys.path.insert(0, str(REPO_ROOT / "benchmarks"))
from reference_trainer import Reference, make_step

FIFTY_STEPS = ["data.train_size=80", "data.augment=false", "optim.epochs=5", "optim.gamma=1", "optim.warmup=none"]


def losses_of_ours(run: Training) -> list[float]:
    losses, add = [], run.sums.add
    run.sums.add = lambda logits, labels, loss: losses.append(loss.item()) or add(logits, labels, loss)
    while not run.finished:
        run.train_epoch(lambda: False)
    return losses


def losses_of_reference(run: Training, twin: nn.Module, lr: float) -> list[float]:
    """The same steps on the same batches, without this project's speed-ups."""
    step, losses, size = make_step(twin, lr, bf16=False), [], run.config.optim.batch_size
    dtype = next(twin.parameters()).dtype
    for epoch in range(run.schedule.epochs):
        order = draw_epoch(len(run.train.labels), run.config.seed, epoch, augment=False).permutation
        for index in order.split(size):
            images = normalise(run.train.images[index], run.mean, run.std).contiguous().to(dtype)
            losses.append(step(images, run.train.labels[index])[0])
    return losses


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize(
    ("dtype", "lr", "tolerance"),
    [
        # Training amplifies rounding: at the recipe's own rate, only double precision shows that the steps are equal.
        (torch.float64, 0.1, 1e-9),
        (torch.float32, 1e-4, 1e-5),
    ],
)
def test_fifty_steps_have_the_losses_of_the_usual_trainer(training, model, dtype, lr, tolerance):
    run = training(f"model={model}", f"optim.lr={lr}", *FIFTY_STEPS)
    twin = Reference(model, 8)
    twin.load_state_dict(run.network.state_dict())
    run.network.to(dtype)
    run.network.register_forward_pre_hook(lambda _, images: (images[0].to(dtype),))
    expected = losses_of_reference(run, twin.to(dtype), lr)
    ours = losses_of_ours(run)
    assert len(ours) == 50
    assert ours == pytest.approx(expected, rel=tolerance)
