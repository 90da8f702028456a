"""Writes and reads a run's checkpoint: one atomic file with everything needed to continue, a checksum, and no code."""

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
    """Writes `state` (tensors, numbers, strings, lists, dictionaries) to the checkpoint and keeps the previous one.

    The file is the output of torch.save followed by its SHA-256. If the process is killed at any moment, a complete
    checkpoint remains under one of the two names.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    content = buffer.getbuffer()
    checksum = hashlib.sha256(content).digest()

    def write(file: Any) -> None:
        file.write(content)
        file.write(checksum)
        file.flush()
        # Only now: if the disk were full, the writes above would have failed.
        with contextlib.suppress(FileNotFoundError):
            os.replace(run.checkpoint, run.previous_checkpoint)

    write_atomically(run.checkpoint, write)


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Writes only the weights, in torch.save's format; the file is complete or absent."""
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def load(run: RunDir, device: torch.device) -> dict[str, Any] | None:
    """The state that `save` wrote last, with its tensors on `device`; None if there is no checkpoint yet.

    If the latest checkpoint is damaged, the log names it and the previous one is used.

    Raises:
        RunError: no checkpoint is usable: each is damaged, in another format, or contains code.
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
        raise RunError(f"{faults[0]}; delete it to train the run from the start")
    return None


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    content = path.read_bytes()
    if hashlib.sha256(content[:-_CHECKSUM]).digest() != content[-_CHECKSUM:]:
        raise RunError(f"{path} is damaged: its checksum doesn't match its content")
    try:
        with warnings.catch_warnings():
            # torch may warn about a file that isn't ours; the one-line error below is enough.
            warnings.simplefilter("ignore")
            # weights_only allows only tensors and plain values, so a file from elsewhere can't run code.
            state = torch.load(io.BytesIO(content[:-_CHECKSUM]), map_location=device, weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise RunError(f"{path} is not a checkpoint of this program ({type(error).__name__})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RunError(f"{path} is not a checkpoint of this program's format {FORMAT}")
    del state["format"]
    return state
