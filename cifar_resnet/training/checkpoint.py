"""Writes and reads a run's checkpoint: one atomic file with everything needed to continue, a checksum, and no code."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import pickle
import shlex
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cifar_resnet.errors import RunError
from cifar_resnet.run.defaults import overridden
from cifar_resnet.run.files import digest_of, read, write_atomically
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.identity import run_name

FORMAT = 2
_CHECKSUM = 32
_MOST_BYTES = 2**32  # of weights or a checkpoint; those of 1,202 layers have 78 MB and 233 MB

log = logging.getLogger("cifar_resnet")


def save(run: RunDir, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, numbers, strings, lists, dictionaries) to the checkpoint and keeps the previous one.

    The file is the output of torch.save followed by its SHA-256. If the process is killed at any moment, a complete
    checkpoint remains under one of the two names.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)

    def write(file: Any) -> None:
        file.write(content)
        file.write(hashlib.sha256(content).digest())
        file.flush()
        # Only now: if the disk were full, the writes above would have failed.
        with contextlib.suppress(FileNotFoundError):
            os.replace(run.checkpoint, run.previous_checkpoint)

    # Released even if writing fails: a buffer that is freed while its content is in use prints an error.
    with buffer.getbuffer() as content:
        write_atomically(run.checkpoint, write)


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> str:
    """Writes only the weights, in torch.save's format, and returns the file's digest; it is complete or absent."""
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    with buffer.getbuffer() as content:
        write_atomically(path, lambda file: file.write(content))
        return digest_of(content)


def remedy(run: RunDir) -> str:
    """What to do if the run's final.pt is damaged or missing."""
    if run.checkpoint.exists():
        delete = "delete it and " if run.final.exists() else ""
        return f"{delete}{_command(run)}, which writes it from checkpoint.pt"
    return f"there is no checkpoint.pt to write it from, so delete {run.path} to train the run again"


def _command(run: RunDir) -> str:
    """What continues the run in this folder: not its training command, if the folder was renamed or copied."""
    config = run.checked_config()
    usual = Path(config["out"]) / run_name(config, overridden(config))
    if run.path.resolve() == usual.resolve():
        return "run its training command again"
    return f"run python -m cifar_resnet.training.worker {shlex.quote(str(run.path))}"


class Weights:
    """A run's final weights, of unknown origin, of which nothing is loaded until their shapes have been checked."""

    def __init__(self, run: RunDir) -> None:
        """Reads the file.

        Raises:
            OSError: it can't be read or is too large.
            One of UNREADABLE: it doesn't contain tensors by name, or is not the file that the run finished with.
        """
        self._content = read(run.final, _MOST_BYTES)
        # Not recorded in older runs.
        expected = run.recorded("final_digest")
        if expected not in (None, digest_of(self._content)):
            raise ValueError("it is not the one that the run finished with")
        claimed = _load(self._content, torch.device("meta"))
        if not isinstance(claimed, Mapping) or not all(isinstance(one, torch.Tensor) for one in claimed.values()):
            raise ValueError("expected tensors by name")
        self.shapes = {name: tuple(tensor.shape) for name, tensor in claimed.items()}
        """Name → shape that the file claims; no tensor has been allocated for it."""

    def load(self, network: torch.nn.Module, device: torch.device) -> dict[str, torch.Tensor]:
        """The weights on a device, if they have the names and shapes of this network's.

        Raises:
            ValueError: they have not.
        """
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        for name in {**expected, **self.shapes}:
            if self.shapes.get(name) != expected.get(name):
                raise ValueError(f"{name} has the shape {self.shapes.get(name)}; expected {expected.get(name)}")
        weights: dict[str, torch.Tensor] = _load(self._content, device)
        return weights


UNREADABLE = (RuntimeError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, pickle.UnpicklingError)
"""What a damaged or strange file of torch.save raises."""


def _load(content: bytes, device: torch.device) -> Any:
    """What torch.save wrote; raises one of UNREADABLE if the content isn't that, or would become larger."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is compressed")
    if sum(entry.file_size for entry in entries) > len(content):
        raise ValueError("its parts overlap")
    # weights_only allows only tensors and plain values, so a file from elsewhere can't run code.
    return torch.load(io.BytesIO(content), map_location=device, weights_only=True)


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
        # Without its checkpoint, a finished run would be skipped.
        what = run.path if run.has_results() else "it"
        raise RunError(f"{faults[0]}; delete {what} to train the run from the start")
    return None


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        content = read(path, _MOST_BYTES)
    except OSError as error:
        raise RunError(f"{path} can't be read: {error}") from error
    if hashlib.sha256(content[:-_CHECKSUM]).digest() != content[-_CHECKSUM:]:
        raise RunError(f"{path} is damaged: its checksum doesn't match its content")
    try:
        with warnings.catch_warnings():
            # torch may warn about a file that isn't ours; the one-line error below is enough.
            warnings.simplefilter("ignore")
            state = _load(content[:-_CHECKSUM], device)
    except UNREADABLE as error:
        raise RunError(f"{path} is not a checkpoint of this program ({type(error).__name__})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RunError(f"{path} is not a checkpoint of this program's format {FORMAT}")
    del state["format"]
    return state
