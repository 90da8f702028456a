"""The run's identity, derived from its config, and its folder's name; accesses no files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from cifar_resnet.run import later_keys

MAX_NAME = 120
_NOT_IDENTITY = {"hydra", "out", "runtime", "diagnostics"}
# Keys within groups: the location of the data, and the recipe's name, because the config has all of its values.
_NOT_IDENTITY_OF = {"data": {"root", "cache"}, "optim": {"name"}}


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """The run's identity: its resolved config without where and how it is computed, and without diagnostics."""
    kept = {key: value for key, value in config.items() if key not in _NOT_IDENTITY}
    for group, left_out in _NOT_IDENTITY_OF.items():
        kept[group] = {key: value for key, value in config[group].items() if key not in left_out}
    return kept


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping, with keys joined by dots.

    >>> flatten({"depth": 20, "optim": {"lr": 0.1}})
    {'depth': 20, 'optim.lr': 0.1}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def config_hash(config: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits: a hash of the identity's canonical JSON, without later keys at their old values."""
    canonical = json.dumps(later_keys.without(identity(config)), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def run_name(config: Mapping[str, Any], overridden: Mapping[str, Any]) -> str:
    """The run's folder under `out`: <data>/<model>-<depth>/seed<seed>[-<overridden>]-<hash8>.

    Args:
        config: the whole resolved config.
        overridden: key → value that differs from the defaults. Only for readability: as many as fit are included, and
            only the hash distinguishes runs.
    """
    ending = f"-{config_hash(config)}"
    name = f"seed{config['seed']}"
    separator = "-"
    for key, value in sorted(overridden.items()):
        item = separator + re.sub(r"[^A-Za-z0-9._=-]+", "-", f"{key.rpartition('.')[2]}={_short(value)}")
        if len(name) + len(item) + len(ending) <= MAX_NAME:
            name, separator = name + item, ","
    return f"{config['data']['name']}/{config['model']['name']}-{config['depth']}/{name}{ending}"


def _short(value: Any) -> str:
    return "-".join(as_text(item) for item in value) if isinstance(value, list) else as_text(value)


def as_text(value: Any) -> str:
    """A number, truth value or text as people write it in YAML; an exponent has no plus, which names can't contain.

    >>> as_text(True), as_text(None), as_text(0.1), as_text(1e30), as_text(1e-5)
    ('true', 'null', '0.1', '1e30', '1e-05')
    """
    if isinstance(value, float):
        return str(value).replace("e+", "e")
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def as_override(value: Any) -> str:
    """A value as it is written on the command line.

    >>> [as_override(value) for value in (True, None, [81, 122], 0.1)]
    ['true', 'null', '[81,122]', '0.1']
    """
    if isinstance(value, list):
        return f"[{','.join(as_override(item) for item in value)}]"
    return as_text(value)
