"""Turns what Hydra and OmegaConf raise for a user's mistake into one line; knows nothing of runs."""

from __future__ import annotations

import re
import shlex

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from cifar_resnet.errors import CifarResnetError
from cifar_resnet.run.config import FIELDS, describe, unknown_key

_GROUP_OVERRIDE = "Config group override must be"  # for `model=null` and `data=3`; it names no group
_FLAGS = "Only one of --"  # for `-m --cfg job`


def is_users(error: BaseException) -> bool:
    """Whether a user's mistake raised it, and not a bug of ours; Hydra has ValueError for some mistakes, too."""
    if isinstance(error, (CifarResnetError, HydraException, OmegaConfBaseException)):
        return True
    return type(error) is ValueError and str(error).startswith((_GROUP_OVERRIDE, _FLAGS))


def one_line(error: BaseException) -> str:
    """What was wrong, what was expected and what to do, in one line."""
    if isinstance(error, CifarResnetError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={option}: expected one of {', '.join(sorted(error.options))}"
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        quoted = shlex.quote(f'{key}="{value or "value"}"')
        expected = f"a value, or text with signs such as ~ in quotes: {quoted}" if equals else f"{key}=value"
        return f"{error.override}: expected {expected}"
    if isinstance(error, ConfigCompositionException):
        named = re.search(r"Could not (?:override|append to config\. An item is already at) '([^']+)'", str(error))
        if named and named[1] not in FIELDS:
            return unknown_key(named[1])
        if isinstance(error.__cause__, OmegaConfBaseException):
            return describe(error.__cause__)
    if isinstance(error, OmegaConfBaseException):
        return describe(error)
    text = re.sub(r"\s+", " ", str(error)).strip()
    if text.startswith(_GROUP_OVERRIDE):
        return f"{text}: give each group the name of one of its options; `python train.py --help` lists them"
    return text
