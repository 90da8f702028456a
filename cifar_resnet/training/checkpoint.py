"""Writes and reads a run's checkpoint: one atomic file with all that continuing needs, a checksum, and no code."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from cifar_resnet.errors import RunError
from cifar_resnet.run.files import write_atomically
from cifar_resnet.run.folder import RunDir

FORMAT = 2
_CHECKSUM = 32

log = logging.getLogger("cifar_resnet")


def save(run: RunDir, state: dict[str, Any]) -> None:
    """Puts `state` (tensors, numbers, strings, lists, dictionaries) in the run's checkpoint; the one before is kept.

    The file is what torch.save writes, followed by its SHA-256. Killed at any moment, it leaves a whole checkpoint
    under one of the two names.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    content = buffer.getbuffer()
    checksum = hashlib.sha256(content).digest()

    def write(file: Any) -> None:
        file.write(content)
        file.write(checksum)
        file.flush()
        # Only now, as a full disk would have shown by here.
        with contextlib.suppress(FileNotFoundError):
            os.replace(run.checkpoint, run.previous_checkpoint)

    write_atomically(run.checkpoint, write)


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Writes weights alone, as torch.save does, all of them or nothing."""
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def load(run: RunDir, device: torch.device) -> dict[str, Any] | None:
    """The state that `save` wrote last, its tensors on `device`; None where the run has none yet.

    A damaged checkpoint is named in the log, and the one before it used.

    Raises:
        RunError: there is no whole one: damaged, of another format, or with code in it.
    """
    faults = []
    for path in (run.checkpoint, run.previous_checkpoint):
        if not path.exists():
            continue
        try:
            state = _read(path, device)
        except RunError as error:
            faults.append(error)
            continue
        if faults:
            log.warning("%s; continuing from %s instead", faults[0], path.name)
        return state
    if faults:
        raise RunError(f"{faults[0]}; delete it to train the run from its start")
    return None


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    content = path.read_bytes()
    if hashlib.sha256(content[:-_CHECKSUM]).digest() != content[-_CHECKSUM:]:
        raise RunError(f"{path} is damaged: its checksum doesn't fit its content")
    try:
        with warnings.catch_warnings():
            # What torch finds odd about a file that isn't ours is in the one line that follows.
            warnings.simplefilter("ignore")
            # weights_only: tensors and plain values, so that a file from elsewhere can't run code.
            state = torch.load(io.BytesIO(content[:-_CHECKSUM]), map_location=device, weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise RunError(f"{path} is no checkpoint of this program ({type(error).__name__})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RunError(f"{path} is no checkpoint of this program's format {FORMAT}")
    del state["format"]
    return state
