"""The commands that train given runs again, as short as the packaged defaults allow, and that create their report."""

from __future__ import annotations

import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cifar_resnet import programs
from cifar_resnet.datasets import DATASETS
from cifar_resnet.report.intervals import SMALLEST
from cifar_resnet.report.runs.collection import Source
from cifar_resnet.run.defaults import USUAL_RECIPE, folder_name, has_recipe, overridden, recipe
from cifar_resnet.run.identity import as_override, flatten

_OUT = "outputs"
# The keys that are merged into lists first, and the order of keys on the command line.
_MERGED = ("seed", "depth", "model")
_ORDER = ("model", "depth", "seed", "data", "data.root", "data.name", "optim")
_BARE = re.compile(r"[A-Za-z0-9_./:+-]+")


def commands(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """As few commands as possible that train exactly the runs of these configs, with the same diagnostics."""
    configs = list(configs)
    choices = [_choices(config) for config in configs]
    # A key that some runs need is given for all runs of the same data and recipe, so that they can share a command.
    needed: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for one, config in zip(choices, configs, strict=True):
        needed[one["data"], one["optim"]] |= dict.fromkeys(overridden(config))
    filled = [
        one | {key: flat[key] for key in needed[one["data"], one["optim"]] if key in flat} | _diagnostics(flat)
        for one, flat in zip(choices, map(flatten, configs), strict=True)
    ]
    return [_command(values) for values in _merge(filled)]


def command(config: Mapping[str, Any], extra: Sequence[str] = (), **lists: Sequence[Any]) -> str:
    """The command that trains a run like `config` for each combination of `lists`, such as depth=[20, 56].

    Args:
        config: provides every value that isn't in the lists.
        extra: additional `key=value`.
        lists: key → values, such as those of model, depth or seed.
    """
    values: dict[str, Sequence[Any]] = {key: [value] for key, value in _choices(config).items()}
    return " ".join([_command(values | lists), *extra])


# What a command may set in addition to another one that trains the same runs: this only measures more.
_MEASURES = {"diagnostics.enabled"}


def without_contained(commands: Iterable[str]) -> list[str]:
    """The commands without those all of whose runs another one trains, too.

    >>> without_contained(["train.py -m depth=20 seed=0,1", "train.py -m depth=20,56 seed=0,1"])
    ['train.py -m depth=20,56 seed=0,1']
    """
    values = {
        one: {key: {*chosen.split(",")} for key, _, chosen in (word.partition("=") for word in one.split())}
        for one in commands
    }
    return [one for one, own in values.items() if not any(_contains(other, own) for other in values.values())]


def _contains(larger: Mapping[str, set[str]], smaller: Mapping[str, set[str]]) -> bool:
    """Whether the larger command trains the smaller one's runs, and does more."""
    keys, others = smaller.keys() - {"-m"}, larger.keys() - {"-m"}
    if not keys <= others or others - keys - _MEASURES or any(not smaller[key] <= larger[key] for key in keys):
        return False
    return others > keys or any(smaller[key] < larger[key] for key in keys)


def report_command(source: Source, smallest: float, author: str) -> str:
    """The command that creates the report of these runs.

    Args:
        source: the folders that were read, and the filters.
        smallest: the smallest difference between errors that the report names, in percentage points.
        author: the name under its title, or nothing.
    """
    folders = [relative(os.path.abspath(path)) for path in source.paths]
    options = [word for one in source.where for word in ("--where", one)]
    options += ["--smallest", as_override(smallest)] if smallest != SMALLEST else []
    options += ["--author", author] if author else []
    return " ".join([programs.command("aggregate"), *map(shlex.quote, [*folders, *options])])


def relative(path: str) -> str:
    """A folder as it is written on the command line: relative to where commands are typed, if it lies inside."""
    inside, start = Path(path), programs.start_folder()
    return str(inside.relative_to(start)) if inside.is_absolute() and inside.is_relative_to(start) else path


def _choices(config: Mapping[str, Any]) -> dict[str, Any]:
    """Key → value for everything that a run's command line must contain."""
    data = config["data"]
    chosen: dict[str, Any] = {"model": config["model"]["name"], "depth": config["depth"], "seed": config["seed"]}
    chosen |= {"data": data["kind"]}
    known = DATASETS[data["kind"]]
    root = relative(data["root"]) if data.get("root") else None
    if root != known.usual_root:
        chosen["data.root"] = root
    if data["name"] != (folder_name(data.get("root")) if known.named_by_root else data["kind"]):
        chosen["data.name"] = data["name"]
    chosen["optim"] = recipe(flatten(config))
    if relative(config.get("out", _OUT)) != _OUT:
        chosen["out"] = relative(config["out"])
    chosen |= overridden(config)
    # A recipe from elsewhere is written as its differences from the usual one.
    return chosen | ({} if has_recipe(chosen["optim"]) else {"optim": USUAL_RECIPE})


def _diagnostics(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Their keys if they were measured: they are not part of a run's identity, but its figures need them."""
    keys = ("diagnostics.enabled", "diagnostics.every")
    return {key: flat[key] for key in keys if key in flat} if flat.get(keys[0]) else {}


def _needed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values in the usual order, without those that a command needn't contain."""
    bare = {"seed": 0, "data": "cifar10", "optim": "lab"}
    ordered = sorted(values, key=lambda key: (_ORDER.index(key) if key in _ORDER else len(_ORDER), key == "out"))
    return {key: values[key] for key in ordered if key not in bare or values[key] not in (bare[key], [bare[key]])}


def _merge(choices: list[dict[str, Any]]) -> list[dict[str, list[Any]]]:
    """Runs as few products of lists of values: runs that differ only in one key become one product, key by key."""
    keys = dict.fromkeys([*_MERGED, *(key for one in choices for key in one)])
    merged: list[dict[str, list[Any]]] = [{key: [value] for key, value in one.items()} for one in choices]
    for key in keys:
        alike: dict[str, list[dict[str, list[Any]]]] = defaultdict(list)
        for one in merged:
            # A run without the key isn't merged with one that has it, since the default isn't known here.
            alike[repr((key in one, sorted((name, values) for name, values in one.items() if name != key)))].append(one)
        merged = [
            group[0] | ({key: _distinct(value for one in group for value in one[key])} if key in group[0] else {})
            for group in alike.values()
        ]
    return merged


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({as_override(value): value for value in values}.values())


def _command(values: Mapping[str, Sequence[Any]]) -> str:
    needed = _needed(values)
    words = [_shell(f"{key}={','.join(_value(value) for value in needed[key])}") for key in needed]
    many = any(len(values) > 1 for values in needed.values())
    return " ".join([programs.command("train"), *(["-m"] if many else []), *words])


def _shell(word: str) -> str:
    """A word quoted for a shell, in double quotes where it contains Hydra's single quotes."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def _value(value: Any) -> str:
    """A value in Hydra's override grammar."""
    text = as_override(value)
    if not isinstance(value, str) or _BARE.fullmatch(text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
