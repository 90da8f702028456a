"""Finds the keys in which the runs of a data set differ, apart from model, depth and seed, and names their settings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

from cifar_resnet.run.defaults import RECIPE, has_recipe, overridden, with_defaults
from cifar_resnet.run.identity import as_override, identity

# Keys that every table shows anyway.
_SHOWN = {"data.name", "data.kind", "model.name", "depth", "seed"}
_LENGTHS = ("optim.epochs", "optim.iterations")
# Fewer settings than this are no search.
_FEWEST_DRAWN = 8


def sort_key(value: Any) -> tuple[Any, ...]:
    """Sorts numbers by size, and everything else after them by its text."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, as_override(value)


def describe(config: Mapping[str, Any]) -> dict[str, Any]:
    """The run's identity as a flat mapping, with its recipe's name and with keys added after the run was created."""
    kept = identity(config)
    kept["optim"] |= {key: value for key, value in config["optim"].items() if key == "name"}
    return with_defaults(kept)


def with_one_recipe(flats: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The descriptions; those that are equal but for the seed and the recipe's name get the first one's name."""
    names: dict[str, Any] = {}
    unnamed = ({key: value for key, value in flat.items() if key not in {*_SHOWN, RECIPE}} for flat in flats)
    values = [json.dumps(flat, sort_keys=True, default=str) for flat in unnamed]
    return [{**flat, RECIPE: names.setdefault(text, flat[RECIPE])} for flat, text in zip(flats, values, strict=True)]


def find(flats: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose value isn't the same in all descriptions, in the order of the first one."""
    keys = dict.fromkeys(key for flat in flats for key in flat if key not in _SHOWN)
    absent = object()
    differing = [key for key in keys if any(flat.get(key, absent) != flats[0].get(key, absent) for flat in flats)]
    if RECIPE in differing:
        # The recipe's name stands for all of its values that no run overrides.
        values = {key for key in differing if key.startswith(f"{RECIPE}.") and key not in _LENGTHS}
        changed = {key for flat in flats for key in overridden(flat, values)}
        differing = [key for key in differing if key not in values - changed]
    if "optim.milestones" in differing and _follow_from_length("optim.milestones", flats):
        differing.remove("optim.milestones")
    return differing


def _follow_from_length(key: str, flats: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every run's value of `key` follows from its recipe and its length, as milestones that scale do."""
    if any(overridden(flat, {key}) for flat in flats if has_recipe(str(flat[RECIPE]))):
        return False
    # A recipe that conf/ doesn't have is known only by its runs.
    own = [flat for flat in flats if not has_recipe(str(flat[RECIPE]))]
    pairs = {tuple(as_override(flat[name]) for name in (RECIPE, *_LENGTHS, key)) for flat in own}
    return len(pairs) == len({pair[:-1] for pair in pairs})


def settings(
    flats: Sequence[Mapping[str, Any]], keys: Sequence[str], inputs: Mapping[str, Sequence[str | None]]
) -> list[str]:
    """Each run's setting, such as `lr=0.05, shortcut=B`; all empty if nothing differs.

    Args:
        flats: the runs' descriptions.
        keys: what differs between them.
        inputs: name of an input → each run's digest of it, if recorded. Runs with equal configs but different inputs,
            such as images, are distinguished by these.
    """
    labels = _labels(keys)
    texts = [", ".join(_parts(flat, labels)) for flat in flats]
    for name, digests in inputs.items():
        seen = {(text, digest) for text, digest in zip(texts, digests, strict=True) if digest}
        versions = Counter(text for text, _ in seen)
        texts = [
            ", ".join([*([text] if text else []), f"{name}={digest[:6]}"]) if digest and versions[text] > 1 else text
            for text, digest in zip(texts, digests, strict=True)
        ]
    return texts


def split_length(setting: str) -> tuple[str, str]:
    """Splits a setting into everything but the length of training, and the length.

    >>> split_length("optim=onecycle, epochs=8, lr=0.2")
    ('optim=onecycle, lr=0.2', 'epochs=8')
    """
    words = tuple(f"{key.rpartition('.')[2]}=" for key in _LENGTHS)
    parts = setting.split(", ")
    rest, length = ([part for part in parts if part.startswith(words) is is_length] for is_length in (False, True))
    return ", ".join(rest), ", ".join(length)


def values(setting: str) -> dict[str, str]:
    """Factor → value of a setting.

    >>> values("lr=0.05, shortcut=B"), values("")
    ({'lr': '0.05', 'shortcut': 'B'}, {})
    """
    return dict(part.partition("=")[::2] for part in setting.split(", ") if part)


def are_drawn(settings: Iterable[str]) -> bool:
    """Whether the settings are a search: at least eight, and fewer than half of the combinations of their values.

    More than half of the settings have a value of their own, as drawn numbers do: settings typed by hand, one after
    another, are few of the combinations, too, but repeat values.

    >>> are_drawn(f"lr={n}, decay={n}" for n in range(8)), are_drawn(f"lr={n}, decay=1" for n in range(8))
    (True, False)
    >>> are_drawn(f"lr={n % 2}, decay={n % 3}, width={n % 4}" for n in range(8))
    False
    """
    distinct = list(dict.fromkeys(settings))
    known: dict[str, set[str]] = {}
    for setting in distinct:
        for key, value in values(setting).items():
            known.setdefault(key, set()).add(value)
    counts = [len(found) for found in known.values()]
    return _FEWEST_DRAWN <= len(distinct) < min(2 * max(counts, default=0), prod(counts) / 2)


def _labels(keys: Iterable[str]) -> dict[str, str]:
    """Key → its last part, or the whole key if two keys share the last part."""
    keys = list(keys)
    ends = Counter(key.rpartition(".")[2] for key in keys)
    return {key: end if ends[end := key.rpartition(".")[2]] == 1 else key for key in keys}


def _parts(flat: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    # A run's length is given in epochs or in iterations; the other one is null.
    return [
        f"{label}={as_override(flat[key])}"
        for key, label in labels.items()
        if key in flat and not (key in _LENGTHS and flat[key] is None)
    ]
