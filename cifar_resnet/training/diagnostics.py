"""Measures gradients, responses and branch-to-shortcut ratios at each 3×3 convolution, on one batch.

Uses a copy of the network, in fp32, with the batch's own statistics as in training. A run is bit for bit the same with
and without diagnostics.
"""

from __future__ import annotations

import copy
import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_resnet.run import columns
from cifar_resnet.run.files import write_text
from cifar_resnet.training.data import Split
from cifar_resnet.training.metrics import Row
from cifar_resnet.training.models import Network

BATCH = 128
_DIGITS = 6


@dataclass(frozen=True)
class Layer:
    """A 3×3 convolution and the modules to observe.

    response: the module whose output is the layer's response: the batch norm after the convolution. Where none follows
        before the addition (second convolution of a pre-activation block, or no batch norm), the module in its place.
    shortcut: the block's shortcut if this layer ends the block's branch; otherwise None.
    """

    name: str
    conv: nn.Module
    response: nn.Module
    shortcut: nn.Module | None = None


def layers_of(network: Network) -> Iterator[Layer]:
    """The 3×3 convolutions in order from the input, by their names in the network."""
    blocks: list[nn.Module] = list(network.blocks)
    # A pre-activation network's first convolution is normalized by its first block.
    yield Layer("conv1", network.conv1, _child(blocks[0], "bn1") if network.preact else network.bn)
    for index, block in enumerate(blocks):
        first, second = _child(block, "conv1"), _child(block, "conv2")
        # Module order: conv–BN–conv–BN, or BN–conv–BN–conv.
        after_first, after_second = ("bn2", "conv2") if network.preact else ("bn1", "bn2")
        shortcut = _child(block, "shortcut") if network.has_shortcuts else None
        yield Layer(f"blocks.{index}.conv1", first, _child(block, after_first))
        yield Layer(f"blocks.{index}.conv2", second, _child(block, after_second), shortcut)


def _child(block: nn.Module, name: str) -> nn.Module:
    return block.get_submodule(name)


class Probe:
    """Observes one layer during a forward and a backward pass; keeps its measurements on the device."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.output_grad_norm: Tensor | float = math.nan
        self.response_std: Tensor | float = math.nan
        self.branch_norm: Tensor | float = math.nan
        self.shortcut_norm: Tensor | float = math.nan
        layer.conv.register_forward_hook(self._hear_output)
        layer.response.register_forward_hook(self._hear_response)
        if layer.shortcut is not None:
            layer.shortcut.register_forward_hook(self._hear_shortcut)

    def _hear_output(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        # A hook set here receives the gradient of this output even if the output is later overwritten in place.
        output.register_hook(self._hear_gradient)  # type: ignore[no-untyped-call]

    def _hear_gradient(self, gradient: Tensor) -> None:
        self.output_grad_norm = gradient.norm()

    def _hear_response(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        # Computed immediately: the ReLU and the addition that follow overwrite the output.
        self.response_std, self.branch_norm = output.detach().std(), output.detach().norm()

    def _hear_shortcut(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.shortcut_norm = output.detach().norm()

    def numbers(self, weight_gradient: Tensor) -> Row:
        """The measurements, as a row of diagnostics.csv."""
        return {
            "weight_grad_norm": _number(weight_gradient.norm()),
            "output_grad_norm": _number(self.output_grad_norm),
            "response_std": _number(self.response_std),
            "branch_ratio": _ratio(float(self.branch_norm), float(self.shortcut_norm)),
        }


def _number(value: Tensor | float) -> float:
    return float(f"{float(value):.{_DIGITS}g}")


def _ratio(branch: float, shortcut: float) -> float:
    return _number(branch / shortcut) if shortcut else math.nan


def measure_layers(network: Network, images: Tensor, labels: Tensor) -> list[Row]:
    """One row per 3×3 convolution, numbered from 1 at the input: `columns.DIAGNOSTICS` without epoch and step.

    Norms are L2 norms of the mean cross-entropy's gradient; for outputs, over the whole batch. response_std is taken
    over images, channels and pixels. branch_ratio is the norm of a block's branch divided by that of its shortcut, in
    the row of the branch's last convolution, and NaN elsewhere.

    Args:
        network: not modified.
        images: normalized, (B, C, H, W).
        labels: (B,).
    """
    twin = copy.deepcopy(network).train()
    probes = [Probe(layer) for layer in layers_of(twin)]
    weights = [probe.layer.conv.get_parameter("weight") for probe in probes]
    with torch.enable_grad():
        gradients = torch.autograd.grad(F.cross_entropy(twin(images), labels), weights)
    return [
        {"layer": number, "name": probe.layer.name, **probe.numbers(gradient)}
        for number, (probe, gradient) in enumerate(zip(probes, gradients, strict=True), 1)
    ]


def choose_batch(split: Split) -> tuple[Tensor, Tensor]:
    """The batch of images (uint8, not normalized) and labels used for every measurement on a data set."""
    # Drawn at random because image folders are sorted by class; with a fixed seed, so that all runs use the same batch.
    chosen = np.sort(np.random.default_rng(0).permutation(len(split.labels))[:BATCH])
    index = torch.from_numpy(chosen).to(split.labels.device)
    return split.images[index], split.labels[index]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Replaces `path` with all rows; missing values are left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns.DIAGNOSTICS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if value != value else value for name, value in row.items()})
    write_text(path, text.getvalue())
