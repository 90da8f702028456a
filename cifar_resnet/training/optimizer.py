"""Makes the optimizer of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cifar_resnet.run.schema import OptimConfig
from cifar_resnet.training.muon import Muon

_BETA2 = 0.999


@dataclass(frozen=True)
class _Implementation:
    """What computes an optimizer of the registry.

    Attributes:
        kind: its class.
        arguments: values of `optim` → arguments of the class, besides the parameters.
        moments: a parameter and its group → its moments at zero, under the names that the class gives them; empty if
            it keeps none with these settings.
    """

    kind: Callable[..., torch.optim.Optimizer]
    arguments: Callable[[OptimConfig], dict[str, Any]]
    moments: Callable[[nn.Parameter, dict[str, Any]], dict[str, Tensor]]


def _sgd_arguments(optim: OptimConfig) -> dict[str, Any]:
    return _muon_arguments(optim) | {"fused": True}


def _adamw_arguments(optim: OptimConfig) -> dict[str, Any]:
    betas = optim.momentum, _BETA2
    return {"lr": optim.lr, "betas": betas, "weight_decay": optim.weight_decay, "fused": True}


def _muon_arguments(optim: OptimConfig) -> dict[str, Any]:
    return {name: getattr(optim, name) for name in ("lr", "momentum", "nesterov", "weight_decay")}


def _momentum(parameter: nn.Parameter, group: dict[str, Any]) -> dict[str, Tensor]:
    return {"momentum_buffer": torch.zeros_like(parameter)} if group["momentum"] > 0 else {}


def _two_moments(parameter: nn.Parameter, group: dict[str, Any]) -> dict[str, Tensor]:
    step = torch.zeros((), device=parameter.device)
    return {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}


_IMPLEMENTATIONS: dict[str, _Implementation] = {
    "sgd": _Implementation(torch.optim.SGD, _sgd_arguments, _momentum),
    "adamw": _Implementation(torch.optim.AdamW, _adamw_arguments, _two_moments),
    "muon": _Implementation(Muon, _muon_arguments, _momentum),
}


def make(optim: OptimConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of these parameters that the config selects."""
    implementation = _IMPLEMENTATIONS[optim.optimizer]
    optimizer = implementation.kind(list(parameters), **implementation.arguments(optim))
    adapt(optimizer)
    return optimizer


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
    moments = {one.kind: one.moments for one in _IMPLEMENTATIONS.values()}[type(optimizer)]
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            created = moments(parameter, group)
            # Not looked up unless needed: the lookup creates an entry, which SGD without momentum doesn't have.
            if created:
                state: dict[str, Any] = optimizer.state[parameter]
                state.update({name: value for name, value in created.items() if name not in state})
