"""Measures networks before any training: gradients and responses of each 3×3 convolution at initialization."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_resnet.errors import ConfigError
from cifar_resnet.programs import SETTINGS, command
from cifar_resnet.run.files import write_text
from cifar_resnet.run.identity import flatten
from cifar_resnet.sweep.messages import user_errors
from cifar_resnet.terminal import never_fail

if TYPE_CHECKING:
    import pandas as pd

_DEFAULTS = ("data=synthetic", "data.train_size=128", "data.test_size=1")
_NAMED = {"model.name", "depth", "seed", "data.kind"}
# What determines a network and its images, and where and how they are computed.
_GROUPS = ("model", "data")
_KEYS = ("depth", "seed", "runtime.device", "runtime.threads", "runtime.deterministic")
_EPILOG = """On one batch of training images, within a minute or so. Reveals vanishing or exploding signals. Takes
these keys of training, with several values separated by commas:
{used}.

    {command} model=plain,resnet depth=20,56,110 model.norm=batch,none
    {command} model=preact depth=110 data=cifar10 --out FOLDER

The images are synthetic unless data=… is given, so nothing is downloaded. Writes initialisation.csv and
initialisation.png.
"""


def main(arguments: list[str] | None = None) -> int:
    """Entry of the program; returns the exit code."""
    never_fail()
    parser = argparse.ArgumentParser(
        prog=command("diagnose"),
        description=__doc__,
        epilog=_EPILOG.format(command=command("diagnose"), used=_used()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE[,VALUE]", help="as for training")
    parser.add_argument("--out", type=Path, default=Path("outputs/initialisation"), help="folder (%(default)s)")
    options = parser.parse_args(arguments)
    with user_errors():
        configs = compose(options.overrides)
        check_used(options.overrides)
        measured = measure(configs)
        _write(measured, options.out)
    return 0


def _used() -> str:
    return ", ".join([*(f"{group} and {group}.…" for group in _GROUPS), *_KEYS])


def check_used(overrides: Sequence[str]) -> None:
    """Raises ConfigError if an override can't change what is measured, so that its values aren't taken for settings."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if key not in _KEYS and key.partition(".")[0] not in _GROUPS:
            raise ConfigError(
                f"{override.input_line} has no effect: networks are measured before training, in fp32; leave it out "
                f"(accepted are {_used()})"
            )


def compose(overrides: Sequence[str]) -> list[dict[str, Any]]:
    """The config of each network that the overrides describe.

    Raises:
        ConfigError, HydraException: a key or value is wrong.
    """
    import hydra
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from cifar_resnet.sweep import search_path
    from cifar_resnet.sweep.resolvers import plain_config

    says_data = any(override.startswith("data=") for override in overrides)
    words = [*(() if says_data else _DEFAULTS), *overrides]
    search_path.set_up()
    with hydra.initialize_config_dir(str(SETTINGS / "conf"), version_base="1.3"):
        parsed = OverridesParser.create().parse_overrides(words)
        (choices,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        return [plain_config(hydra.compose("config", overrides=list(choice))) for choice in choices]


def measure(configs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row per network and 3×3 convolution, named as in reports.

    Raises:
        ConfigError: a config is invalid.
        DataError: the images are missing or damaged.
    """
    # Imported here so that --help and errors in keys respond immediately.
    import pandas as pd
    import torch

    from cifar_resnet.report.runs import factors
    from cifar_resnet.run.config import from_container
    from cifar_resnet.training import data
    from cifar_resnet.training.backend import set_up
    from cifar_resnet.training.diagnostics import choose_batch, measure_layers
    from cifar_resnet.training.loop import network_of

    checked = [from_container(config) for config in configs]
    flats = [flatten({name: config[name] for name in ("depth", "seed", "model", "data")}) for config in configs]
    keys = [key for key in factors.find(flats) if key not in _NAMED]
    settings = factors.settings(flats, keys, {})
    frames = []
    for config, setting in zip(checked, settings, strict=True):
        device, _ = set_up(config)
        dataset = data.load(config.data, config.seed)
        images, labels = (part.to(device) for part in choose_batch(dataset.train))
        mean, std = (torch.tensor(values, device=device) for values in (dataset.mean, dataset.std))
        torch.manual_seed(config.seed)
        network = network_of(config, images.shape[3], len(dataset.classes)).to(device)
        rows = measure_layers(network, data.normalise(images, mean, std), labels)
        names: dict[str, Any] = {
            "data": config.data.name,
            "model": config.model.name,
            "depth": config.depth,
            "setting": setting,
        }
        frames.append(pd.DataFrame(rows).assign(**names, seed=config.seed, epoch=0, step=0))
    measured = pd.concat(frames, ignore_index=True)
    named = ["data", "model", "depth", "setting", "seed"]
    return measured[[*named, *(name for name in measured if name not in named)]]


def _write(measured: pd.DataFrame, out: Path) -> None:
    from cifar_resnet.report.figures import diagnostics, style
    from cifar_resnet.report.wording import count

    table, picture = out / "initialisation.csv", out / "initialisation.png"
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = measured.to_csv(index=False, lineterminator="\n")
        write_text(table, text)
        with style.applied():
            style.save_png(diagnostics.draw_initialization(measured), picture)
    except OSError as error:
        raise ConfigError(f"--out {out}: expected a folder that can be written to ({error.strerror})") from error
    networks = count(int((measured["layer"] == 1).sum()), "network")
    print(f"{len(measured)} layers of {networks}: {table}, {picture}")


if __name__ == "__main__":
    sys.exit(main())
