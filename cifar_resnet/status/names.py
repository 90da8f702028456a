"""Whether a run folder has the name of another run, as after two folders were renamed by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.identity import config_hash, run_name

_USUAL = re.compile(r"seed\d+(-.*)?-(?P<hash>[0-9a-f]{8})")
_NETWORK = re.compile(rf"({'|'.join(map(re.escape, ARCHITECTURES))})-\d+")


def true_name(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The name that the config gives the run if its folder has that of another run or network, otherwise None.

    A folder whose name isn't of the usual form was named by the user, so it says nothing about the run.
    """
    usual, network = _USUAL.fullmatch(folder.name), folder.absolute().parent.name
    if usual is None:
        return None
    # Only the hash identifies a run: the readable part of older names may differ.
    is_other_run = usual["hash"] != config_hash(config)
    is_other_network = network != f"{config['model']['name']}-{config['depth']}" and _NETWORK.fullmatch(network)
    return run_name(config, overridden(config)) if is_other_run or is_other_network else None
