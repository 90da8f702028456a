"""What conf/ gives where nothing is asked for, and what a run's config has instead; knows no Hydra.

Sweeps name run folders by it, reports name the rows of an ablation and the commands that repeat a run.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from cifar_resnet.run import later_keys
from cifar_resnet.run.identity import flatten

REPO_ROOT = Path(__file__).resolve().parents[2]
_CONF = REPO_ROOT / "conf"
# Where data lie, which is no part of what a run is.
_PATHS = {"data.root", "data.cache"}
RECIPE = "optim"
"""What the command line calls a recipe's group, and flat configs the name of the recipe."""
_USUAL_RECIPE = "lab"


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


# OmegaConf 2.4 warns of it; its new name is in 2.3 that of another function.
warnings.filterwarnings("ignore", r"register_new_resolver\(\) is deprecated")
OmegaConf.register_new_resolver("scaled_milestones", scaled_milestones, replace=True)
OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


def recipe(flat: Mapping[str, Any]) -> str:
    """The recipe that a flat config is compared with: the option of the group optim that it was composed of.

    The oldest recipes' configs had no name for it; theirs follows from the schedule and the unit of the length.
    """
    name = str(flat.get("optim.name", later_keys.AS_BEFORE["optim.name"]))
    if name not in later_keys.UNNAMED_RECIPES:
        return name
    if flat.get("optim.schedule") == "onecycle":
        return "onecycle"
    return "lab" if flat["optim.epochs"] is not None else "paper"


@lru_cache
def _defaults(model: str, optim: str, data: str) -> dict[str, Any]:
    """The defaults that readers have in mind, flat: those of config.yaml and of one option of each group."""
    top = _read(_CONF / "config.yaml")
    kept: dict[str, Any] = {key: top[key] for key in ("depth", "seed", "precision", "init_from") if key in top}
    for group, option in (("model", model), ("optim", optim), ("data", data)):
        kept[group] = _read(_CONF / group / f"{option}.yaml")
    return flatten(kept)


def _read(path: Path) -> dict[str, Any]:
    """A file of conf/; empty where a run was made with an option that isn't here."""
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config, flat, with today's defaults for keys that there weren't when it was made, and the recipe's name."""
    flat = flatten(config)
    name = recipe(flat)
    raw = _defaults(flat["model.name"], name, flat["data.kind"])
    known = {key: raw[key] for key in raw if key not in {*flat, *_PATHS} and not _is_computed(raw[key])}
    return {RECIPE: name} | flat | known


def overridden(config: Mapping[str, Any], keys: Collection[str] | None = None) -> dict[str, Any]:
    """Full key → value where a run's config differs from the defaults, for the readable part of its folder's name.

    A function of the composed config alone, so that the same experiment has the same name however it was asked for.
    What the folders above already say (data, model, depth, seed) and where data lie isn't named. Another recipe than
    the lab's is one difference, and the rest is held against that recipe. Only `keys` are looked at, where given.

    Args:
        config: nested or flat.
        keys: full names, and RECIPE for the recipe.
    """
    flat = flatten(config)
    name = recipe(flat)
    raw = _defaults(flat["model.name"], name, flat["data.kind"])
    unnamed = {"depth", "seed", "model.name", "data.name", "data.kind", "optim.name", *_PATHS}
    named = sorted(set(flat) & set(raw) - unnamed if keys is None else set(flat) & set(raw) & set(keys) - unnamed)
    expected = {key: _compute(key, raw[key], flat) if _is_computed(raw[key]) else raw[key] for key in named}
    other = name != _USUAL_RECIPE and (keys is None or RECIPE in keys)
    differing = {key: flat[key] for key in named if not _same(expected[key], flat[key])}
    return ({RECIPE: name} if other else {}) | differing


def _is_computed(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _compute(key: str, text: str, flat: Mapping[str, Any]) -> Any:
    """A default that is computed, such as the milestones, as computed for a run's other values."""
    group = key.rpartition(".")[0]
    names = [f"{group}{name}" if name.startswith(".") else name for name in re.findall(r"\$\{([\w.]+)\}", text)]
    return _compute_from(key, text, tuple((name, flat.get(name)) for name in names))


@lru_cache
def _compute_from(key: str, text: str, values: tuple[tuple[str, Any], ...]) -> Any:
    node = OmegaConf.create()
    for name, value in (*values, (key, text)):
        OmegaConf.update(node, name, value)
    computed = OmegaConf.select(node, key)
    return OmegaConf.to_container(computed) if OmegaConf.is_config(computed) else computed


def _same(a: Any, b: Any) -> bool:
    """Equality that takes YAML's `1e-4`, which PyYAML reads as text, for the number it means."""
    if isinstance(a, str) and isinstance(b, float):
        return float(a) == b
    return bool(a == b)
