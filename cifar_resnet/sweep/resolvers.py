"""The OmegaConf resolvers and the schema that conf/ refers to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from cifar_resnet.config import Config
from cifar_resnet.devices import default_n_jobs
from cifar_resnet.run_dir import flatten, run_name

REPO_ROOT = Path(__file__).resolve().parents[2]
_CONF = REPO_ROOT / "conf"


def register() -> None:
    """Makes the schema and the resolvers known; harmless when called again."""
    # Our conf/hydra/launcher/joblib.yaml stands in for the plugin's config of the same name on purpose.
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/joblib' is validated against ConfigStore schema")
    ConfigStore.instance().store(name="schema", node=Config)
    resolvers: dict[str, Callable[..., Any]] = {
        "repo_root": lambda: str(REPO_ROOT),
        "run_dir": lambda *, _root_: _run_dir(_root_),
        "scaled_milestones": scaled_milestones,
        "folder_name": folder_name,
        "default_n_jobs": default_n_jobs,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def plain_config(config: DictConfig) -> dict[str, Any]:
    """The run's part of a composed config, resolved, as plain dictionaries; without Hydra's own part."""
    names = [str(name) for name in config if name != "hydra"]
    masked = OmegaConf.masked_copy(config, names)
    resolved = OmegaConf.to_container(masked, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _run_dir(root: DictConfig) -> str:
    config = plain_config(root)
    return run_name(config, overridden(config))


def scaled_milestones(length: int | None, reference_length: int, milestones: Sequence[int]) -> list[int]:
    """Milestones of a recipe of `reference_length`, at the same fractions of `length`, rounded to the nearest.

    >>> scaled_milestones(12, 164, [81, 122])
    [6, 9]
    """
    if length is None or length < 1:
        return list(milestones)
    scaled = (round(Fraction(milestone * length, reference_length)) for milestone in milestones)
    return sorted({milestone for milestone in scaled if milestone > 0})


def folder_name(path: str | None) -> str:
    """The last part of a path as a label for data: letters, digits, `.`, `_` and `-`, 40 characters at most."""
    name = Path(path or "").expanduser().resolve().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[:40] or "images"


@lru_cache
def _defaults(model: str, optim: str, data: str) -> str:
    """The defaults that readers have in mind, as YAML text: config.yaml and one option of each group."""
    top = yaml.safe_load((_CONF / "config.yaml").read_text(encoding="utf-8"))
    kept = {key: top[key] for key in ("depth", "seed", "precision", "init_from")}
    for group, option in (("model", model), ("optim", optim), ("data", data)):
        kept[group] = yaml.safe_load((_CONF / group / f"{option}.yaml").read_text(encoding="utf-8"))
    return yaml.safe_dump(kept)


def overridden(config: Mapping[str, Any]) -> dict[str, Any]:
    """Full key → value where a run's config differs from the defaults, for the readable part of its folder's name.

    A function of the composed config alone, so that the same experiment has the same name however it was asked for.
    What the folders above already say (data, model, depth, seed) and where data lie isn't named.
    """
    optim = "lab" if config["optim"]["epochs"] is not None else "paper"
    defaults = OmegaConf.create(_defaults(config["model"]["name"], optim, config["data"]["kind"]))
    flat = flatten(config)
    unresolved = OmegaConf.to_container(defaults, resolve=False)
    assert isinstance(unresolved, dict)
    raw = flatten({str(key): value for key, value in unresolved.items()})
    for key in set(flat) & set(raw):
        if not (isinstance(raw[key], str) and "${" in raw[key]):
            OmegaConf.update(defaults, key, flat[key])
    unnamed = {"depth", "seed", "model.name", "data.name", "data.kind", "data.root", "data.cache"}
    differing = {}
    for key in sorted(set(flat) & set(raw) - unnamed):
        # A default that is computed, such as the milestones, is compared as computed for this run's other values.
        expected = OmegaConf.select(defaults, key) if isinstance(raw[key], str) and "${" in raw[key] else raw[key]
        if OmegaConf.is_config(expected):
            expected = OmegaConf.to_container(expected)
        if not _same(expected, flat[key]):
            differing[key] = flat[key]
    return differing


def _same(a: Any, b: Any) -> bool:
    """Equality that takes YAML's `1e-4`, which PyYAML reads as text, for the number it means."""
    if isinstance(a, str) and isinstance(b, float):
        return float(a) == b
    return bool(a == b)
