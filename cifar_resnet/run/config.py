"""The schema of a run's configuration and its checks; the defaults are in conf/.

Imports neither torch nor Hydra's runtime. The worker, the sweep and the tests all read a run's config through it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from cifar_resnet.architectures import ARCHITECTURES, with_shortcuts
from cifar_resnet.datasets import DATASETS
from cifar_resnet.errors import ConfigError
from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.printable import UNPRINTABLE
from cifar_resnet.run import later_keys
from cifar_resnet.run.durations import seconds_of
from cifar_resnet.run.identity import flatten
from cifar_resnet.schedules import SCHEDULES

Check = Callable[[Any], bool]
# A config may come from anywhere: what could exhaust the program, or act on a terminal, is not a value.
_LARGEST, _MOST_LAYERS = 2**31 - 1, 99_998
_MOST_CHARACTERS = 4096  # the longest path that Linux accepts


def _key(accepted: str, check: Check | None = None) -> Any:
    """A required key: what it accepts, as text for error messages and as a predicate."""
    return field(default=MISSING, metadata={"accepted": accepted, "check": check})


def _one_of(choices: Collection[str]) -> Any:
    """A key that accepts one of the names in a registry or tuple."""
    return _key(f"one of {', '.join(choices)}", lambda value: value in choices)


def _number(accepted: str, check: Check) -> Any:
    return _key(accepted, lambda value: math.isfinite(value) and check(value))


def _optional(accepted: str, check: Check) -> Any:
    return _key(f"{accepted}, or null", lambda value: value is None or check(value))


def _is_warmup(value: Any) -> bool:
    return value in ("auto", "none") or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _is_label(value: str) -> bool:
    """Whether the text can be the name of a file: it must not lead to another folder."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", value) is not None


def _increases(values: list[int]) -> bool:
    return all(value > 0 for value in values) and all(a < b for a, b in pairwise(values))


@dataclass
class ModelConfig:
    """Which network; the depth is separate because it is swept across all models."""

    name: str = _one_of(ARCHITECTURES)
    shortcut: str = _one_of(("A", "B"))
    width: int = _key("an integer of 1 or more", lambda value: value >= 1)
    norm: str = _one_of(("batch", "none"))
    init_linear: str = _one_of(("kaiming", "small"))
    zero_init_residual: bool = _key("true or false")


@dataclass
class OptimConfig:
    """The optimizer and the schedule. One of epochs and iterations is set; milestones are in that unit."""

    name: str = _key("the recipe's file in conf/optim/, without .yaml", lambda value: _is_label(value))
    epochs: int | None = _optional("an integer of 1 or more (epochs)", lambda value: value >= 1)
    iterations: int | None = _optional("an integer of 1 or more (iterations)", lambda value: value >= 1)
    batch_size: int = _key("an integer of 1 or more (images)", lambda value: value >= 1)
    optimizer: str = _one_of(OPTIMIZERS)
    schedule: str = _one_of(SCHEDULES)
    lr: float = _number("a number above 0", lambda value: value > 0)
    peak: float = _number("a number from 0 to 1 (fraction of the run)", lambda value: 0 <= value <= 1)
    momentum: float = _number("a number from 0 to below 1", lambda value: 0 <= value < 1)
    nesterov: bool = _key("true or false")
    weight_decay: float = _number("a number of 0 or more", lambda value: value >= 0)
    label_smoothing: float = _number("a number from 0 to below 1", lambda value: 0 <= value < 1)
    milestones: list[int] = _key("a list of increasing positive integers, such as [81,122]", _increases)
    gamma: float = _number("a number above 0, at most 1", lambda value: 0 < value <= 1)
    warmup: int | str = _key("auto, none or a number of iterations", _is_warmup)


@dataclass
class DataConfig:
    """Which images, how many of them, and how they are presented."""

    kind: str = _one_of(DATASETS)
    name: str = _key(
        "a label of 1 to 40 characters from A-Z a-z 0-9 . _ -, starting with a letter or digit",
        lambda value: _is_label(value),
    )
    root: str | None = _key("a folder, or null")
    cache: str | None = _key("a folder, or null")
    image_size: int | None = _optional("an integer of 4 or more (pixels)", lambda value: value >= 4)
    train_size: int | None = _optional("an integer of 1 or more (images)", lambda value: value >= 1)
    test_size: int | None = _optional("an integer of 1 or more (images)", lambda value: value >= 1)
    holdout: int = _key("an integer of 0 or more (images)", lambda value: value >= 0)
    augment: bool = _key("true or false")


@dataclass
class DiagnosticsConfig:
    """Whether and when to measure gradients and responses; never part of the run's identity."""

    enabled: bool = _key("true or false")
    every: int = _key("an integer of 1 or more (epochs)", lambda value: value >= 1)


@dataclass
class RuntimeConfig:
    """Where and how a run is computed; never part of the run's identity."""

    device: str = _one_of(("auto", "cpu", "cuda"))
    threads: int | None = _optional("an integer of 1 or more", lambda value: value >= 1)
    progress: bool = _key("true or false")
    runs_per_gpu: int = _key("an integer of 1 or more (runs)", lambda value: value >= 1)
    kernels: str = _one_of(("auto", "graph", "fused", "eager"))
    compile: bool = _key("true or false")
    deterministic: bool = _key("true or false")
    checkpoint_seconds: float = _number("a number of 0 or more (seconds)", lambda value: value >= 0)
    retry_failed: bool = _key("true or false")
    tensorboard: bool = _key("true or false")
    dry_run: bool = _key("true or false")
    stop_after: str | None = _optional("a time such as 7h30m, 45m or 2d", lambda value: seconds_of(value) is not None)
    runs_per_job: int = _key("an integer of 1 or more (runs)", lambda value: value >= 1)


@dataclass
class Config:
    """One run: everything in its folder's `config.yaml`."""

    depth: int = _key("6n+2 (20, 32, 44, 56, 110, …)", lambda value: value >= 8 and (value - 2) % 6 == 0)
    seed: int = _key("an integer from 0 to 2147483647", lambda value: 0 <= value < 2**31)
    precision: str = _one_of(PRECISIONS)
    out: str = _key("a folder that doesn't start with -", lambda value: value != "" and value[0] != "-")
    init_from: str | None = _key("the folder of a finished run, or null")
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: DataConfig = field(default_factory=DataConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


def _fields(schema: type, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    for item in dataclasses.fields(schema):
        if dataclasses.is_dataclass(item.default_factory):
            yield from _fields(item.default_factory, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, item


FIELDS: dict[str, dataclasses.Field[Any]] = dict(_fields(Config))
"""Every key by its full name, such as `optim.lr`."""


def accepted(key: str) -> str:
    """What `key` accepts, as text."""
    return str(FIELDS[key].metadata["accepted"])


def nearest_depths(depth: int) -> tuple[int, int]:
    """The two valid depths 6n+2 nearest to an invalid one.

    >>> nearest_depths(21)
    (20, 26)
    """
    n = max(1, (depth - 2) // 6)
    return 6 * n + 2, 6 * n + 8


def from_container(values: Any) -> Config:
    """A validated Config from plain nested dictionaries or an OmegaConf node.

    A key that is missing because an earlier version wrote the config gets the value from `later_keys`.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type or is impossible.
    """
    config = _convert(values) if isinstance(values, dict) else None
    if config is None:
        config = _merge(values)
    check(config)
    return config


def typed(values: dict[str, Any]) -> dict[str, Any]:
    """The keys of these nested dictionaries with validated values of the types that the schema gives.

    Raises:
        ConfigError: as `from_container`.
    """
    config = _convert(values)
    if config is not None:
        check(config)
        return values
    whole = dataclasses.asdict(from_container(values))
    return {
        name: {key: whole[name][key] for key in value} if isinstance(value, dict) else whole[name]
        for name, value in values.items()
    }


def _convert(values: dict[str, Any]) -> Config | None:
    """The config from values that already have exactly their types; None if a value is missing or must be converted.

    A report on 1,000 runs validates 1,000 configs, and OmegaConf takes milliseconds for each.
    """
    groups: dict[str, Any] = dict(values)
    for name, before in later_keys.nested().items():
        if isinstance(groups.get(name, {}), dict):
            groups[name] = before | groups.get(name, {})
    flat, types = flatten(groups), _types()
    if flat.keys() != types.keys() or not all(_has_type(flat[key], types[key]) for key in types):
        return None
    made: dict[str, Any] = {item.name: item.default_factory for item in dataclasses.fields(Config)}
    return Config(**{name: made[name](**value) if isinstance(value, dict) else value for name, value in groups.items()})


@cache
def _types() -> dict[str, tuple[type, ...]]:
    """Key → the types of its values."""
    found = {}
    for name, hint in get_type_hints(Config).items():
        inner = get_type_hints(hint) if dataclasses.is_dataclass(hint) else {"": hint}
        for key, one in inner.items():
            origin = get_origin(one)
            found[f"{name}.{key}".rstrip(".")] = (list,) if origin is list else get_args(one) or (one,)
    return found


def _has_type(value: Any, types: tuple[type, ...]) -> bool:
    if type(value) is list:
        return list in types and all(type(item) is int for item in value)
    return type(value) in types and value != MISSING


def _merge(values: Any) -> Config:
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), later_keys.nested(), values)
        missing = sorted(OmegaConf.missing_keys(merged))
        config = None if missing else OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ConfigError(describe(error)) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"the configuration is not a mapping of keys to values: {error}") from error
    if missing:
        raise ConfigError(f"{missing[0]} is not set: give it as {missing[0]}=<{accepted(missing[0])}>")
    assert isinstance(config, Config)
    return config


def describe(error: OmegaConfBaseException) -> str:
    """OmegaConf's error as one line: the key, the value and what is accepted."""
    key, first_line = getattr(error, "full_key", None), str(error).splitlines()[0]
    if key is None:
        return first_line
    key = re.sub(r"\[\d+\]$", "", str(key))
    if key in FIELDS:
        return f"{key}: {first_line}; expected {accepted(key)}"
    return unknown_key(key) if isinstance(error, ConfigKeyError | ConfigAttributeError) else f"{key}: {first_line}"


def full_keys(name: str) -> list[str]:
    """The keys whose last part is `name`.

    >>> full_keys("lr"), full_keys("name"), full_keys("rate")
    (['optim.lr'], ['model.name', 'optim.name', 'data.name'], [])
    """
    return [key for key in FIELDS if key.rpartition(".")[2] == name]


def unknown_key(key: str) -> str:
    """An unknown key as one line: its likeliest correction and the keys of its group."""
    import difflib

    group, _, name = key.rpartition(".")
    prefix = f"{group}." if group else ""
    siblings = dict.fromkeys(one[len(prefix) :].partition(".")[0] for one in FIELDS if one.startswith(prefix))
    close = full_keys(name)
    if not close and siblings:
        # Compared without the group, which is the same for all and would make any two keys similar.
        close = [prefix + one for one in difflib.get_close_matches(name, siblings, n=1, cutoff=0.5)]
    elif not close:
        close = difflib.get_close_matches(key, FIELDS, n=1)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    where = f"in {group}" if group else "at the top level"
    listing = f"accepted {where} are {', '.join(siblings)}" if siblings else "`python train.py --help` lists all keys"
    return f"unknown key {key}: {hint}{listing}"


def _check_bounds(key: str, value: Any) -> None:
    """Raises ConfigError if a number is absurdly large, or a text can't be shown or would be interpolated."""
    most = _MOST_LAYERS if key == "depth" else _LARGEST
    if any(type(item) is int and abs(item) > most for item in (value if isinstance(value, list) else [value])):
        raise ConfigError(f"{key} is too large: expected {accepted(key)}; the largest integer is {most}")
    if isinstance(value, str):
        if "${" in value or len(value) > _MOST_CHARACTERS:
            shown = value[:40]
            raise ConfigError(f"{key}={shown}: expected text without ${{…}}, of at most {_MOST_CHARACTERS} characters")
        if UNPRINTABLE.search(value):
            raise ConfigError(f"{key}={value!a}: expected text in UTF-8 without control characters")


def check(config: Config) -> None:
    """Raises ConfigError for the first invalid value, with what is accepted."""
    for key, item in FIELDS.items():
        value: Any = config
        for part in key.split("."):
            value = getattr(value, part)
        _check_bounds(key, value)
        predicate = item.metadata["check"]
        if predicate is not None and not predicate(value):
            if key == "depth":
                raise ConfigError(
                    f"depth={value}: expected {accepted(key)}; nearest are %d and %d" % nearest_depths(value)
                )
            raise ConfigError(f"{key}={value}: expected {accepted(key)}")
    optim, data = config.optim, config.data
    if (optim.epochs is None) == (optim.iterations is None):
        raise ConfigError(
            f"optim.epochs={optim.epochs} and optim.iterations={optim.iterations}: "
            "expected one of them, and null for the other"
        )
    if optim.nesterov and "nesterov" not in OPTIMIZERS[optim.optimizer].keys:
        raise ConfigError(
            f"optim.nesterov=true: optim.optimizer={optim.optimizer} has no Nesterov momentum; expected false"
        )
    if optim.nesterov and optim.momentum == 0:
        raise ConfigError("optim.nesterov=true with optim.momentum=0: expected a momentum above 0")
    if DATASETS[data.kind].needs_root and not data.root:
        raise ConfigError(
            f"data.root is not set: data={data.kind} needs the folder with the images, data.root=<folder>"
        )
    if config.model.zero_init_residual and config.model.name not in with_shortcuts():
        raise ConfigError(
            f"model.zero_init_residual=true: {config.model.name} networks have no shortcuts; "
            f"expected {' or '.join(with_shortcuts())}"
        )
    if data.train_size is not None and data.holdout >= data.train_size:
        raise ConfigError(f"data.holdout={data.holdout}: expected fewer images than data.train_size={data.train_size}")
    sizes = DATASETS[data.kind].sizes
    if sizes is not None:
        height, width = (data.image_size or size for size in (sizes.height, sizes.width))
        check_batches(config, (data.train_size or sizes.train) - data.holdout, height, width)


def check_batches(config: Config, train_images: int, height: int, width: int) -> None:
    """Raises ConfigError if batch norm would get one value per channel, for which it has no variance.

    Args:
        config: the run.
        train_images: training images without the hold-out split.
        height: of the images, in pixels.
        width: the same.
    """
    # The last stage's maps are the images halved twice, rounding up. A last batch of one image is never trained on.
    if config.model.norm == "batch" and max(height, width) <= 4 and min(train_images, config.optim.batch_size) == 1:
        raise ConfigError(
            f"optim.batch_size={config.optim.batch_size} with {train_images:,} training images of {width}×{height} "
            "pixels: the last stage has one value per channel, too few for batch norm; expected batches of 2 images "
            "or more, images of 5 pixels or more (data.image_size), or model.norm=none"
        )
