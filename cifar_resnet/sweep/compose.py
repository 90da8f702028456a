"""Composes the config of every run of a sweep before the first run starts."""

from __future__ import annotations

import os
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError

from cifar_resnet.errors import ConfigError
from cifar_resnet.run.folder import RunDir


def is_listing(config: DictConfig) -> bool:
    """Whether the composed config's sweeper lists all runs beforehand, instead of choosing them as it goes."""
    return str(config.hydra.sweeper._target_).endswith("BasicSweeper")


def compose_all(config: DictConfig) -> list[DictConfig]:
    """The composed config of every run, in order; empty for sweepers that choose runs as they go."""
    if not is_listing(config):
        return []
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
