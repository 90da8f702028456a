"""Finds what tells the runs of a data set apart, beside model, depth and seed, and puts it into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cifar_resnet.run.defaults import RECIPE, overridden, with_defaults
from cifar_resnet.run.identity import identity

# What every table shows anyway, and what names a run.
_SHOWN = {"data.name", "data.kind", "model.name", "depth", "seed"}
_LENGTHS = ("optim.epochs", "optim.iterations")


def in_words(value: Any) -> str:
    """A value as it is written on the command line.

    >>> [in_words(value) for value in (True, None, [81, 122], 0.1)]
    ['true', 'null', '[81,122]', '0.1']
    """
    if isinstance(value, list):
        return f"[{','.join(in_words(item) for item in value)}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def sort_key(value: Any) -> tuple[Any, ...]:
    """Orders numbers by size, before everything else by its words."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, in_words(value)


def describe(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, flat, with its recipe's name and the defaults of keys that it was made before."""
    return with_defaults(identity(config))


def find(flats: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that don't have one value in all of the runs' descriptions, in their order in the first."""
    keys = dict.fromkeys(key for flat in flats for key in flat if key not in _SHOWN)
    absent = object()
    differing = [key for key in keys if any(flat.get(key, absent) != flats[0].get(key, absent) for flat in flats)]
    if RECIPE in differing:
        # The recipe's name says all of its values that nobody changed.
        values = {key for key in differing if key.startswith(f"{RECIPE}.") and key not in _LENGTHS}
        changed = {key for flat in flats for key in overridden(flat, values)}
        differing = [key for key in differing if key not in values - changed]
    if _is_determined("optim.milestones", [key for key in differing if key in (RECIPE, *_LENGTHS)], flats):
        # They scale with a run's length, and need no mention where it says them.
        return [key for key in differing if key != "optim.milestones"]
    return differing


def _is_determined(key: str, by: Sequence[str], flats: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the runs with equal values of `by` have equal values of `key`."""
    if not by:
        return False
    pairs = {(tuple(in_words(flat.get(name)) for name in by), in_words(flat.get(key))) for flat in flats}
    return len(pairs) == len({values for values, _ in pairs})


def settings(flats: Sequence[Mapping[str, Any]], keys: Sequence[str], fingerprints: Sequence[str | None]) -> list[str]:
    """Each run's setting in words, such as `lr=0.05, shortcut=B`; all empty where nothing differs.

    Runs whose configs say the same but whose images don't are told apart by their data's fingerprint.
    """
    labels = _labels(keys)
    texts = [", ".join(_parts(flat, labels)) for flat in flats]
    seen = {(text, fingerprint) for text, fingerprint in zip(texts, fingerprints, strict=True) if fingerprint}
    versions = Counter(text for text, _ in seen)
    return [
        ", ".join([*([text] if text else []), f"images={fingerprint[:6]}"])
        if fingerprint and versions[text] > 1
        else text
        for text, fingerprint in zip(texts, fingerprints, strict=True)
    ]


def split_length(setting: str) -> tuple[str, str]:
    """A setting in words, less what it says of the training's length, and that alone.

    >>> split_length("optim=onecycle, epochs=8, lr=0.2")
    ('optim=onecycle, lr=0.2', 'epochs=8')
    """
    words = tuple(f"{key.rpartition('.')[2]}=" for key in _LENGTHS)
    parts = setting.split(", ")
    rest, length = ([part for part in parts if part.startswith(words) is is_length] for is_length in (False, True))
    return ", ".join(rest), ", ".join(length)


def _labels(keys: Iterable[str]) -> dict[str, str]:
    """Key → its last part, or the whole where two keys end alike."""
    keys = list(keys)
    ends = Counter(key.rpartition(".")[2] for key in keys)
    return {key: end if ends[end := key.rpartition(".")[2]] == 1 else key for key in keys}


def _parts(flat: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    # Of a run's two ways to give its length one is null, and says nothing.
    return [
        f"{label}={in_words(flat[key])}"
        for key, label in labels.items()
        if key in flat and not (key in _LENGTHS and flat[key] is None)
    ]
