"""The precision of a forward pass, on CPUs with and without fast bf16 convolutions."""

import pytest
import torch
import torch.nn.functional as F

from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.training import precision
from cifar_resnet.training.models import build_network

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False], ids=["native", "emulated"])
def emulated(request, monkeypatch):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: not request.param)
    return request.param


def convolve(dtype, **options):
    """The result of a convolution with its gradients: images (4, 8, 6, 6), 16 filters of 3 × 3."""
    torch.manual_seed(1)
    images, weight, bias = (torch.randn(shape).to(dtype) for shape in ((4, 8, 6, 6), (16, 8, 3, 3), (16,)))
    leaves = [tensor.requires_grad_() for tensor in (images, weight, bias)]
    with precision.autocast("bf16" if dtype is torch.float32 else "fp32", CPU):
        result = F.conv2d(*leaves, **options)
    result.float().square().mean().backward()
    return [result, *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("name", PRECISIONS)
def test_the_significand_is_that_of_the_type(name):
    known = PRECISIONS[name]
    # torch has no type for TensorFloat-32: 10 bits after the implicit one, as NVIDIA defines it.
    eps = 2**-10 if name == "tf32" else torch.finfo(getattr(torch, known.title)).eps
    assert eps == 2 ** (1 - known.significand)


@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": 2}])
def test_an_emulated_convolution_rounds_as_bf16_instructions_do(monkeypatch, options):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: True)
    native = convolve(torch.float32, **options)
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: False)
    emulated, exact = convolve(torch.float32, **options), convolve(torch.float64, **options)
    for ours, reference, wide in zip(emulated, native, exact, strict=True):
        assert ours.dtype is reference.dtype
        error = (ours - wide).abs().max()
        # They differ from double precision by the rounding of bf16, and from one another by one unit in the last place.
        assert 1e-4 < error / wide.abs().max() < 2**-6
        assert (ours.float() - reference.float()).abs().max() <= 2**-7 * wide.abs().max()


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_only_bf16_changes_what_a_network_computes_in(emulated, name, dtype):
    seen = []
    network = build_network("resnet", 8, width=4)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    with precision.autocast(name, CPU):
        logits = network(torch.randn(2, 3, 8, 8))
    assert {logits.dtype, *seen} == {dtype}
    logits.float().sum().backward()
    assert {parameter.grad.dtype for parameter in network.parameters()} == {torch.float32}


def test_convolutions_outside_are_left_alone(monkeypatch):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: False)
    with precision.autocast("bf16", CPU):
        pass
    assert F.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).dtype is torch.float32
