"""Finds run folders."""

from __future__ import annotations

from pathlib import Path

from cifar_resnet.errors import RunError
from cifar_resnet.programs import command
from cifar_resnet.run.files import folders_with
from cifar_resnet.run.folder import RunDir


def find_runs(paths: list[Path]) -> list[RunDir]:
    """Every run folder under the paths, without duplicates, in the order of their names; links are followed.

    Raises:
        RunError: a path isn't a folder, or there is no run under any of them.
    """
    found: dict[Path, RunDir] = {}
    for path in paths:
        if not path.is_dir():
            raise RunError(f"{path} is not a folder; expected one with run folders, such as outputs/")
        for folder in sorted(folders_with("config.yaml", path)):
            found.setdefault(folder.resolve(), RunDir(folder))
    if not found:
        named = ", ".join(str(path) for path in paths)
        raise RunError(f"no run folder under {named}; train some first: {command('train')} -m sweeps=demo")
    return list(found.values())
