"""Composes the config of every run of a sweep before the first run starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError

from cifar_resnet.errors import ConfigError
from cifar_resnet.run.folder import RunDir
from cifar_resnet.sweep.resolvers import options_in

_Plugin = TypeVar("_Plugin")


def plugin_for(config: DictConfig, part: str, known: Mapping[str, _Plugin]) -> _Plugin:
    """What `known` has for the class that the composed config names as Hydra's launcher or sweeper.

    Args:
        config: the composed config.
        part: launcher or sweeper.
        known: by the names of the classes.

    Raises:
        ConfigError: the class is another plugin's, whose runs would be neither checked nor shown.
    """
    name = str(config.hydra[part]._target_).rpartition(".")[2]
    if name not in known:
        chosen = config.hydra.runtime.choices[f"hydra/{part}"]
        others = [option for option in ("basic", *options_in(f"conf/hydra/{part}")) if option != chosen]
        raise ConfigError(
            f"hydra/{part}={chosen}: runs can't be trained with {name}; expected one of {', '.join(others)}"
        )
    return known[name]


def compose_all(config: DictConfig) -> list[DictConfig]:
    """The composed config of every combination of the given values, in order."""
    loader = GlobalHydra.instance().config_loader()
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    arguments = [*params, *config.hydra.overrides.task]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    (batch,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [loader.load_sweep_config(config, list(choice)) for choice in batch]


def run_dir(config: DictConfig) -> RunDir:
    """The folder of a composed run of a sweep.

    Raises:
        ConfigError: the folder depends on more than the run, such as its position in the sweep.
    """
    try:
        return RunDir(Path(os.path.abspath(config.hydra.sweep.dir)) / config.hydra.sweep.subdir)
    except InterpolationToMissingValueError as error:
        subdir = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[index,call-overload]
        raise ConfigError(
            f"hydra.sweep.subdir={subdir}: expected a folder that depends only on the run, such as the default; "
            "a run's position changes with the sweep"
        ) from error
