"""Where Hydra looks for settings: in conf/ and sweeps/ of the working folder first, then in the packaged ones."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from cifar_resnet.errors import ConfigError
from cifar_resnet.programs import SETTINGS

_FOLDERS = ("conf", "sweeps")


class SweepsSource(FileConfigSource):
    """The group `sweeps` of a folder, and nothing else that lies in it, such as a folder data/ or a schema.yaml."""

    @staticmethod
    def scheme() -> str:
        """The beginning of its paths on Hydra's search path."""
        return "sweeps-in"

    def is_group(self, config_path: str) -> bool:
        """Whether this is the folder itself, its sweeps/ or a folder below."""
        return (not config_path or _is_in_sweeps(config_path)) and super().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """Whether this is a file in sweeps/."""
        return _is_in_sweeps(config_path) and super().is_config(config_path)


def _is_in_sweeps(config_path: str) -> bool:
    return PurePosixPath(config_path).parts[:1] == ("sweeps",)


class WorkingFolderFirst(SearchPathPlugin):
    """Puts the working folder's conf/ before the packaged one, and adds the sweeps of both in the same order."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Hydra calls this once, with only its own and the packaged conf/ on the path."""
        own = Path.cwd()
        if own.samefile(SETTINGS):
            own = SETTINGS
        elif (own / "conf").is_dir():
            search_path.prepend("working folder", f"file://{own / 'conf'}", "main")
        for folder in dict.fromkeys((own, SETTINGS)):
            search_path.append("sweeps", f"{SweepsSource.scheme()}://{folder}")


def set_up() -> None:
    """Makes Hydra look for settings in these places; harmless when repeated.

    The classes aren't in hydra_plugins, because every program with Hydra in the same environment would use them.

    Raises:
        ConfigError: the working folder is gone, or has a conf/config.yaml that belongs to another program.
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the working folder has been deleted; change to one that exists") from error
    own = Path("conf/config.yaml")
    if own.is_file() and not _is_ours(own):
        raise ConfigError(
            f"{own.absolute()} is not a configuration of this program, which would use it instead of its own: expected "
            "`schema` among its defaults; start in another folder"
        )
    for plugin in (SweepsSource, WorkingFolderFirst):
        Plugins.instance().register(plugin)


def _is_ours(path: Path) -> bool:
    try:
        return "schema" in yaml.safe_load(path.read_text(encoding="utf-8"))["defaults"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return False


def print_replaced() -> None:
    """Prints which files of the working folder are used instead of packaged ones with other contents."""
    for name in _replaced():
        print(f"{name}: using this folder's file instead of the packaged one")


def _replaced() -> list[str]:
    own = Path.cwd()
    if own.samefile(SETTINGS):
        return []
    packaged = [path for name in _FOLDERS for path in sorted((SETTINGS / name).rglob("*.yaml"))]
    names = [path.relative_to(SETTINGS) for path in packaged]
    return [
        str(name)
        for name in names
        if (own / name).is_file() and (own / name).read_bytes() != (SETTINGS / name).read_bytes()
    ]
