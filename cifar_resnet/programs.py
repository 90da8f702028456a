"""The programs, and what starts each: a script in the project's folder, or the command `cifar-resnet` anywhere."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cifar_resnet import __version__

CONSOLE = "cifar-resnet"
_PACKAGE = Path(__file__).resolve().parent

IS_INSTALLED = (_PACKAGE / "conf").is_dir()
"""Whether this is an installed copy, with conf/ and sweeps/ inside the package; in the project they lie beside it."""

SETTINGS = _PACKAGE if IS_INSTALLED else _PACKAGE.parent
"""The folder of the packaged conf/ and sweeps/."""


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        script: the command that starts it in the project's folder.
        module: where its `main` is.
        summary: what it is for.
    """

    script: str
    module: str
    summary: str


PROGRAMS = {
    "train": Program("python train.py", "cifar_resnet.sweep.command", "train one network or a sweep"),
    "aggregate": Program(
        "python aggregate.py", "cifar_resnet.report.command", "tables, figures and a report from run folders"
    ),
    "status": Program(
        "python -m cifar_resnet.status", "cifar_resnet.status.__main__", "the state of all runs under a folder"
    ),
    "evaluate": Program("python -m cifar_resnet.evaluate", "cifar_resnet.evaluate", "test a finished run again"),
    "diagnose": Program(
        "python -m cifar_resnet.diagnose", "cifar_resnet.diagnose", "gradients and responses before any training"
    ),
    "export": Program(
        "python -m cifar_resnet.export", "cifar_resnet.export.__main__", "copy runs to MLflow or Weights & Biases"
    ),
}
"""Name of a subcommand → its program."""


def command(name: str) -> str:
    """How the user of this process starts a program, without its arguments."""
    return f"{CONSOLE} {name}" if _is_console() else PROGRAMS[name].script


def start_folder() -> Path:
    """The folder in which the user types `command`."""
    return Path.cwd() if _is_console() else SETTINGS


def _is_console() -> bool:
    return IS_INSTALLED or Path(sys.argv[0]).stem == CONSOLE


def install(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '{CONSOLE}[{extra}]'" if IS_INSTALLED else f"pip install -e '.[{extra}]'"


def version() -> str:
    """The versions that matter for a result, in one line, without importing torch."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "not installed"
    return f"{CONSOLE} {__version__} (PyTorch {torch}, Python {platform.python_version()})"
