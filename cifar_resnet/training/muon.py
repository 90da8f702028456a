"""Muon, an optimizer that makes the updates of weight matrices orthogonal.

Jordan et al. (2024), https://kellerjordan.github.io/posts/muon. PyTorch has it from version 2.9 on, but not for
convolutions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# One step of the iteration is x → ax + (b(xxᵀ) + c(xxᵀ)²)x. Its authors chose the coefficients for small singular
# values to grow fast; five steps bring all of them near 1.
_A, _B, _C, _STEPS = 3.4445, -4.7750, 2.0315, 5
# The update of a matrix has about this length per row, times the learning rate, so that one learning rate suits
# matrices and the other parameters.
_LENGTH = 0.1


class Muon(torch.optim.Optimizer):
    """SGD with momentum whose updates of the convolutions, but for the first, are made orthogonal.

    A convolution's weights count as a matrix with one row per output channel. The first convolution, batch norm and
    the linear layer are trained by plain SGD with momentum. Weight decay is decoupled: each step shrinks all
    parameters by it times the learning rate.

    Args:
        parameters: those of the network, in its order.
        lr: learning rate, of all parameters.
        momentum: from 0 to below 1.
        nesterov: Nesterov momentum instead of the classical one.
        weight_decay: 0 or more.
    """

    def __init__(
        self, parameters: list[nn.Parameter], lr: float, momentum: float, nesterov: bool, weight_decay: float
    ) -> None:
        first, *rest = parameters
        groups = [
            {"params": [one for one in rest if one.ndim == 4]},
            {"params": [first, *(one for one in rest if one.ndim != 4)]},
        ]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Updates all parameters; `closure` is not used."""
        matrices, others = (
            [(one, self._direction(one, group)) for one in group["params"]] for group in self.param_groups
        )
        lr, decay = self.param_groups[0]["lr"], self.param_groups[0]["weight_decay"]
        for parameter, update in [*_orthogonal(matrices), *others]:
            parameter.mul_(1 - lr * decay).sub_(lr * update)

    def _direction(self, parameter: nn.Parameter, group: dict[str, Any]) -> Tensor:
        """The gradient with momentum."""
        gradient, momentum = parameter.grad, float(group["momentum"])
        assert gradient is not None
        if momentum == 0:
            return gradient
        buffer: Tensor = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(gradient))
        buffer.mul_(momentum).add_(gradient)
        return gradient + momentum * buffer if group["nesterov"] else buffer


def _orthogonal(found: list[tuple[nn.Parameter, Tensor]]) -> list[tuple[nn.Parameter, Tensor]]:
    """The updates with singular values near 1, scaled; those of one shape are computed together."""
    alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
    for parameter, update in found:
        alike[update.shape].append((parameter, update))
    made = []
    for shape, group in alike.items():
        matrices = orthogonalize(torch.stack([update.flatten(1) for _, update in group]))
        scale = _LENGTH * max(1, shape[0] / shape[1:].numel()) ** 0.5
        made += [(one, scale * matrix.view(shape)) for (one, _), matrix in zip(group, matrices, strict=True)]
    return made


def orthogonalize(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors, and singular values from about 0.7 to 1.2.

    Very small ones, of less than a thousandth of the largest, stay below that.

    Args:
        matrices: (N, rows, columns) float.
    """
    wide = matrices if matrices.size(1) <= matrices.size(2) else matrices.mT
    wide = wide / (wide.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(_STEPS):
        square = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(square, square, square, beta=_B, alpha=_C), wide, beta=_A)
    return wide if matrices.size(1) <= matrices.size(2) else wide.mT
