"""Composes the config of every run of a sweep before the first run starts."""

from __future__ import annotations

import os
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

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
    """The folder of a composed run of a sweep."""
    return RunDir(Path(os.path.abspath(config.hydra.sweep.dir)) / config.hydra.sweep.subdir)
