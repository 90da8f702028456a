"""Loads a finished run for use in Python: config, metrics and trained network; see `cifar_resnet.load_run`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from cifar_resnet.errors import DataError, RunError
from cifar_resnet.run.config import from_container
from cifar_resnet.run.files import read
from cifar_resnet.run.folder import RunDir
from cifar_resnet.run.schema import Config
from cifar_resnet.run.states import State
from cifar_resnet.training import data
from cifar_resnet.training.checkpoint import UNREADABLE, Weights, remedy
from cifar_resnet.training.data import Dataset
from cifar_resnet.training.loop import network_of
from cifar_resnet.training.models import Network

_REMEDIES = {
    State.RUNNING: "wait until it ends",
    State.DIVERGED: "the same configuration would diverge again",
}
"""What to do about a run that isn't finished, unless the same command continues it."""


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    status: run.json: versions, device, data, outcome. metrics: one row per epoch. network: trained, on the CPU, in
    evaluation mode; its input is the output of `normalise`.
    """

    run: RunDir
    config: Config
    status: dict[str, Any]
    metrics: pd.DataFrame
    network: Network

    @property
    def classes(self) -> list[str]:
        """The names of the classes, by number; for older runs that didn't record names, the numbers."""
        data = self.status["data"]
        return list(data.get("class_names") or map(str, range(data["classes"])))

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, C) → the network's input, (B, C, H, W), normalized as in training."""
        mean, std = (torch.tensor(self.status["data"][name]) for name in ("mean", "std"))
        return data.normalise(images, mean, std)

    def load_data(self) -> Dataset:
        """The images that the run was trained and tested on.

        Raises:
            DataError: they no longer exist, or they have changed.
        """
        dataset = data.load(self.config.data, self.config.seed)
        known = self.status["data"]["fingerprint"]
        if dataset.fingerprint != known:
            raise DataError(
                f"the images of data={self.config.data.name} are not those of {self.run.path} "
                f"{data.other_images(self.config.data, known, dataset.fingerprint)}; set their folder with "
                "data.root=<folder>"
            )
        return dataset


def load(folder: str | Path) -> FinishedRun:
    """Loads a finished run from its folder; see `cifar_resnet.load_run`.

    Raises:
        RunError: the folder isn't that of a finished run, or something in it is damaged.
    """
    run = RunDir(Path(folder))
    config, (state, reason) = from_container(run.checked_config()), run.verify()
    if state is not State.FINISHED:
        why = f" ({reason})" if reason else ""
        remedy = _REMEDIES.get(state, "run its training command again to continue it")
        raise RunError(f"{run.path} is {state}{why}: expected a finished run; {remedy}")
    try:
        metrics = pd.read_csv(io.BytesIO(read(run.metrics)))
        return FinishedRun(run, config, run.read_status(), metrics, load_network(run, config))
    except (OSError, ValueError) as error:
        raise RunError(f"{run.path} can't be read: {error}") from error


def load_network(run: RunDir, config: Config) -> Network:
    """The network with the run's final weights, in evaluation mode.

    Raises:
        RunError: final.pt is missing or damaged, belongs to another network, or contains code.
    """
    try:
        weights = Weights(run)
        if len(weights.shapes) < config.depth:
            raise ValueError(f"it has {len(weights.shapes)} tensors; expected {config.depth} layers")
        # The config doesn't give the numbers of channels and classes, but the weights' shapes do.
        channels, classes = weights.shapes["conv1.weight"][1], weights.shapes["linear.weight"][0]
        with torch.device("meta"):  # takes no memory, however wide the network is
            described = network_of(config, channels, classes)
        loaded = weights.load(described, torch.device("cpu"))
        network = network_of(config, channels, classes)
        network.load_state_dict(loaded)
    except FileNotFoundError as error:
        raise RunError(f"{run.final} is missing; {remedy(run)}") from error
    except (OSError, IndexError, *UNREADABLE) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{run.final} doesn't contain weights of this run's network: {reason}; {remedy(run)}") from error
    return network.eval()
