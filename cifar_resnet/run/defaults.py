"""The packaged defaults in conf/, and where a run's config differs from them; doesn't import Hydra.

Sweeps use the differences to name run folders. Reports use them for the rows of an ablation and for the commands that
repeat a run. The conf/ of a working folder doesn't count here, so that a run has the same name everywhere.
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

from cifar_resnet.programs import SETTINGS
from cifar_resnet.run import later_keys
from cifar_resnet.run.identity import flatten

REPO_ROOT = Path(__file__).resolve().parents[2]
"""The folder that contains the package."""
_CONF = SETTINGS / "conf"
# The location of the data is not part of a run's identity.
_PATHS = {"data.root", "data.cache"}
RECIPE = "optim"
"""The recipe's group on the command line, and the key for the recipe's name in flat configs."""
USUAL_RECIPE = "lab"


def scaled_milestones(
    epochs: int | None, iterations: int | None, reference_length: int, milestones: Sequence[int]
) -> list[int]:
    """Milestones of a recipe of `reference_length`, scaled to a run's length and rounded to the nearest integer.

    They are in the unit of the run's length, whatever the recipe's is.

    >>> scaled_milestones(12, None, 164, [81, 122]), scaled_milestones(None, 64_000, 164, [81, 122])
    ([6, 9], [31610, 47610])
    """
    length = iterations if epochs is None else epochs
    if length is None or length < 1:
        return list(milestones)
    scaled = (round(Fraction(milestone * length, reference_length)) for milestone in milestones)
    return sorted({milestone for milestone in scaled if milestone > 0})


def folder_name(path: str | None) -> str:
    """The last part of a path, without .npz, as a label: letters, digits, `.`, `_` and `-`, 40 characters at most."""
    name = Path(path or "").expanduser().resolve().name.removesuffix(".npz")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[:40] or "images"


# OmegaConf 2.4 deprecates this name, but in 2.3 the new name belongs to another function.
warnings.filterwarnings("ignore", r"register_new_resolver\(\) is deprecated")
OmegaConf.register_new_resolver("scaled_milestones", scaled_milestones, replace=True)
OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


def has_recipe(name: str) -> bool:
    """Whether conf/ has this recipe; others come from the conf/ of a working folder."""
    return (_CONF / "optim" / f"{name}.yaml").is_file()


def recipe(flat: Mapping[str, Any]) -> str:
    """The recipe that a flat config is compared with: the option of the group optim that it was composed from.

    Configs of the oldest recipes don't contain the name; it follows from the schedule and the unit of the length.
    """
    name = str(flat.get("optim.name", flat.get(RECIPE, later_keys.AS_BEFORE["optim.name"])))
    if name not in later_keys.UNNAMED_RECIPES:
        return name
    if flat.get("optim.schedule") == "onecycle":
        return "onecycle"
    return "lab" if flat["optim.epochs"] is not None else "paper"


@lru_cache
def _defaults(model: str, optim: str, data: str) -> dict[str, Any]:
    """The defaults of config.yaml and of one option of each group, flat; of the usual recipe for an unknown one."""
    optim = optim if has_recipe(optim) else USUAL_RECIPE
    top = _read(_CONF / "config.yaml")
    kept: dict[str, Any] = {key: top[key] for key in ("depth", "seed", "precision", "init_from") if key in top}
    for group, option in (("model", model), ("optim", optim), ("data", data)):
        kept[group] = _read(_CONF / group / f"{option}.yaml")
    return flatten(kept)


def _read(path: Path) -> dict[str, Any]:
    """A file of conf/; empty if a run used an option that doesn't exist here."""
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config, flat, with the recipe's name and with current defaults for keys that were added later."""
    flat = flatten(config)
    name = recipe(flat)
    raw = _defaults(flat["model.name"], name, flat["data.kind"])
    known = {key: raw[key] for key in raw if key not in {*flat, *_PATHS} and not _is_computed(raw[key])}
    merged = {RECIPE: name} | flat | known
    # The recipe is already there by the name that the command line has for it.
    merged.pop("optim.name", None)
    return merged


def overridden(config: Mapping[str, Any], keys: Collection[str] | None = None) -> dict[str, Any]:
    """Full key → value where a run's config differs from the defaults, for the readable part of its folder's name.

    Depends only on the composed config, so the same experiment always has the same name, however it was requested.
    Excludes what the path already shows (data, model, depth, seed) and the location of the data. A recipe other than
    the lab's counts as one difference, and the other values are compared with that recipe, or with the lab's if conf/
    doesn't have it. If `keys` is given, only these are compared.

    Args:
        config: nested or flat.
        keys: full names of keys, and RECIPE for the recipe.
    """
    flat = flatten(config)
    name = recipe(flat)
    raw = _defaults(flat["model.name"], name, flat["data.kind"])
    unnamed = {"depth", "seed", "model.name", "data.name", "data.kind", "optim.name", *_PATHS}
    named = sorted(set(flat) & set(raw) - unnamed if keys is None else set(flat) & set(raw) & set(keys) - unnamed)
    expected = {key: _compute(key, raw[key], flat) if _is_computed(raw[key]) else raw[key] for key in named}
    other = name != USUAL_RECIPE and (keys is None or RECIPE in keys)
    differing = {key: flat[key] for key in named if not _same(expected[key], flat[key])}
    return ({RECIPE: name} if other else {}) | differing


def _is_computed(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _compute(key: str, text: str, flat: Mapping[str, Any]) -> Any:
    """A computed default, such as the milestones, for a run's other values."""
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
    """Equality that treats YAML's `1e-4`, which PyYAML reads as text, as a number."""
    if isinstance(a, str) and isinstance(b, float):
        return float(a) == b
    return bool(a == b)
