"""Makes the optimizer of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from cifar_resnet.run.schema import OptimConfig
from cifar_resnet.training.muon import Muon

_BETA2 = 0.999


def make(optim: OptimConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of these parameters that the config selects."""
    return _MAKERS[optim.optimizer](optim, list(parameters))


def _sgd(optim: OptimConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        parameters,
        lr=optim.lr,
        momentum=optim.momentum,
        nesterov=optim.nesterov,
        weight_decay=optim.weight_decay,
        fused=True,
    )


def _adamw(optim: OptimConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    betas = optim.momentum, _BETA2
    optimizer = torch.optim.AdamW(parameters, lr=optim.lr, betas=betas, weight_decay=optim.weight_decay, fused=True)
    adapt(optimizer)
    return optimizer


def _muon(optim: OptimConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return Muon(parameters, optim.lr, optim.momentum, optim.nesterov, optim.weight_decay)


_MAKERS: dict[str, Callable[[OptimConfig, list[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adamw": _adamw,
    "muon": _muon,
}


def adapt(optimizer: torch.optim.Optimizer) -> None:
    """Sets what depends on the device, also after loading the state of a run that began on another one."""
    for group in optimizer.param_groups:
        if "capturable" in group:
            # Only on a GPU, where it lets CUDA graphs contain the step.
            group["capturable"] = group["params"][0].is_cuda


def create_state(optimizer: torch.optim.Optimizer) -> None:
    """Creates the optimizer's moments at zero, which gives the same first step as none.

    Optimizers create them at their first step. That must not happen while a graph is captured, nor in a step that the
    scaler skips, which would leave them uninitialized.
    """
    adaptive = isinstance(optimizer, torch.optim.AdamW)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            # Not looked up unless needed: the lookup creates an entry, which SGD without momentum doesn't have.
            if adaptive:
                state: dict[str, Any] = optimizer.state[parameter]
                state.setdefault("step", torch.zeros((), device=parameter.device))
                state.setdefault("exp_avg", torch.zeros_like(parameter))
                state.setdefault("exp_avg_sq", torch.zeros_like(parameter))
            elif group["momentum"] > 0:
                optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
