"""The precision in which a network is evaluated: autocast, on any CPU at a useful speed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cifar_resnet.precisions import PRECISIONS


@contextlib.contextmanager
def autocast(precision: str, device: torch.device) -> Iterator[None]:
    """Forward passes inside it compute in `precision`; fp32 and tf32 leave them as they are."""
    name = PRECISIONS[precision].autocast
    dtype: torch.dtype = getattr(torch, name or "bfloat16")
    emulated = name == "bfloat16" and device.type == "cpu" and not multiplies_bf16()
    # Each weight is used once per pass, so caching cast weights has no benefit; a graph must not use such a cache.
    with (
        torch.autocast(device.type, dtype, enabled=name is not None, cache_enabled=False),
        _EmulatedConvolutions() if emulated else contextlib.nullcontext(),
    ):
        yield


@cache
def multiplies_bf16() -> bool:
    """Whether PyTorch has fast bf16 convolutions for this CPU; without AVX-512, oneDNN falls back to reference code."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _EmulatedConvolutions(TorchFunctionMode):
    """Convolutions of bf16 values computed with the CPU's fp32 instructions, an order of magnitude faster.

    The arithmetic is that of bf16 instructions: the product of two bf16 values is exact in fp32, sums are kept in fp32,
    and results and gradients are rounded to bf16. Only the order of summation differs.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is not F.conv2d:
            return function(*args, **(kwargs or {}))
        with torch.autocast("cpu", enabled=False):
            rounded: list[Any] = [value.bfloat16().float() if isinstance(value, Tensor) else value for value in args]
            return F.conv2d(*rounded, **(kwargs or {})).bfloat16()
