"""Looks inside a network: gradients, responses and the branches' share of each 3×3 convolution, on one batch.

Works on a copy of the network, in fp32, with the batch's own statistics as in training, so that a run is bit for bit
the same with and without it.
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
from cifar_resnet.training.models import Network, PreActBlock, ResidualBlock

BATCH = 128
_DIGITS = 6


@dataclass(frozen=True)
class Layer:
    """A 3×3 convolution and where to listen.

    response: the module whose output is the layer's response: the batch norm behind the convolution, or, where none
        follows before an addition (a pre-activation block's second one, or no batch norm), what stands in its place.
    shortcut: of the block whose branch this layer ends; None elsewhere.
    """

    name: str
    conv: nn.Module
    response: nn.Module
    shortcut: nn.Module | None = None


def layers_of(network: Network) -> Iterator[Layer]:
    """The 3×3 convolutions from the images on, by their names in the network."""
    blocks: list[nn.Module] = list(network.blocks)
    # A pre-activation network's first convolution is normalised by its first block.
    yield Layer("conv1", network.conv1, _child(blocks[0], "bn1") if network.preact else network.bn)
    for index, block in enumerate(blocks):
        first, second = _child(block, "conv1"), _child(block, "conv2")
        # In the order of the modules: conv–BN–conv–BN, or BN–conv–BN–conv.
        after_first, after_second = ("bn2", "conv2") if network.preact else ("bn1", "bn2")
        shortcut = block.shortcut if isinstance(block, ResidualBlock | PreActBlock) else None
        yield Layer(f"blocks.{index}.conv1", first, _child(block, after_first))
        yield Layer(f"blocks.{index}.conv2", second, _child(block, after_second), shortcut)


def _child(block: nn.Module, name: str) -> nn.Module:
    return block.get_submodule(name)


class Probe:
    """Listens to one layer during a forward and a backward pass; keeps numbers on the device."""

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
        # A hook set here gets the gradient of this output, also where the output is overwritten in place afterwards.
        output.register_hook(self._hear_gradient)  # type: ignore[no-untyped-call]

    def _hear_gradient(self, gradient: Tensor) -> None:
        self.output_grad_norm = gradient.norm()

    def _hear_response(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        # Computed at once: the ReLU and the addition that follow overwrite it.
        self.response_std, self.branch_norm = output.detach().std(), output.detach().norm()

    def _hear_shortcut(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.shortcut_norm = output.detach().norm()

    def numbers(self, weight_gradient: Tensor) -> Row:
        """What was heard."""
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
    """A row for each 3×3 convolution, counted from 1 at the images: `columns.DIAGNOSTICS` without epoch and step.

    Norms are L2, of the mean cross-entropy's gradient; an output's is over the whole batch. response_std is over
    images, channels and pixels. branch_ratio is the norm of a block's branch over that of its shortcut, in the row of
    the branch's last convolution; NaN elsewhere.

    Args:
        network: left as it is.
        images: normalised, (B, C, H, W).
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
    """The images (uint8, as they are) and labels that every measurement of a data set is made on."""
    # Drawn, as a folder of images is sorted by class; not by the run's seed, so that runs see the same.
    chosen = np.sort(np.random.default_rng(0).permutation(len(split.labels))[:BATCH])
    index = torch.from_numpy(chosen).to(split.labels.device)
    return split.images[index], split.labels[index]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Replaces `path` by all rows; what a layer doesn't have stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns.DIAGNOSTICS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if value != value else value for name, value in row.items()})
    write_text(path, text.getvalue())
