"""Saves and restores the state of torch's random generators, so that networks with random layers continue exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor


def capture(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's generators, which layers such as dropout use."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore(device: torch.device, states: dict[str, Tensor]) -> None:
    """Restores the states that `capture` returned, as far as they belong to this device."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"].cpu())
    # A run that started on a CPU has no state of a GPU's generator; the generator keeps the state set by the seed.
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"].cpu(), device)


@contextlib.contextmanager
def unchanged(device: torch.device) -> Iterator[None]:
    """Restores the generators at the end, whatever is drawn inside."""
    states = capture(device)
    try:
        yield
    finally:
        restore(device, states)
