"""Writes and reads a run's checkpoint: one atomic file with all that continuing needs, and no code in it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from cifar_resnet.errors import RunError
from cifar_resnet.run_dir import write_atomically

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Puts `state` (tensors, numbers, strings, lists and dictionaries) in place of `path`, all of it or nothing."""
    write_atomically(path, lambda file: torch.save({"format": FORMAT, **state}, file))


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """The state that `save` wrote, its tensors on `device`.

    Raises:
        RunError: the file is damaged, of another format, or would run code.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise RunError(
            f"{path} can't be read ({type(error).__name__}): expected a checkpoint of this program; "
            "delete it to train the run from its start"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RunError(f"{path} is no checkpoint of this program's format {FORMAT}; delete it to train from the start")
    del state["format"]
    return state
