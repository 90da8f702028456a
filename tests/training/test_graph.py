"""A step as a CUDA graph equals the step itself: on a GPU if there is one, otherwise with a fake graph."""

import copy
import os

import pytest
import torch

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.run.config import from_container
from cifar_resnet.training import graph, kernel_choice, schedule
from cifar_resnet.training.data import load
from cifar_resnet.training.loop import Training
from tests.conftest import TINY

SMALL = ["optim.batch_size=8", "optim.lr=0.01", "data.train_size=61", "optim.milestones=[1]"]
SCENES = [[f"model={model}"] for model in ARCHITECTURES]
SCENES += [
    ["precision=bf16"],
    ["precision=fp16"],
    ["optim.warmup=5"],
    ["optim.momentum=0"],
    ["optim.nesterov=true"],
    ["data.augment=false"],
]
SCENES += [
    ["optim=onecycle", "optim.epochs=2"],
    ["optim=adamw", "optim.epochs=2"],
    ["optim=muon", "optim.epochs=2"],
    ["model.norm=none"],
    ["model.shortcut=B"],
]


class Rerun:
    """Replaces a graph where there is no GPU: runs the step again."""

    def __init__(self, graphs, size):
        self.graphs, self.size = graphs, size

    def replay(self):
        with self.graphs._uncounted():
            self.graphs._step(self.size)


@pytest.fixture
def faked(monkeypatch):
    """Everything about a graph except the GPU: what a capture changes, what the host counts, what stays in place."""

    def capture(graphs, size):
        before = [tensor.clone() for tensor in graphs._state]
        with graphs._uncounted(), torch.random.fork_rng():
            for _ in range(4):
                graphs._step(size)
        for tensor, value in zip(graphs._state, before, strict=True):
            tensor.copy_(value)
        return Rerun(graphs, size)

    monkeypatch.setattr(graph.StepGraphs, "_capture", capture)
    monkeypatch.setattr(kernel_choice, "choose", lambda config, *_: config.runtime.kernels)


def make(composed, *overrides, device="cpu"):
    config = from_container(composed(*TINY, *SMALL, *overrides))
    return Training(config, load(config.data, config.seed), torch.device(device))


def finish(run):
    while not run.finished:
        run.train_epoch(lambda: False)
    return run


def losses(run):
    return [(row["train_loss"], row["train_error"], row["lr"]) for row in run.history]


def assert_alike(run, other, exact=True):
    """Asserts equal history, weights, statistics, batch counters and state to continue from."""
    ours, theirs = run.state(), other.state()
    torch.testing.assert_close(ours["network"], theirs["network"], rtol=0 if exact else 1e-3, atol=0 if exact else 1e-4)
    if exact:
        assert losses(run) == losses(other)
        torch.testing.assert_close(ours["warmup"], theirs["warmup"], rtol=0, atol=0)
        assert ours["scaler"] == theirs["scaler"]
        for name in ours["optimizer"]["state"]:
            torch.testing.assert_close(
                ours["optimizer"]["state"][name], theirs["optimizer"]["state"][name], rtol=0, atol=0
            )


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: " ".join(scene))
def test_a_graph_trains_as_single_kernels_do(composed, faked, scene):
    run = finish(make(composed, *scene, "runtime.kernels=graph"))
    # On a CPU, the learning rate has 64 bits outside of a graph and 32 in it, which SGD, unlike others, doesn't notice.
    exact = not {"optim=adamw", "optim=muon"} & set(scene)
    assert_alike(run, finish(make(composed, *scene, "runtime.kernels=eager")), exact)


def test_a_graph_notices_that_the_training_error_ends_the_warmup(composed, faked, monkeypatch):
    monkeypatch.setattr(schedule, "WARMUP_DEPTH", 8)  # 110 layers take long
    monkeypatch.setattr(schedule, "WARMUP_ERROR", 97.0)
    run, twin = (finish(make(composed, f"runtime.kernels={kernels}")) for kernels in ("graph", "eager"))
    assert 0 < run.warmup.error < 97  # it ended within the first epoch, after which the error isn't watched
    assert_alike(run, twin)


@pytest.mark.parametrize("step", [1, 8, 11])
def test_a_run_with_graphs_continues_bit_for_bit(composed, faked, step):
    interrupted = make(composed, "runtime.kernels=graph")
    while interrupted.step < step:
        interrupted.train_epoch(lambda: interrupted.step == step)
    state = copy.deepcopy(interrupted.state())
    continued = make(composed, "runtime.kernels=graph")
    continued.load(state)
    assert_alike(finish(continued), finish(make(composed, "runtime.kernels=eager")))


@pytest.fixture
def exactly(monkeypatch):
    """Makes torch use algorithms that always give the same bits."""
    monkeypatch.setitem(os.environ, "CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = False, False
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.cuda
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: " ".join(scene))
def test_on_a_gpu_a_graph_trains_as_single_kernels_do(composed, exactly, scene):
    run = finish(make(composed, *scene, "runtime.kernels=graph", device="cuda"))
    assert_alike(run, finish(make(composed, *scene, "runtime.kernels=eager", device="cuda")))


@pytest.mark.cuda
@pytest.mark.parametrize("kernels", ["graph", "eager"])
@pytest.mark.parametrize("step", [1, 8, 11])
def test_on_a_gpu_a_run_continues_bit_for_bit(composed, exactly, kernels, step):
    chosen = f"runtime.kernels={kernels}"
    interrupted = make(composed, chosen, device="cuda")
    while interrupted.step < step:
        interrupted.train_epoch(lambda: interrupted.step == step)
    state = copy.deepcopy(interrupted.state())
    continued = make(composed, chosen, device="cuda")
    continued.load(state)
    assert_alike(finish(continued), finish(make(composed, chosen, device="cuda")))


@pytest.mark.cuda
@pytest.mark.parametrize("model", ARCHITECTURES)
def test_a_gpu_computes_the_losses_that_a_cpu_does(composed, exactly, model):
    # At such a low rate, rounding errors don't grow from step to step.
    overrides = [f"model={model}", "depth=20", "data.image_size=32", "data.train_size=160", "optim.epochs=1"]
    overrides += ["optim.lr=1e-4"]
    gpu, cpu = (finish(make(composed, *overrides, device=device)) for device in ("cuda", "cpu"))
    assert gpu.step == 20
    assert losses(gpu)[0][0] == pytest.approx(losses(cpu)[0][0], rel=1e-3)
    assert gpu.evaluator.evaluate(gpu.splits["test"]) == pytest.approx(
        cpu.evaluator.evaluate(cpu.splits["test"]), rel=2e-2
    )


@pytest.mark.cuda
def test_on_a_gpu_diagnostics_change_nothing_in_a_run(composed, exactly):
    with_them = finish(make(composed, "diagnostics.enabled=true", "diagnostics.every=1", device="cuda"))
    assert len(with_them.diagnostics) == 2 * 7
    assert_alike(with_them, finish(make(composed, device="cuda")))


@pytest.mark.cuda
def test_on_a_gpu_an_infinite_loss_is_noticed_at_the_epochs_end(composed):
    from cifar_resnet.training.loop import Diverged

    with pytest.raises(Diverged, match="epoch 1"):
        finish(make(composed, "optim.lr=1e30", device="cuda"))
