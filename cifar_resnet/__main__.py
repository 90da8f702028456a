"""The command `cifar-resnet`, also `python -m cifar_resnet`: starts the program that its first argument names."""

from __future__ import annotations

import importlib
import os
import sys

from cifar_resnet.errors import ExitCode
from cifar_resnet.programs import CONSOLE, IS_INSTALLED, PROGRAMS, SETTINGS, version
from cifar_resnet.terminal import never_fail

_HELP = f"""usage: {CONSOLE} PROGRAM …

{{programs}}

`{CONSOLE} PROGRAM --help` explains each; `{CONSOLE} --version` prints the versions.

Your own sweeps/ and conf/ in the working folder are found, too. If a file there has the name of a packaged
one, yours is used. The packaged ones are in {SETTINGS}
"""


def main() -> int:
    """Entry of the command; returns the exit code of the program that it starts."""
    never_fail()
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        width = max(map(len, PROGRAMS))
        print(_HELP.format(programs="\n".join(f"  {one:{width}}  {PROGRAMS[one].summary}" for one in PROGRAMS)), end="")
        return ExitCode.FINISHED
    if name == "--version":
        print(version())
        return ExitCode.FINISHED
    if name in ("-sc", "--shell_completion"):
        # Hydra's completion asks the command and not the subcommand, and knows options of `train` only.
        line = os.environ.get("COMP_LINE", "").split(maxsplit=2)
        if line[1:2] != ["train"]:
            return ExitCode.FINISHED
        os.environ["COMP_LINE"] = " ".join([line[0], *line[2:]])
        name, arguments = "train", sys.argv[1:]
    if name not in PROGRAMS:
        print(f"error: {CONSOLE} {name}: expected one of {', '.join(PROGRAMS)}", file=sys.stderr)
        return ExitCode.USER
    sys.argv = [CONSOLE, *arguments]
    return start(name)


def start(name: str) -> int:
    """Runs the program with this name in PROGRAMS, which reads sys.argv; returns its exit code."""
    try:
        program = importlib.import_module(PROGRAMS[name].module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("cifar_resnet"):
            raise
        # Another Python than the one that the project was installed for.
        hint = (
            "install the project for it"
            if IS_INSTALLED
            else "`. .venv/bin/activate`, or `make setup` if there is no .venv"
        )
        print(f"error: {sys.executable} has no module {error.name}: {hint}", file=sys.stderr)
        return ExitCode.USER
    return int(program.main())


if __name__ == "__main__":
    sys.exit(main())
