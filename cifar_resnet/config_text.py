"""Reads the text of a config.yaml, thousands of which have most in common."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import yaml

# The loader in C, which not every build of PyYAML has, takes a tenth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str) -> Any:
    """The YAML, part by part where it is a mapping: a part that many runs share is read once.

    Raises:
        yaml.YAMLError: it is none.
    """
    parts: dict[Any, Any] = {}
    for part in re.split(r"^(?=\w)", text, flags=re.MULTILINE):
        try:
            parsed = _parse_part(part)
        except yaml.YAMLError:
            parsed = ()
        if not isinstance(parsed, dict):
            # An anchor of another part, say.
            return yaml.load(text, Loader=_LOADER)
        # Who changes a config must not change the others'.
        parts |= {key: dict(value) if isinstance(value, dict) else value for key, value in parsed.items()}
    return parts or None


@lru_cache(maxsize=1024)
def _parse_part(text: str) -> Any:
    return yaml.load(text, Loader=_LOADER) if text else {}
