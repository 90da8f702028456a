"""Training steps as CUDA graphs: the host launches a whole step at once, because single launches would slow the GPU.

A graph replays the captured kernels on the same memory. So everything that changes between steps (the epoch's draws,
the position in them, the learning rate, the warm-up, the sums) is stored in tensors that stay in place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cifar_resnet.training.data import Draws

# Before a capture, cuDNN must select its algorithms and the allocator its memory; neither is allowed during one.
_WARMUP_STEPS = 3


@dataclass(frozen=True)
class StepInputs:
    """The inputs of a step on the device: the epoch's draws, where its batch begins in them, its learning rate."""

    draws: Draws
    numbers: Tensor  # (N,) int64: 0, 1, 2, …
    begin: Tensor  # () int64
    base_lr: Tensor  # () float32, before the factor of a warm-up that watches the error
    lr: Tensor  # () float32, used by the optimizer

    @classmethod
    def of(cls, images: int, device: torch.device) -> StepInputs:
        """Allocates the tensors for a data set with this number of images."""
        return cls(
            draws=Draws(
                torch.zeros(images, dtype=torch.int64, device=device),
                torch.zeros(images, 2, dtype=torch.int64, device=device),
                torch.zeros(images, dtype=torch.bool, device=device),
            ),
            numbers=torch.arange(images, device=device),
            begin=torch.zeros((), dtype=torch.int64, device=device),
            base_lr=torch.zeros((), device=device),
            lr=torch.zeros((), device=device),
        )

    def take(self, draws: Draws) -> Draws:
        """Copies an epoch's draws into the tensors and returns these."""
        self.draws.permutation.copy_(draws.permutation)
        self.draws.offsets.copy_(draws.offsets)
        self.draws.flips.copy_(draws.flips)
        return self.draws


class StepGraphs:
    """One graph per batch size, captured at the first step of that size.

    Args:
        step: runs one step on the given number of images; changes only the tensors in `state`.
        state: all tensors that a step changes and that outlast it; a capture restores their values.
        network: its batch norms' batch counters are kept on the host, because each would need a separate kernel.
    """

    def __init__(self, step: Callable[[int], None], state: Sequence[Tensor], network: nn.Module) -> None:
        self._step, self._state = step, state
        self._norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        self._graphs: dict[tuple[int, bool], torch.cuda.CUDAGraph] = {}
        self._replayed = 0

    def replay(self, size: int, kind: bool) -> None:
        """Runs one step of `size` images without waiting for the device; `kind` separates steps of the same size."""
        if (size, kind) not in self._graphs:
            self._graphs[size, kind] = self._capture(size)
        self._graphs[size, kind].replay()
        self._replayed += 1

    def settle(self) -> None:
        """Updates the batch norms' counters; call it before reading the network's state."""
        for norm in self._norms:
            if self._replayed and norm.num_batches_tracked is not None:
                norm.num_batches_tracked += self._replayed
        self._replayed = 0

    def _capture(self, size: int) -> torch.cuda.CUDAGraph:
        before, random = [tensor.clone() for tensor in self._state], torch.cuda.get_rng_state()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with self._uncounted(), torch.cuda.stream(stream):
            for _ in range(_WARMUP_STEPS):
                self._step(size)
            graph = torch.cuda.CUDAGraph()
            # Graphs that never run at the same time can share their memory.
            pool = next(iter(self._graphs.values())).pool() if self._graphs else None
            with torch.cuda.graph(graph, pool=pool, stream=stream):
                self._step(size)
        torch.cuda.current_stream().wait_stream(stream)
        for tensor, value in zip(self._state, before, strict=True):
            tensor.copy_(value)
        torch.cuda.set_rng_state(random)
        return graph

    @contextlib.contextmanager
    def _uncounted(self) -> Iterator[None]:
        """Removes the batch norms' counters for a while, so that they don't count."""
        counters = [norm.num_batches_tracked for norm in self._norms]
        for norm in self._norms:
            norm.num_batches_tracked = None
        try:
            yield
        finally:
            for norm, counter in zip(self._norms, counters, strict=True):
                norm.num_batches_tracked = counter
