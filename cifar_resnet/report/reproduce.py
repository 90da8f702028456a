"""The commands that train given runs again, as short as conf/'s defaults allow."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cifar_resnet.report.factors import in_words
from cifar_resnet.run.defaults import folder_name, overridden, recipe
from cifar_resnet.run.identity import flatten

_OUT = "outputs"
# What is merged into lists first, and what is said first.
_MERGED = ("seed", "depth", "model")
_SAID = ("model", "depth", "seed", "data", "data.root", "data.name", "optim")
_BARE = re.compile(r"[A-Za-z0-9_./:+-]+")


def overrides(config: Mapping[str, Any]) -> list[str]:
    """`key=value` of what differs from conf/'s defaults, for the command line: model and depth always, groups first."""
    return [f"{key}={_value(value)}" for key, value in _said(_choices(config)).items()]


def commands(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The fewest `python train.py …` lines found that train exactly the runs of these configs."""
    configs = list(configs)
    choices = [_choices(config) for config in configs]
    # What some runs must say, those of the same data and recipe say too, so that they can share a line.
    said: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for one, config in zip(choices, configs, strict=True):
        said[one["data"], one["optim"]] |= dict.fromkeys(overridden(config))
    filled = [
        one | {key: flat[key] for key in said[one["data"], one["optim"]] if key in flat}
        for one, flat in zip(choices, map(flatten, configs), strict=True)
    ]
    return [_command(values) for values in _merge(filled)]


def command(config: Mapping[str, Any], extra: Sequence[str] = (), **lists: Sequence[Any]) -> str:
    """The line that trains a run like that of `config` for each combination of `lists`, such as depth=[20, 56].

    Args:
        config: gives everything that the lists don't.
        extra: more `key=value`.
        lists: model, depth or seed → values.
    """
    values: dict[str, Sequence[Any]] = {key: [value] for key, value in _choices(config).items()}
    return " ".join([_command(values | lists), *extra])


def _choices(config: Mapping[str, Any]) -> dict[str, Any]:
    """Key → value of what a run's command line must say."""
    data = config["data"]
    chosen: dict[str, Any] = {"model": config["model"]["name"], "depth": config["depth"], "seed": config["seed"]}
    chosen |= {"data": data["kind"]}
    usual = {"cifar10": "data", "cifar100": "data"}.get(data["kind"])
    if data.get("root") != usual:
        chosen["data.root"] = data.get("root")
    if data["name"] != (folder_name(data.get("root")) if data["kind"] == "image_folder" else data["kind"]):
        chosen["data.name"] = data["name"]
    chosen["optim"] = recipe(flatten(config))
    if config.get("out", _OUT) != _OUT:
        chosen["out"] = config["out"]
    return chosen | overridden(config)


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that must be said, in the order that one would: without those of a bare `python train.py`."""
    bare = {"seed": 0, "data": "cifar10", "optim": "lab"}
    ordered = sorted(values, key=lambda key: (_SAID.index(key) if key in _SAID else len(_SAID), key == "out"))
    return {key: values[key] for key in ordered if key not in bare or values[key] not in (bare[key], [bare[key]])}


def _merge(choices: list[dict[str, Any]]) -> list[dict[str, list[Any]]]:
    """Runs as few products of lists of values: key by key, those that are alike in all else become one."""
    keys = dict.fromkeys([*_MERGED, *(key for one in choices for key in one)])
    merged: list[dict[str, list[Any]]] = [{key: [value] for key, value in one.items()} for one in choices]
    for key in keys:
        alike: dict[str, list[dict[str, list[Any]]]] = defaultdict(list)
        for one in merged:
            # Who doesn't say a key isn't merged over it: the default isn't known here.
            alike[repr((key in one, sorted((name, values) for name, values in one.items() if name != key)))].append(one)
        merged = [
            group[0] | ({key: _distinct(value for one in group for value in one[key])} if key in group[0] else {})
            for group in alike.values()
        ]
    return merged


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({in_words(value): value for value in values}.values())


def _command(values: Mapping[str, Sequence[Any]]) -> str:
    said = _said(values)
    words = [_shell(f"{key}={','.join(_value(value) for value in said[key])}") for key in said]
    many = any(len(values) > 1 for values in said.values())
    return " ".join(["python train.py", *(["-m"] if many else []), *words])


def _shell(word: str) -> str:
    """A word as a shell takes it; in double quotes where it has single ones, which are Hydra's."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def _value(value: Any) -> str:
    """A value in Hydra's grammar."""
    text = in_words(value)
    if not isinstance(value, str) or _BARE.fullmatch(text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
