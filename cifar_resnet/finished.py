"""Loads a finished run for use in Python: config, metrics and trained network; see `cifar_resnet.load_run`."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from cifar_resnet.errors import DataError, RunError
from cifar_resnet.run.config import Config, from_container
from cifar_resnet.run.folder import RunDir, State
from cifar_resnet.training import data
from cifar_resnet.training.data import Dataset
from cifar_resnet.training.loop import network_of
from cifar_resnet.training.models import Network


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
    config, status = from_container(run.read_config()), run.read_status()
    state = run.verified_state()
    if state is not State.FINISHED:
        raise RunError(f"{run.path} is {state}: expected a finished run; run the same command again to continue it")
    try:
        return FinishedRun(run, config, status, pd.read_csv(run.metrics), load_network(run, config))
    except (OSError, ValueError) as error:
        raise RunError(f"{run.path} can't be read: {error}") from error


def load_network(run: RunDir, config: Config) -> Network:
    """The network with the run's final weights, in evaluation mode.

    Raises:
        RunError: final.pt is missing or damaged, belongs to another network, or contains code.
    """
    try:
        weights = torch.load(run.final, map_location="cpu", weights_only=True)
        # The config doesn't give the numbers of channels and classes, but the weights' shapes do.
        network = network_of(config, weights["conv1.weight"].shape[1], weights["linear.weight"].shape[0])
        network.load_state_dict(weights)
    except (OSError, KeyError, TypeError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{run.final} doesn't contain weights of this run's network: {reason}") from error
    return network.eval()
