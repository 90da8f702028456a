"""Composes and checks every run of a sweep before the first one starts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from cifar_resnet.devices import count_gpus, require_tensorboard
from cifar_resnet.errors import ConfigError
from cifar_resnet.run import later_keys
from cifar_resnet.run.config import Config, from_container
from cifar_resnet.run.folder import RunDir
from cifar_resnet.sweep import slurm
from cifar_resnet.sweep.resolvers import plain_config

# What weights must share to fit; how they were drawn at first no longer matters.
_SHAPE = ("name", "shortcut", "width", "norm")


def compose_all(config: DictConfig) -> list[DictConfig]:
    """The composed config of every run of a basic sweep, in order; none for other sweepers, which choose as they go."""
    if not str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
        return []
    loader = GlobalHydra.instance().config_loader()
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    arguments = [*params, *config.hydra.overrides.task]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    (batch,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [loader.load_sweep_config(config, list(choice)) for choice in batch]


def check_run(config: DictConfig) -> Config:
    """The run's checked config.

    Raises:
        ConfigError: a key or value is wrong; the line names the run that it is of.
    """
    try:
        checked = from_container(plain_config(config))
        if checked.init_from is not None:
            check_origin(checked)
    except ConfigError as error:
        overrides = list(config.hydra.overrides.task) if "hydra" in config else []
        raise ConfigError(
            f"{error} (in the run {' '.join(overrides)})" if len(overrides) > 1 else str(error)
        ) from error
    return checked


def check_origin(config: Config) -> None:
    """Raises ConfigError unless `init_from` is a finished run of the same network."""
    origin = RunDir(Path(str(config.init_from)))
    if not origin.config.exists() or not origin.final.exists():
        raise ConfigError(
            f"init_from={origin.path}: expected the folder of a finished run (with config.yaml and final.pt)"
        )
    theirs = origin.read_config()
    ours = {"depth": config.depth, **{key: getattr(config.model, key) for key in _SHAPE}}
    for key, value in ours.items():
        before = later_keys.AS_BEFORE.get(f"model.{key}")
        their_value = theirs["depth"] if key == "depth" else theirs["model"].get(key, before)
        if their_value != value:
            raise ConfigError(
                f"init_from={origin.path}: its {key} is {their_value}, this run's {value}; expected the same network"
            )


def check_out(out: str) -> None:
    """Raises ConfigError if run folders can't be made in `out`; makes it if it isn't there."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise ConfigError(f"out={out}: expected a folder that can be written to ({error.strerror})") from error


def check_launcher(config: DictConfig) -> None:
    """Raises ConfigError for a number of parallel runs that can't be, or for a cluster that isn't there."""
    if slurm.is_chosen(config):
        slurm.check(config)
        return
    n_jobs = config.hydra.launcher.get("n_jobs", 1)
    if not isinstance(n_jobs, int) or n_jobs == 0 or n_jobs < -1:
        raise ConfigError(f"hydra.launcher.n_jobs={n_jobs}: expected an integer of 1 or more, or -1 for all cores")


def check_device(config: Config) -> None:
    """Raises ConfigError where a GPU is asked for and none is counted."""
    if config.runtime.device == "cuda" and count_gpus() == 0:
        raise ConfigError("runtime.device=cuda: no GPU is seen here; expected one, or runtime.device=cpu")


def check_extras(config: Config) -> None:
    """Raises ConfigError where an extra is asked for that isn't installed."""
    if config.runtime.tensorboard:
        require_tensorboard()


def run_dir(config: DictConfig) -> RunDir:
    """The folder of a composed run of a sweep."""
    return RunDir(Path(os.path.abspath(config.hydra.sweep.dir)) / config.hydra.sweep.subdir)
