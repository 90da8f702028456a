"""The registry of optimizers: what each one reads, keeps and is called in a report; imports no torch.

To add an optimizer, add its entry here, an entry with its class, arguments and moments to
`cifar_resnet/training/optimizer.py`, and a recipe that uses it to conf/optim/.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cifar_resnet.notation import number


@dataclass(frozen=True)
class OptimizerKind:
    """An optimizer.

    Attributes:
        title: noun phrase for running text.
        describe: values of `optim`, by key → completes "Training minimizes the cross-entropy by …", without a full
            stop. A value that differs between the runs described is left out.
        keys: the keys of `optim` that not every optimizer reads.
        moments: numbers that it keeps per parameter.
        skips_overflow: whether its step can be skipped on the GPU, as fp16 requires where a gradient overflows.
    """

    title: str
    describe: Callable[[dict[str, Any]], str]
    keys: tuple[str, ...]
    moments: int
    skips_overflow: bool


def describe_sgd(optim: dict[str, Any]) -> str:
    """SGD in words."""
    return _with_momentum("stochastic gradient descent", optim, "weight decay")


def describe_muon(optim: dict[str, Any]) -> str:
    """Muon in words."""
    return _with_momentum("Muon (Jordan et al. 2024)", optim, "decoupled weight decay")


def _with_momentum(title: str, optim: dict[str, Any], decay: str) -> str:
    kind = "Nesterov momentum" if optim.get("nesterov") is True else "momentum"
    given = [f"{kind} {number(optim['momentum'])}"] if "momentum" in optim else []
    given += [f"{decay} {number(optim['weight_decay'])}"] if "weight_decay" in optim else []
    return title + (f" with {', '.join(given)}" if given else "")


def describe_adamw(optim: dict[str, Any]) -> str:
    """AdamW in words."""
    given = [f"β₁ = {number(optim['momentum'])}"] if "momentum" in optim else []
    given += ["β₂ = 0.999"]
    given += [f"decoupled weight decay {number(optim['weight_decay'])}"] if "weight_decay" in optim else []
    return f"AdamW (Loshchilov and Hutter 2019) with {', '.join(given)}"


OPTIMIZERS: dict[str, OptimizerKind] = {
    "sgd": OptimizerKind("stochastic gradient descent", describe_sgd, ("nesterov",), moments=1, skips_overflow=True),
    "adamw": OptimizerKind("AdamW", describe_adamw, (), moments=2, skips_overflow=True),
    "muon": OptimizerKind("Muon", describe_muon, ("nesterov",), moments=1, skips_overflow=False),
}
