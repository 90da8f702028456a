"""A network's training step on a CPU with batch norm, addition and ReLU fused, see `kernels`; needs the extra `fast`.

Only the forward and backward pass of training go this way. Evaluation, diagnostics and saved networks use the modules,
whose weights and running statistics are shared.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from cifar_resnet.training import kernels
from cifar_resnet.training.models import Network, PlainBlock, PreActBlock, ResidualBlock, build_network

_LANES = 256  # at most, unless a map has more channels
BLOCKS = (PlainBlock, ResidualBlock, PreActBlock)
"""The blocks that the kernels cover."""
_CHECKED_DEPTH = 14  # the smallest with every kind of block: the first, one that halves the map, one that doesn't
_TOLERANCE = 0.01  # of the logits: far above rounding, far below any change to a block


class _Normalized(torch.autograd.Function):
    """ReLU(batch norm(x + before) + after), and a second output: the same again or, with `before`, x + before.

    What a block outputs is used twice, by its branch and by its shortcut. With one output for each, both gradients
    arrive here, and the kernel adds them while it reads them anyway.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, before: Tensor | None, after: Tensor | None, weight: Tensor, bias: Tensor, norm: Any
    ) -> tuple[Tensor, Tensor]:
        lanes = _count_lanes(x)
        y, saved = torch.empty_like(x), torch.empty(4, weight.numel())
        kernels.forward(
            _rows(x, lanes),
            _rows(before, lanes),
            _rows(after, lanes),
            _rows(y, lanes),
            weight.detach().numpy(),
            bias.detach().numpy(),
            norm.running_mean.numpy(),
            norm.running_var.numpy(),
            norm.momentum,
            norm.eps,
            saved.numpy(),
        )
        ctx.save_for_backward(x, None if after is None else y, weight, saved)
        ctx.set_materialize_grads(False)
        ctx.added_before = before is not None
        if before is not None:
            ctx.mark_dirty(x)
            return y, x
        return y, y.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, y, weight, saved = ctx.saved_tensors
        grad, second = gradients
        if grad is None:
            grad, second = second, None
        lanes, out = _count_lanes(x), torch.empty_like(x)
        passed = None if y is None else torch.empty_like(x)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(weight)
        kernels.backward(
            _rows(grad, lanes),
            None if ctx.added_before else _rows(second, lanes),
            _rows(second, lanes) if ctx.added_before else None,
            _rows(x, lanes),
            _rows(y, lanes),
            _rows(passed, lanes),
            _rows(out, lanes),
            weight.detach().numpy(),
            saved.numpy(),
            grad_weight.numpy(),
            grad_bias.numpy(),
        )
        return out, out if ctx.added_before else None, passed, grad_weight, grad_bias, None


def _count_lanes(x: Tensor) -> int:
    """Length of a row: the channels of as many pixels as divide the map evenly."""
    channels, pixels = x.shape[1], x.numel() // x.shape[1]
    together = next(count for count in range(max(1, _LANES // channels), 0, -1) if pixels % count == 0)
    return channels * together


def _rows(x: Tensor | None, lanes: int) -> Any:
    """The map's memory as a matrix for `kernels`, without a copy if it is in channels_last layout."""
    if x is None:
        return None
    flat = x.detach().permute(0, 2, 3, 1).reshape(-1, lanes)
    return (flat.view(torch.uint16) if flat.dtype == torch.bfloat16 else flat).numpy()


def _normalized(
    x: Tensor, norm: Any, before: Tensor | None = None, after: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    norm.num_batches_tracked.add_(1)
    outputs: tuple[Tensor, Tensor] = _Normalized.apply(x, before, after, norm.weight, norm.bias, norm)  # type: ignore[no-untyped-call]
    return outputs


class FusedNetwork:
    """The network's forward pass in training; it shares the network's weights and running statistics."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) → logits (B, classes)."""
        network = self._network
        x = network.conv1(images)
        x = self._preactivated(x) if network.preact else self._activated(x)
        logits: Tensor = network.linear(x.permute(0, 2, 3, 1).mean((1, 2)))
        return logits

    def _activated(self, x: Tensor) -> Tensor:
        x, again = _normalized(x, self._network.bn)
        block: Any
        for block in self._network.blocks:
            out = block.conv2(_normalized(block.conv1(x), block.bn1)[0])
            after = block.shortcut(again) if isinstance(block, ResidualBlock) else None
            x, again = _normalized(out, block.bn2, after=after)
        return x

    def _preactivated(self, x: Tensor) -> Tensor:
        shortcut = None
        block: Any
        for block in self._network.blocks:
            # The second output is the sum of branch and shortcut; in the first block, which adds nothing, what its
            # branch and its shortcut share, the activation.
            activated, shared = _normalized(x, block.bn1, before=shortcut)
            x = block.conv2(_normalized(block.conv1(activated), block.bn2)[0])
            shortcut = block.shortcut(shared)
        return _normalized(x, self._network.bn, before=shortcut)[0]


def uncovered(network: nn.Module) -> str | None:
    """What these kernels don't cover in a network, in words; None if they cover it."""
    if type(network) is not Network:
        return type(network).__name__
    # A subclass may compute something else, which these kernels would leave out.
    other = [type(block).__name__ for block in network.blocks if type(block) not in BLOCKS]
    if other:
        return other[0]
    first: Any = network.blocks[0]
    return None if type(network.bn) is type(first.bn1) is nn.BatchNorm2d else "a network without batch norm"


def agrees(model: str, shortcut: str, width: int, precision: str) -> bool:
    """Whether the kernels compute what the model's own modules do: a small network, random images and weights, fp32.

    Guards against a block that was edited in `models` only. Also compiles everything that training in this precision
    needs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        modules = build_network(model, _CHECKED_DEPTH, shortcut, width).train()
        images = torch.randn(8, 3, 8, 8)
        for parameter in modules.parameters():
            # Random scales and shifts, too, and nothing that stays zero.
            torch.nn.init.normal_(parameter, float(parameter.dim() == 1), 0.1)
        fused = FusedNetwork(copy.deepcopy(modules))
        images = images.contiguous(memory_format=torch.channels_last)
        expected, logits = modules(images), fused(images)
        logits.sum().backward()  # type: ignore[no-untyped-call]
        if precision == "bf16":
            with torch.autocast("cpu", torch.bfloat16):
                fused(images).sum().backward()  # type: ignore[no-untyped-call]
        return bool((logits - expected).norm() <= _TOLERANCE * expected.norm())
