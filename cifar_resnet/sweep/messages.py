"""Shows a user's mistake as one line, whether we raise it or Hydra or OmegaConf does."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from cifar_resnet.errors import CifarResnetError, ExitCode
from cifar_resnet.programs import command
from cifar_resnet.run.files import FULL_DISK, READ_ONLY
from cifar_resnet.run.schema import FIELDS, describe, unknown_key
from cifar_resnet.status.live import LiveTable

_GROUP_OVERRIDE = "Config group override must be"  # for `model=null` and `data=3`; the message names no group
_SEVERAL_VALUES = re.compile(r"Ambiguous value for argument '(.+?)'\n")  # for `depth=20,56` without -m
_FLAGS = ("Only one of --", "The --resolve flag")  # for `-m --cfg job` and `--resolve`
_RERUN = "_get_rerun_conf"  # Hydra's function for --experimental-rerun


@contextmanager
def user_errors() -> Iterator[None]:
    """Shows a user's mistake as one line and exits with code 2; shows a bug with its traceback and exits with code 1.

    Ctrl-C exits with code 130 and without a word.

    Callbacks need this too: Hydra turns what they raise, except SystemExit, into a warning and trains the runs anyway.
    """
    try:
        yield
    except KeyboardInterrupt:  # before a sweep listens to it, as while it composes its runs or compiles kernels
        LiveTable.stop_shown()
        sys.exit(128 + signal.SIGINT)  # as shells report it
    except Exception as error:
        LiveTable.stop_shown()
        if is_user_error(error):
            print(f"error: {one_line(error)}", file=sys.stderr)
            sys.exit(ExitCode.USER)
        traceback.print_exc()
        sys.exit(ExitCode.FAILED)


def is_user_error(error: BaseException) -> bool:
    """Whether the error is a user's mistake and not a bug; for some mistakes Hydra raises a plain ValueError."""
    if isinstance(error, (CifarResnetError, HydraException, OmegaConfBaseException)):
        return True
    if _is_of_rerun(error) or _is_of_file(error):
        return True
    return type(error) is ValueError and str(error).startswith((_GROUP_OVERRIDE, *_FLAGS))


def _is_of_rerun(error: BaseException) -> bool:
    """Whether Hydra can't read the file of --experimental-rerun; pickle raises almost anything for a wrong file."""
    return any(frame.name == _RERUN for frame in traceback.extract_tb(error.__traceback__))


def _is_of_file(error: BaseException) -> bool:
    """Whether a file can't be used that Hydra, its plugins or we need for the whole sweep, perhaps another user's."""
    return isinstance(error, OSError) and error.errno in READ_ONLY | FULL_DISK and error.filename is not None


def one_line(error: BaseException) -> str:
    """What was wrong, what was expected, and what to do, in one line."""
    if isinstance(error, CifarResnetError):
        return str(error)
    if _is_of_rerun(error):
        return f"--experimental-rerun: {' '.join(str(error).split())}; expected a config.pickle that Hydra wrote"
    if isinstance(error, OSError) and _is_of_file(error):
        return f"{os.fsdecode(error.filename)} can't be used ({error.strerror}); set another out, or make it writable"
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={option}: expected one of {', '.join(sorted(error.options))}"
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        quoted = shlex.quote(f'{key}="{value or "value"}"')
        expected = f"a value, or text with signs such as = and ~ in quotes: {quoted}" if equals else f"{key}=value"
        return f"{error.override}: expected {expected}"
    if isinstance(error, ConfigCompositionException):
        named = re.search(r"Could not (?:override|append to config\. An item is already at) '([^']+)'", str(error))
        if named and named[1] not in FIELDS:
            return unknown_key(named[1])
        if isinstance(error.__cause__, OmegaConfBaseException):
            return describe(error.__cause__)
    if isinstance(error, OmegaConfBaseException):
        return describe(error)
    several = _SEVERAL_VALUES.match(str(error))
    if several:
        key, _, value = several[1].partition("=")
        quoted = shlex.quote(f'{key}="{value}"')
        return (
            f"{several[1]}: expected one value; several need -m ({command('train')} -m {several[1]}), a list needs "
            f"brackets ({key}=[{value}]), and text quotes ({quoted})"
        )
    text = re.sub(r"\s+", " ", str(error)).strip()
    if text.startswith(_FLAGS[0]):
        return f"{text}: leave out the others, such as -m beside --cfg"
    if text.startswith(_GROUP_OVERRIDE):
        return f"{text}: set each group to the name of one of its options; `{command('train')} --help` lists them"
    return text
