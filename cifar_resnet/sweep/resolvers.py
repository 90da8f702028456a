"""The OmegaConf resolvers and the schema that conf/ refers to."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from cifar_resnet import programs
from cifar_resnet.datasets import DATASETS
from cifar_resnet.devices import default_n_jobs
from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.identity import run_name
from cifar_resnet.run.schema import Config


def register() -> None:
    """Registers the schema and the resolvers; harmless when repeated."""
    # Our conf/hydra/launcher/joblib.yaml replaces the plugin's config of the same name on purpose.
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/joblib' is validated against ConfigStore schema")
    # Hydra 1.4 warns about an argument that 1.3 needs, and about its own way of creating callbacks and plugins.
    warnings.filterwarnings("ignore", r"The version_base parameter is deprecated")
    warnings.filterwarnings("ignore", r"hydra\.utils\.instantiate\(\) resolved")
    # Errors in its file are one line, without a warning before it.
    warnings.filterwarnings("ignore", r"Experimental rerun CLI option")
    ConfigStore.instance().store(name="schema", node=Config)
    resolvers: dict[str, Callable[..., Any]] = {
        "command": programs.command,
        "options_in": lambda folder: ", ".join(options_in(folder)),
        "run_dir": lambda *, _root_: _run_dir(_root_),
        "default_n_jobs": default_n_jobs,
        "a_tenth_of": _a_tenth_of,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def plain_config(config: DictConfig) -> dict[str, Any]:
    """A composed config without Hydra's own part, resolved, as plain dictionaries."""
    names = [str(name) for name in config if name != "hydra"]
    masked = OmegaConf.masked_copy(config, names)
    resolved = OmegaConf.to_container(masked, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    plain = {str(key): _without_noise(value) for key, value in resolved.items()}
    if plain.get("init_from"):
        plain["init_from"] = os.path.normpath(plain["init_from"])  # of ./a and a/, the same run
    return plain


def _without_noise(value: Any) -> Any:
    """The value with rounding errors removed from its numbers.

    >>> _without_noise({"lr": 0.05 + 0.1, "peak": 0.1234567890123456})
    {'lr': 0.15, 'peak': 0.1234567890123456}
    """
    if isinstance(value, dict):
        return {key: _without_noise(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_noise(item) for item in value]
    if isinstance(value, float):
        # In a sweep over range(0.05,0.2,0.05), Hydra's third value is 0.15000000000000002, a setting apart from 0.15.
        rounded = float(f"{value:.12g}")
        return rounded if math.isclose(value, rounded, rel_tol=1e-14) else value
    return value


def _run_dir(root: DictConfig) -> str:
    config = plain_config(root)
    return run_name(config, overridden(config))


def options_in(folder: str) -> list[str]:
    """The names of the YAML files in `folder` of the packaged settings and of the working folder, sorted."""
    places = (programs.SETTINGS, Path())
    return sorted({path.stem for place in places for path in (place / folder).glob("*.yaml")})


def _a_tenth_of(kind: str, train_size: int | None) -> int:
    """The number of images in a tenth of the training set; 0 if its size is unknown until the files are listed."""
    sizes = DATASETS[kind].sizes if kind in DATASETS else None
    return (train_size or (0 if sizes is None else sizes.train)) // 10
