"""Parses config.yaml and run.json, which may come from anywhere: what could exhaust the program is refused first."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from types import UnionType
from typing import Any

import yaml

from cifar_resnet.datasets.sizes import MOST_CLASSES
from cifar_resnet.printable import UNPRINTABLE, printable

# The C loader is ten times as fast, but not every build of PyYAML has it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 20

_Number = int | float | None
_Text = str | None
MADE_BY: dict[str, Any] = {
    "commit": _Text,
    "device": _Text,
    "threads": int | None,
    "kernels": _Text,
    "versions": {None: _Text},
}
"""The fields of run.json that record what trained the run, or an earlier part of it, and their form."""
# What a later reader relies on. Keys that aren't listed here may have any value.
_RECORD: dict[str, Any] = {
    **MADE_BY,
    "reason": _Text,
    "started": _Text,
    "finished": _Text,
    "updated": _Text,
    "job": _Text,
    "hash": _Text,
    "parameters": int | None,
    "seconds": _Number,
    "metrics_digest": _Text,
    "diagnostics_digest": _Text,
    "predictions_digest": _Text,
    "final_digest": _Text,
    "earlier": [MADE_BY],
    "init_from": {None: _Text},
    "outcome": dict.fromkeys(("test_error", "val_error", "best_test_error", "best_val_error"), _Number),
    "progress": {
        **dict.fromkeys(("step", "steps", "steps_per_epoch"), int | None),
        **dict.fromkeys(("seconds", "pace", "train_loss", "val_error", "test_error", "images_per_second"), _Number),
    },
    "data": {
        "name": _Text,
        "kind": _Text,
        "fingerprint": _Text,
        "identity": _Text,
        "train_images": int | None,
        "val_images": int | None,
        "test_images": int | None,
        "classes": int | None,
        "class_names": [str],
        "image_shape": [int],
        "mean": [int | float],
        "std": [int | float],
        "is_cifar10": bool | None,
    },
}
"""The form of run.json: types, lists of a form, and mappings; None stands for any key."""
_LARGEST = 2**53  # the integers up to here are exact as floating-point numbers, too


def parse_config(text: str) -> dict[str, Any]:
    """Parses the YAML of a config, one part at a time if it is a mapping: parts that runs share are parsed once.

    Raises:
        ValueError: it has aliases or interpolations, or it is nested deeply.
        yaml.YAMLError: it is not valid YAML.
    """
    if "${" in text:
        raise ValueError("it contains ${…}; expected only resolved values")
    parts: dict[Any, Any] = {}
    for part in re.split(r"^(?=\w)", text, flags=re.MULTILINE):
        try:
            parsed = _parse_part(part)
        except yaml.YAMLError:
            parsed = ()
        if not isinstance(parsed, dict):
            # For example, the part is the second line of a text.
            whole = _parse_part(text)
            if not isinstance(whole, dict):
                raise ValueError("it contains no configuration; expected keys and values")
            return dict(whole)
        # Copied, so that changing one config doesn't change the others.
        parts |= {key: dict(value) if isinstance(value, dict) else value for key, value in parsed.items()}
    if not parts:
        raise ValueError("it contains no configuration; expected keys and values")
    return parts


@lru_cache(maxsize=1024)
def _parse_part(text: str) -> Any:
    depth = 0
    # Events come one after another, while building a value takes time and stack that grow with aliases and depth.
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it contains a YAML alias; expected each value in its place")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    return yaml.load(text, Loader=_LOADER) if text else {}


@lru_cache(maxsize=16)  # a run's files are read several times in a row
def parse_record(text: str) -> dict[str, Any]:
    """Parses run.json; unprintable characters in its texts become spaces.

    Raises:
        ValueError: it is not JSON, or a value isn't of the kind that programs write there.
    """
    try:
        record: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError("expected keys and values")
    if "\\" in text or UNPRINTABLE.search(text.replace("\n", "")):
        record = _printable(record)
    for key, form in _RECORD.items():
        _require(key, record.get(key), form)
    classes = (record.get("data") or {}).get("classes")
    if classes is not None and not 0 < classes <= MOST_CLASSES:
        raise ValueError(f"data.classes is {classes}; expected 1 to {MOST_CLASSES:,}")
    return dict(record)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): _printable(item) for key, item in value.items()}
    return value


def _require(key: str, value: Any, form: Any) -> None:
    """Raises ValueError unless the value has the form; an absent value or null always has."""
    if value is None:
        return
    if isinstance(form, dict):
        if not isinstance(value, Mapping):
            raise ValueError(f"{key} is {_shortened(value)}; expected keys and values")
        for name, item in value.items():
            if name in form or None in form:
                _require(f"{key}.{name}", item, form[name] if name in form else form[None])
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise ValueError(f"{key} is {_shortened(value)}; expected a list")
        for item in value:
            _require(key, item, form[0])
    else:
        _require_type(key, value, form)


def _require_type(key: str, value: Any, form: type | UnionType) -> None:
    # True is an int in Python, but not a number here.
    fits = isinstance(value, form) and (not isinstance(value, bool) or form == bool | None)
    if not fits or (isinstance(value, int) and abs(value) > _LARGEST):
        raise ValueError(f"{key} is {_shortened(value)}; expected {'text' if form in (str, _Text) else 'a number'}")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
