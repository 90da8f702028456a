"""The schema of a run's configuration: its keys, and what each accepts; the defaults are in conf/."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from omegaconf import MISSING
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.datasets import DATASETS
from cifar_resnet.optimizers import OPTIMIZERS
from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.programs import command
from cifar_resnet.run.durations import seconds_of
from cifar_resnet.run.identity import as_override
from cifar_resnet.schedules import SCHEDULES

Check = Callable[[Any], bool]
_LONGEST_SHOWN = 60


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


def describe(error: OmegaConfBaseException) -> str:
    """OmegaConf's error as one line: the key, the value and what is accepted."""
    key, first_line = getattr(error, "full_key", None), str(error).splitlines()[0]
    if key is None:
        return first_line
    given, key = str(key), re.sub(r"\[\d+\]$", "", str(key))
    if key in FIELDS and isinstance(error, ValidationError):
        value = as_override(error.value)
        shown = value if len(value) <= _LONGEST_SHOWN else f"{value[: _LONGEST_SHOWN - 1]}…"
        return f"{given}={shown}: expected {accepted(key)}"
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
    listing = (
        f"accepted {where} are {', '.join(siblings)}" if siblings else f"`{command('train')} --help` lists all keys"
    )
    return f"unknown key {key}: {hint}{listing}"
