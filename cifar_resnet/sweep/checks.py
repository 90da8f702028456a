"""Checks of a run's config and surroundings, made before any run starts."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cifar_resnet.datasets import DATASETS, Sizes, sizes_of
from cifar_resnet.devices import check_support, driver_fault, require_tensorboard, unusable, visible_gpus
from cifar_resnet.errors import ConfigError, RunError
from cifar_resnet.run import later_keys, locks
from cifar_resnet.run.config import check_sizes, from_container
from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import as_override, as_text, config_hash, flatten, identity
from cifar_resnet.run.schema import Config
from cifar_resnet.schedules import SCHEDULES
from cifar_resnet.sweep.assignment import needs_training
from cifar_resnet.sweep.resolvers import plain_config

# Networks must agree in these to exchange weights; the initialization, for example, doesn't matter.
_SHAPE = ("name", "shortcut", "width", "norm")
_SCHEDULE_KEYS = tuple(dict.fromkeys(key for schedule in SCHEDULES.values() for key in schedule.keys))
_INITIALIZATION = ("model.init_linear", "model.zero_init_residual")


def check_run(config: DictConfig) -> Config:
    """The run's validated config.

    Raises:
        ConfigError: a key or value is invalid; the message names the run.
    """
    try:
        checked = from_container(plain_config(config))
        _check_paths(checked)
        _check_recipe(config, checked.optim.name)
        _check_effect(checked, {override.lstrip("+~").partition("=")[0] for override in _overrides(config)})
        if checked.init_from is not None:
            _check_origin(checked)
        sizes = DATASETS[checked.data.kind].sizes
        if sizes is not None:
            _check_fit(checked, sizes)
    except ConfigError as error:
        overrides = _overrides(config)
        raise ConfigError(
            f"{error} (in the run {' '.join(overrides)})" if len(overrides) > 1 else str(error)
        ) from error
    return checked


def _overrides(config: DictConfig) -> list[str]:
    """The overrides that the run was composed with; none outside Hydra."""
    return list(config.hydra.overrides.task) if "hydra" in config else []


def _check_paths(config: Config) -> None:
    """Raises ConfigError if a path of the run can't be written to its files, which are in UTF-8."""
    paths = {"out": config.out, "data.root": config.data.root, "data.cache": config.data.cache}
    for key, path in {**paths, "init_from": config.init_from}.items():
        absolute = os.path.abspath(path or ".")
        try:
            absolute.encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(absolute).decode(errors="replace")
            raise ConfigError(
                f"{key}: the name of {shown} is not valid UTF-8; rename it, or use another folder"
            ) from error


def _check_recipe(config: DictConfig, name: str) -> None:
    """Raises ConfigError if the recipe's name isn't that of the file that it was composed from."""
    chosen = config.hydra.runtime.choices.get("optim") if "hydra" in config else None
    if chosen is not None and chosen != name:
        raise ConfigError(
            f"optim.name={name}: this only names the recipe, whose values are those of optim={chosen}; choose another "
            f"recipe with optim={name} (in a file of your own, conf/optim/{chosen}.yaml, expected name: {chosen})"
        )


def _check_effect(config: Config, given: Collection[str]) -> None:
    """Raises ConfigError if a given key has no effect, so that it isn't taken for a setting of its own.

    Args:
        config: the run.
        given: the keys on the command line or in a named sweep. Recipes may have values that other schedules use.
    """
    optim, schedule = config.optim, SCHEDULES[config.optim.schedule]
    unused = {
        f"optim.{key}": f"the schedule {optim.schedule} doesn't use it"
        for key in _SCHEDULE_KEYS
        if key not in schedule.keys
    }
    if config.init_from is not None:
        unused |= dict.fromkeys(_INITIALIZATION, "init_from replaces the initial weights")
    asked = {key: value for key, value in flatten(dataclasses.asdict(config)).items() if key in given and value != []}
    changed = overridden(dataclasses.asdict(config), asked.keys() & unused.keys())
    if changed:
        key, value = next(iter(changed.items()))
        raise ConfigError(f"{key}={as_override(value)} has no effect: {unused[key]}; leave it out")
    length, unit = (optim.iterations, "iterations") if optim.epochs is None else (optim.epochs, "epochs")
    late = [milestone for milestone in asked.get("optim.milestones", []) if milestone >= (length or 0)]
    if late:
        raise ConfigError(
            f"optim.milestones={as_override(optim.milestones)}: the run ends before {late[0]}; expected milestones "
            f"below optim.{unit}={length}"
        )


def _check_origin(config: Config) -> None:
    """Raises ConfigError unless `init_from` is a finished run of the same network, without this run's held-out images.

    The images that a run holds out follow from its seed, its subset and their number.
    """
    origin = RunDir(Path(str(config.init_from)))
    if not origin.config.exists() or not origin.final.exists():
        raise ConfigError(
            f"init_from={origin.path}: expected the folder of a finished run (with config.yaml and final.pt)"
        )
    try:
        theirs = origin.checked_config()
    except RunError as error:
        raise ConfigError(f"init_from={origin.path}: {error}") from error
    ours = {"depth": config.depth, **{key: getattr(config.model, key) for key in _SHAPE}}
    for key, value in ours.items():
        before = later_keys.AS_BEFORE.get(f"model.{key}")
        their_value = theirs["depth"] if key == "depth" else theirs["model"].get(key, before)
        if their_value != value:
            raise ConfigError(
                f"init_from={origin.path}: its {key} is {their_value}, this run's {value}; expected the same network"
            )
    data, before_data = config.data, theirs["data"]
    if data.holdout and (data.kind, data.name) == (before_data["kind"], before_data["name"]):
        drawn = {"seed": (theirs["seed"], config.seed)}
        drawn |= {f"data.{key}": (before_data.get(key), getattr(data, key)) for key in ("train_size", "holdout")}
        for key, (their_value, value) in drawn.items():
            # For one seed and subset, a smaller split is part of a larger one.
            if their_value < value if key == "data.holdout" else their_value != value:
                raise ConfigError(
                    f"data.holdout={data.holdout} with init_from={origin.path}: that run was trained on some of the "
                    f"images that this one would hold out, because its {key} is {as_text(their_value)} instead of "
                    f"{as_text(value)}; expected the same seed and data.train_size, and as many held-out images or more"
                )


def _check_fit(config: Config, whole: Sizes) -> None:
    """Raises ConfigError if the run, or the network in `init_from`, doesn't fit a data set of these sizes."""
    check_sizes(config, whole)
    if config.init_from is None:
        return
    with contextlib.suppress(RunError):  # without a record, the worker finds out
        data = RunDir(Path(config.init_from)).read_status().get("data") or {}
        shape = data.get("image_shape") or [None]
        for name, theirs, ours in (
            ("classes", data.get("classes"), whole.classes),
            ("color channels", shape[-1], whole.channels),
        ):
            if theirs not in (None, ours):
                raise ConfigError(
                    f"init_from={config.init_from}: its number of {name} is {theirs}, this run's {ours}; expected the "
                    "same network"
                )


def check_identities(runs: Iterable[tuple[RunDir, Config]]) -> None:
    """Raises ConfigError or RunError if a folder is that of another run, of this sweep or from before."""
    known: dict[Path, dict[str, Any]] = {}
    for run, checked in runs:
        config = dataclasses.asdict(checked)
        other = known.setdefault(run.path.resolve(), config)
        if config_hash(other) != config_hash(config):
            theirs, ours = (flatten(identity(one)) for one in (other, config))
            key = next(key for key in ours if ours[key] != theirs[key])
            raise ConfigError(
                f"different runs ({key}={theirs[key]} and {key}={ours[key]}) would share the folder {run.path}; "
                "leave out hydra.sweep.subdir, or let it contain ${run_dir:}"
            )
        run.check_belongs_to(config)


def check_out(out: str, folder: str) -> list[Path]:
    """Creates the folder for run folders; raises ConfigError if it can't be created or written to.

    Args:
        out: the key `out`, below which run folders are, unless Hydra's own keys place them elsewhere.
        folder: the folder that is needed: of one run or of the whole sweep.

    Returns:
        The folders that were created, the innermost first.
    """
    key, needed = ("out", Path(out)) if Path(out) in (Path(folder), *Path(folder).parents) else ("folder", Path(folder))
    missing = [path for path in (needed, *needed.parents) if not path.exists()]
    try:
        needed.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=needed).close()
    except OSError as error:
        raise ConfigError(f"{key}={needed}: expected a folder that can be written to ({error.strerror})") from error
    return missing


def make_way(folder: str) -> None:
    """Removes another user's multirun.yaml from the sweep's folder; Hydra writes its own next and couldn't replace it.

    Raises:
        OSError: it can't be removed.
    """
    file = Path(folder) / "multirun.yaml"
    with contextlib.suppress(FileNotFoundError):
        if file.lstat().st_uid != os.getuid():
            file.unlink()


def check_folders(configs: Mapping[RunDir, Config]) -> None:
    """Raises ConfigError if a run that will be trained has a folder that can't be written to."""
    for run, config in configs.items():
        own = (locks.file_of(run.path), run.path, *run.path.parents)
        place = next(path for path in own if os.access(path, os.F_OK))
        if os.access(place, os.W_OK):
            continue
        if needs_training(run, config):
            raise ConfigError(f"{place} can't be written to, perhaps because it is another user's: set another out")


def check_device(config: Config) -> None:
    """Raises ConfigError if the run needs a GPU and there is none, or if it can't be computed on the device."""
    device = config.runtime.device
    gpus = [] if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise ConfigError("runtime.device=cuda: no GPU was found on this machine; expected one, or runtime.device=cpu")
    fault = driver_fault() if gpus else None
    if fault is not None:
        raise unusable(device, fault)
    capabilities: list[tuple[int, int] | None] = [gpu.capability for gpu in gpus]
    for capability in capabilities or [None]:
        check_support(config.precision, config.runtime.kernels, capability)


def check_extras(config: Config) -> None:
    """Raises ConfigError if the run needs an extra that isn't installed."""
    if config.runtime.tensorboard:
        require_tensorboard()


def check_images(configs: Mapping[RunDir, Config]) -> None:
    """Checks the images of the runs that will be trained, without decoding them; a finished run needs none.

    Raises:
        DataError: they are not there or wrong.
        ConfigError: they are too few or too small for a run.
    """
    sizes_in = lru_cache(_checked_sizes)  # forgotten afterwards, because files change
    for run, config in configs.items():
        if needs_training(run, config):
            _check_fit(config, sizes_in(config.data.kind, str(config.data.root)))


def _checked_sizes(kind: str, root: str) -> Sizes:
    """The sizes of the data set in `root`, which may not be what it should be; see `check_images`."""
    folder, check_root = Path(root).expanduser(), DATASETS[kind].check_root
    if check_root is not None:
        check_root(folder)
    return sizes_of(kind, folder)
