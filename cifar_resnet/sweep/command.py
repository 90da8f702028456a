"""The command line of `train.py`: Hydra composes the runs and starts `launch` for each."""

from __future__ import annotations

import os
import sys

import hydra
from hydra._internal.utils import get_args_parser

from cifar_resnet.errors import ConfigError, ExitCode
from cifar_resnet.programs import SETTINGS, command, version
from cifar_resnet.run.schema import FIELDS, full_keys
from cifar_resnet.sweep import search_path
from cifar_resnet.sweep.launch import launch
from cifar_resnet.sweep.messages import user_errors
from cifar_resnet.terminal import never_fail


def main() -> int:
    """Entry of the program, which reads sys.argv; returns the exit code, or exits with it."""
    never_fail()
    if "--version" in sys.argv[1:]:  # Hydra's own option of this name prints Hydra's version
        print(version())
        return ExitCode.FINISHED
    # Makes Hydra raise the errors that it would print over several lines; `user_errors` prints them as one.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with user_errors():
        _check_options()
        search_path.set_up()
        hydra.main(version_base="1.3", config_path=str(SETTINGS / "conf"), config_name="config")(launch)()
    return ExitCode.FINISHED


def _check_options() -> None:
    """Raises ConfigError for an option that isn't one of Hydra's, such as --epochs, instead of Hydra's long usage."""
    _, unknown = get_args_parser().parse_known_args()
    if unknown and not unknown[0].startswith("-"):
        raise ConfigError(
            f"{unknown[0]}: an option such as -m is between the settings; expected options before settings"
        )
    if unknown:
        name, _, value = unknown[0].lstrip("-").partition("=")
        key = name if name in FIELDS else next(iter(full_keys(name)), None)
        expected = f"{key}={value or 'value'}" if key else f"key=value; `{command('train')} --help` lists all keys"
        raise ConfigError(f"{unknown[0]}: settings are written without dashes: expected {expected}")
