"""The OmegaConf resolvers and the schema that conf/ refers to."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from cifar_resnet.datasets import DATASETS
from cifar_resnet.devices import default_n_jobs
from cifar_resnet.run.config import Config
from cifar_resnet.run.defaults import REPO_ROOT, overridden
from cifar_resnet.run.identity import run_name


def register() -> None:
    """Makes the schema and the resolvers known; harmless when called again."""
    # Our conf/hydra/launcher/joblib.yaml stands in for the plugin's config of the same name on purpose.
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/joblib' is validated against ConfigStore schema")
    # Hydra 1.4 warns of what 1.3 needs, and of how it makes the callbacks, launchers and sweepers of conf/ itself.
    warnings.filterwarnings("ignore", r"The version_base parameter is deprecated")
    warnings.filterwarnings("ignore", r"hydra\.utils\.instantiate\(\) resolved")
    ConfigStore.instance().store(name="schema", node=Config)
    resolvers: dict[str, Callable[..., Any]] = {
        "repo_root": lambda: str(REPO_ROOT),
        "run_dir": lambda *, _root_: _run_dir(_root_),
        "default_n_jobs": default_n_jobs,
        "a_tenth_of": _a_tenth_of,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def plain_config(config: DictConfig) -> dict[str, Any]:
    """The run's part of a composed config, resolved, as plain dictionaries; without Hydra's own part."""
    names = [str(name) for name in config if name != "hydra"]
    masked = OmegaConf.masked_copy(config, names)
    resolved = OmegaConf.to_container(masked, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _run_dir(root: DictConfig) -> str:
    config = plain_config(root)
    return run_name(config, overridden(config))


def _a_tenth_of(kind: str, train_size: int | None) -> int:
    """A tenth of a data set's training images, in images; 0 where their number isn't known before they are listed."""
    sizes = DATASETS[kind].sizes if kind in DATASETS else None
    return (train_size or (0 if sizes is None else sizes.train)) // 10
