"""The filters of `aggregate.py --where key=value`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import yaml

from cifar_resnet.errors import ConfigError, RunError
from cifar_resnet.report.runs.factors import sort_key
from cifar_resnet.run.defaults import RECIPE, with_defaults
from cifar_resnet.run.identity import as_override
from cifar_resnet.run.schema import FIELDS, full_keys, unknown_key

# What keys are called in the configs as `with_defaults` returns them, where that is not their full name.
_SHORT = {"model": "model.name", "data": "data.name", "optim.name": RECIPE}
_MOST_SHOWN = 10
_Item = TypeVar("_Item")


class Where:
    """Filters that a run's config must all match; a filter may list several values: `depth=20,56`."""

    def __init__(self, filters: Sequence[str]) -> None:
        """Parses the filters.

        Raises:
            ConfigError: one is not `key=value`.
        """
        self._values: dict[str, list[Any]] = {}
        for text in filters:
            key, equals, value = text.partition("=")
            if not (key and equals):
                raise ConfigError(f"--where {text}: expected key=value, such as --where model=resnet")
            self._values.setdefault(_full(key), []).extend(_parse(text, value))

    def filter(self, items: Sequence[_Item], config: Callable[[_Item], Mapping[str, Any]]) -> list[_Item]:
        """The items whose configs match.

        Raises:
            ConfigError: a filter's key is in no config.
            RunError: no item matches, or no item has one of the values that a filter lists.
        """
        if not self._values:
            return list(items)
        left = every = [(item, with_defaults(config(item))) for item in items]
        for key, values in self._values.items():
            if key not in FIELDS and not any(key in flat for _, flat in left):
                raise ConfigError(f"--where {key}=…: {unknown_key(key)}")
            fitting = [(item, flat) for item, flat in left if any(flat.get(key) == value for value in values)]
            # Runs that another filter excludes count as well: a seed that only some networks have is no mistake.
            absent = [value for value in values if not any(flat.get(key) == value for _, flat in every)]
            if absent or not fitting:
                missing = ",".join(map(as_override, absent)) if len(values) > 1 and absent else "it"
                raise RunError(
                    f"--where {key}={','.join(map(as_override, values))}: no run has {missing}; "
                    f"the runs have {_present(key, [flat for _, flat in (every if absent else left)])}"
                )
            left = fitting
        return [item for item, _ in left]


def _present(key: str, flats: Sequence[Mapping[str, Any]]) -> str:
    """The values that the runs have, in order; of many, the first ones."""
    values = {as_override(flat.get(key)): flat.get(key) for flat in flats}
    shown = sorted(values, key=lambda text: sort_key(values[text]))
    return ", ".join(shown[:_MOST_SHOWN] + ["…"] * (len(shown) > _MOST_SHOWN))


def _full(key: str) -> str:
    """The key in the configs of one that is given as the command line, tables and folders call it, such as lr."""
    keys = [] if key in FIELDS else full_keys(key)
    return _SHORT.get(key, keys[0] if len(keys) == 1 else key)


def _parse(text: str, value: str) -> list[Any]:
    try:
        parsed = yaml.safe_load(value if value.startswith("[") else f"[{value}]")
    except yaml.YAMLError as error:
        raise ConfigError(f"--where {text}: {value} can't be read; expected values such as 20,56") from error
    # A list is a single value, such as milestones.
    return [parsed] if value.startswith("[") else [_number(item) for item in parsed]


def _number(value: Any) -> Any:
    """A number, where PyYAML read one such as 1e-4 as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
