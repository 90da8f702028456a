"""The fused kernels compute what PyTorch's do, at least as exactly, and are only used where that is so."""

import copy
import functools
import itertools
import logging
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cifar_resnet.architectures import ARCHITECTURES, with_shortcuts
from cifar_resnet.run.config import from_container
from cifar_resnet.training import describe, kernel_choice, models
from cifar_resnet.training.loop import Diverged, Training
from tests.conftest import TINY, compose_run, work
from tests.training.conftest import finish
from tests.training.test_graph import assert_alike

pytest.importorskip("numba")
from numba import njit
from numba.core import event

from cifar_resnet.training import fused
from cifar_resnet.training.kernels import _load, _store

pytestmark = pytest.mark.usefixtures("restored_torch")
FUSED = "runtime.kernels=fused"
WITH_SHORTCUTS = [{"shortcut": "B"}, {"zero_init_residual": True}]
CASES = [
    (model, options)
    for model in ARCHITECTURES
    for options in [{}, *(WITH_SHORTCUTS if model in with_shortcuts() else [])]
]


def gradients(network, forward, images, labels, bf16=False):
    """Loss, gradients and buffers, in double precision."""
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = F.cross_entropy(forward(images), labels)
    loss.backward()
    parts = [loss.detach().flatten(), *(parameter.grad.flatten() for parameter in network.parameters())]
    return torch.cat([part.double() for part in (*parts, *(buffer.flatten() for buffer in network.buffers()))])


@functools.cache
def errors_over_fifty_steps(model, options):
    """The sum of the relative errors of losses and gradients: of either kind of kernels, without and with bf16."""
    torch.manual_seed(0)
    exact = models.build_network(model, 8, **dict(options)).train()
    single = {"eager": copy.deepcopy(exact), "fused": copy.deepcopy(exact)}
    forward = {"eager": single["eager"], "fused": fused.FusedNetwork(single["fused"])}
    exact.double()
    optimizer = torch.optim.SGD(exact.parameters(), lr=0.05, momentum=0.9)
    errors = dict.fromkeys(itertools.product(single, [False, True]), 0.0)
    for _ in range(50):
        images = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
        labels = torch.randint(10, (4,))
        state = copy.deepcopy(exact.state_dict())
        expected = gradients(exact, exact, images.double(), labels)
        for name, bf16 in errors:
            single[name].load_state_dict(state)
            found = gradients(single[name], forward[name], images, labels, bf16)
            errors[name, bf16] += float((found - expected).norm() / expected.norm())
        optimizer.step()
    return errors


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("model", "options"), CASES, ids=str)
def test_over_fifty_steps_losses_and_gradients_are_as_exact_as_pytorchs(model, options, bf16):
    errors = errors_over_fifty_steps(model, tuple(options.items()))
    assert 0 < errors["fused", bf16] < (1.1 if bf16 else 1.0) * errors["eager", bf16]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (3, 3, 5, 7), (3, 10, 4, 6), (2, 300, 3, 3), (128, 16, 2, 2)], ids=str)
def test_any_shape_gives_the_numbers_of_the_modules(shape, dtype):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(shape[1])
    nn.init.uniform_(norm.weight, -1, 1)
    nn.init.uniform_(norm.bias, -1, 1)
    twin, (x, before, after) = copy.deepcopy(norm).double(), torch.randn(3, *shape)
    # In bf16, rounding the sum changes which values near 0 the ReLU passes.
    tolerance = 1e-5 if dtype == torch.float32 else 0.1
    for added in itertools.product([None, before], [None, after]):
        inputs = [None if one is None else one.to(dtype, memory_format=torch.channels_last) for one in (x, *added)]
        single = [None if one is None else one.clone().requires_grad_() for one in inputs]
        double = [None if one is None else one.double().requires_grad_() for one in inputs]
        y, second = fused._normalized(single[0].clone(), norm, *single[1:])
        total = double[0] if added[0] is None else double[0] + double[1]
        expected = F.relu(twin(total) + (0 if added[1] is None else double[2]))
        weights = torch.randn(2, *shape)
        ((y * weights[0]).sum() + (second * weights[1]).sum()).backward()
        shared = expected if added[0] is None else total
        ((expected * weights[0]).sum() + (shared * weights[1]).sum()).backward()
        for ours, theirs in zip((*single, norm.weight, norm.bias), (*double, twin.weight, twin.bias), strict=True):
            if ours is not None:
                assert (ours.grad - theirs.grad).norm() <= tolerance * theirs.grad.norm()
        assert (y - expected).norm() <= tolerance * expected.norm()
        assert (norm.running_var - twin.running_var).norm() <= tolerance * twin.running_var.norm()
        norm.zero_grad()
        twin.zero_grad()


def test_numbers_are_rounded_to_bfloat16_and_back_as_by_pytorch():
    @njit
    def to_bfloat16_and_back(numbers, example, rounded, back):
        for i in range(numbers.size):
            rounded[i] = _store(numbers[i], example[0])
            back[i] = _load(rounded[i])

    # Every bfloat16, infinities and NaN included, and numbers just above it and around the middle to the next.
    high = np.arange(1 << 16, dtype=np.uint32)[:, None] << 16
    numbers = (high + np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)).ravel().view(np.float32)
    rounded, back = np.empty(numbers.size, np.uint16), np.empty_like(numbers)
    to_bfloat16_and_back(numbers, rounded[:1], rounded, back)
    expected, number = torch.from_numpy(numbers).bfloat16(), ~np.isnan(numbers)
    assert (np.isnan(back) == ~number).all()
    assert (rounded == expected.view(torch.uint16).numpy())[number].all()
    assert (back == expected.float().numpy())[number].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_goes_through(dtype):
    norm, x = nn.BatchNorm2d(2), torch.randn(4, 2, 3, 3).to(dtype, memory_format=torch.channels_last)
    x[1, 0, 2, 2] = float("nan")
    y, _ = fused._normalized(x.clone(), norm)
    assert y[:, 0].isnan().all() and not y[:, 1].isnan().any()
    after = torch.full_like(x, float("nan"))
    assert fused._normalized(torch.randn_like(x), norm, after=after)[0].isnan().all()
    assert norm.running_mean.isnan().tolist() == [True, False]


def test_a_run_that_diverges_is_noticed(training):
    run = training(FUSED, "optim.lr=1e30")
    with pytest.raises(Diverged):
        run.train_epoch(lambda: False)
    assert run.kernels == "fused"


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize("step", [1, 8, 11])
def test_a_run_continues_bit_for_bit(training, model, step):
    def trained(run):
        while not run.finished:
            run.train_epoch(lambda: False)
        return run

    words = [f"model={model}", FUSED, "data.train_size=61"]
    interrupted = training(*words)
    while interrupted.step < step:
        interrupted.train_epoch(lambda: interrupted.step == step)
    continued = training(*words)
    continued.load(copy.deepcopy(interrupted.state()))
    assert_alike(trained(continued), trained(training(*words)))
    assert continued.kernels == "fused"


def choose(*overrides, begun=None, network=None, device="cpu"):
    config = from_container(compose_run(*TINY, *overrides))
    torch.set_num_threads(config.runtime.threads)
    network = network or models.build_network(config.model.name, config.depth, norm=config.model.norm)
    return kernel_choice.choose(config, network, torch.device(device), begun)


@pytest.mark.parametrize(
    ("wanted", "device", "begun", "chosen"),
    [
        ("auto", "cpu", None, "fused"),
        ("fused", "cpu", None, "fused"),
        ("eager", "cpu", None, "eager"),
        ("auto", "cpu", "eager", "eager"),
        ("auto", "cpu", "fused", "fused"),
        ("auto", "cpu", "eager+compile", "eager"),
        ("auto", "cuda", None, "graph"),
        ("graph", "cuda", None, "graph"),
        ("fused", "cuda", None, "graph"),
        ("eager", "cuda", None, "eager"),
        ("auto", "cuda", "eager", "eager"),
    ],
)
def test_the_kernels_are_those_asked_for_or_else_those_begun_with(wanted, device, begun, chosen):
    assert choose(f"runtime.kernels={wanted}", begun=begun, device=device) == chosen


@pytest.mark.parametrize("compiled", ["true", "false"])
@pytest.mark.parametrize("begun", ["eager", "eager+compile"])
def test_continuing_with_kernels_that_are_compiled_or_no_longer_is_a_warning(caplog, begun, compiled):
    chosen = choose("runtime.kernels=eager", f"runtime.compile={compiled}", begun=begun)
    same = chosen == begun
    assert [line.partition(";")[0] for line in caplog.messages] == (
        [] if same else [f"kernels: {chosen} from here on, {begun} before"]
    )


class OtherBlock(models.ResidualBlock):
    pass


@pytest.fixture
def edited(monkeypatch):
    """A user's change to a block, which the fused kernels don't know of."""
    monkeypatch.setattr(models.PlainBlock, "branch", lambda self, x: self.bn2(self.conv2(self.conv1(x))))


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["model.norm=none"], "the fused ones don't cover a network without batch norm"),
        (["runtime.compile=true"], "runtime.compile=true replaces the fused ones"),
        (["runtime.threads=2", "runtime.kernels=auto"], "the fused ones use one thread, and the run has 2"),
    ],
)
def test_the_log_says_in_a_line_why_kernels_are_eager(caplog, overrides, reason):
    with caplog.at_level(logging.INFO):
        chosen = choose(FUSED, *overrides)
    assert chosen.removesuffix("+compile") == "eager"
    assert caplog.messages == [f"kernels: eager, because {reason}"]


def test_a_block_that_was_added_or_edited_is_left_to_pytorch(caplog, monkeypatch, edited):
    with caplog.at_level(logging.INFO):
        assert choose(FUSED) == "eager"
        monkeypatch.setitem(vars(models), "ResidualBlock", OtherBlock)
        assert choose(FUSED) == "eager"
    reasons = [line.partition("because ")[2] for line in caplog.messages]
    assert reasons == [
        "the fused ones don't compute what the network's modules do",
        "the fused ones don't cover OtherBlock",
    ]


def test_without_numba_kernels_are_eager_and_the_log_names_the_extra(caplog, monkeypatch):
    for name in ("cifar_resnet.training.fused", "cifar_resnet.training.kernels"):
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(name)
    monkeypatch.setitem(sys.modules, "numba", None)
    with caplog.at_level(logging.INFO):
        assert choose("runtime.kernels=auto") == "eager"
    (line,) = caplog.messages
    assert line.startswith("kernels: eager, because the fused ones need Numba")
    assert "pip install -e '.[fast]'" in line


def test_compiling_is_announced_once(caplog):
    with caplog.at_level(logging.INFO), kernel_choice.compiled_once():
        for _ in range(2):
            with event.trigger_event("numba:compile"):
                pass
    assert caplog.messages == [kernel_choice.COMPILING]


def started_and_stopped(run, monkeypatch, steps):
    taken, train_step = [], Training._train_step
    monkeypatch.setattr(
        "cifar_resnet.training.worker.StopRequest.wanted", lambda stop: len(taken) >= steps or bool(stop.reason)
    )
    monkeypatch.setattr(Training, "_train_step", lambda *arguments: taken.append(1) or train_step(*arguments))
    work(run)


def test_a_run_records_its_kernels_and_a_change_of_them(make_folder, monkeypatch):
    run = make_folder("a", "optim.batch_size=8", "optim.lr=0.01", "runtime.kernels=eager")
    monkeypatch.setattr(describe, "git_commit", lambda: "the same")
    for kernels, steps in (("eager", 2), ("auto", 2), ("fused", 2)):
        run.write_config(compose_run(*TINY, "optim.batch_size=8", "optim.lr=0.01", f"runtime.kernels={kernels}"))
        with monkeypatch.context() as patch:
            started_and_stopped(run, patch, steps)
        status = run.read_status()
        recorded = status["kernels"], [part["kernels"] for part in status["earlier"]]
        assert recorded == (("fused", ["eager"]) if kernels == "fused" else ("eager", [])), kernels
    assert "kernels: fused from here on, eager before" in run.log.read_text()
    finish(run)


def test_a_run_from_before_kernels_were_recorded_continues_with_pytorchs(make_folder, training):
    state = training("runtime.kernels=auto").state()
    assert state.pop("kernels") == "fused"
    continued = training("runtime.kernels=auto")
    continued.load(state)
    assert continued.kernels == "eager"
