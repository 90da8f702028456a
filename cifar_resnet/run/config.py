"""A run's validated configuration, from whatever it was read from.

Imports neither torch nor Hydra's runtime. The worker, the sweep and the tests all read a run's config through it.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cifar_resnet.architectures import with_shortcuts
from cifar_resnet.datasets import DATASETS, Sizes
from cifar_resnet.errors import ConfigError
from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.printable import UNPRINTABLE
from cifar_resnet.run import later_keys
from cifar_resnet.run.identity import flatten
from cifar_resnet.run.schema import FIELDS, Config, DataConfig, accepted, describe

# A config may come from anywhere: what could exhaust the program, or act on a terminal, is not a value.
_LARGEST, _MOST_LAYERS = 2**31 - 1, 99_998
_MOST_CHARACTERS = 4096  # the longest path that Linux accepts


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


def nearest_depths(depth: int) -> tuple[int, int]:
    """The two valid depths 6n+2 nearest to an invalid one.

    >>> nearest_depths(21)
    (20, 26)
    """
    n = max(1, (depth - 2) // 6)
    return 6 * n + 2, 6 * n + 8


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
    if PRECISIONS[config.precision].scaled and not OPTIMIZERS[optim.optimizer].skips_overflow:
        others = ", ".join(name for name, precision in PRECISIONS.items() if not precision.scaled)
        raise ConfigError(
            f"precision={config.precision} with optim.optimizer={optim.optimizer}: expected one of {others}"
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
        _check_batches_of(config, sizes)


def check_sizes(config: Config, whole: Sizes) -> None:
    """Raises ConfigError if the run can't be trained on a data set of these sizes, before it is read."""
    check_subsets(config.data, whole.train, whole.test)
    _check_batches_of(config, whole)


def check_subsets(data: DataConfig, train_images: int, test_images: int) -> None:
    """Raises ConfigError if a subset or the hold-out split needs more images than the whole data set has."""
    if not DATASETS[data.kind].sized_by_config:
        subsets = (
            ("train_size", data.train_size, train_images, "training"),
            ("test_size", data.test_size, test_images, "test"),
        )
        for key, size, most, name in subsets:
            if size is not None and size > most:
                raise ConfigError(f"data.{key}={size}: expected at most {most:,}, the number of {name} images")
    count = data.train_size or train_images
    if data.holdout >= count:
        raise ConfigError(f"data.holdout={data.holdout}: expected fewer than the {count:,} training images")


def _check_batches_of(config: Config, whole: Sizes) -> None:
    data = config.data
    height, width = (data.image_size or size for size in (whole.height, whole.width))
    check_batches(config, (data.train_size or whole.train) - data.holdout, height, width)


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
