"""Configuration keys that were added after runs had been created, and the values that mean "as before".

A run folder's name contains the hash of its config. A key of this table with its value here counts as absent, so a new
key doesn't rename runs that don't use it, and a config.yaml without the key is read as if it had that value. Once
released, a line here is never changed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AS_BEFORE: dict[str, Any] = {
    "optim.name": "lab",
    "optim.optimizer": "sgd",
    "model.norm": "batch",
    "model.init_linear": "kaiming",
    "model.zero_init_residual": False,
    "diagnostics.enabled": False,
    "diagnostics.every": 10,
    "runtime.runs_per_gpu": 1,
    "runtime.runs_per_job": 1,
    "runtime.tensorboard": False,
    "runtime.kernels": "auto",
    "runtime.stop_after": None,
}

UNNAMED_RECIPES = ("lab", "onecycle", "paper")
"""The recipes from before `optim.name` existed: a run's recipe follows from its other values."""


def nested() -> dict[str, Any]:
    """The table, nested like a config."""
    config: dict[str, Any] = {}
    for key, value in AS_BEFORE.items():
        group, _, name = key.rpartition(".")
        config.setdefault(group, {})[name] = value
    return config


def without(config: Mapping[str, Any]) -> dict[str, Any]:
    """The nested config without the keys that have the values of this table.

    >>> without({"seed": 0, "model": {"name": "resnet", "norm": "batch"}})
    {'seed': 0, 'model': {'name': 'resnet'}}
    """
    return {
        group: {name: value for name, value in values.items() if not _is_as_before(f"{group}.{name}", value)}
        if isinstance(values, Mapping)
        else values
        for group, values in config.items()
    }


def _is_as_before(key: str, value: Any) -> bool:
    return key in AS_BEFORE and bool(AS_BEFORE[key] == value)
