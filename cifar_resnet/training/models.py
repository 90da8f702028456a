"""Plain, residual and pre-activation networks of depth 6n+2 for small images; a self-contained module.

One 3×3 convolution; three stages of n blocks with two 3×3 convolutions each, on maps of full, half and quarter size
with `width`, 2·width and 4·width filters; global average pooling; and one linear layer (He et al. 2015, section 4.2).
Parameters for 3 channels, 10 classes and width 16:

    network      layers   parameters (A)   parameters (B)
    plain-20         20          269,722          269,722
    plain-32         32          464,154          464,154
    plain-44         44          658,586          658,586
    plain-56         56          853,018          853,018
    plain-110       110        1,727,962        1,727,962
    resnet-20        20          269,722          272,474
    resnet-32        32          464,154          466,906
    resnet-44        44          658,586          661,338
    resnet-56        56          853,018          855,770
    resnet-110      110        1,727,962        1,730,714
    preact-20        20          269,722          272,282
    preact-32        32          464,154          466,714
    preact-44        44          658,586          661,146
    preact-56        56          853,018          855,578
    preact-110      110        1,727,962        1,730,522

A and B are the shortcuts where the shape changes: A subsamples and pads with zero channels; B is a 1×1 convolution,
followed by batch norm in resnet but not in preact, whose shortcuts have no batch norm. Without batch norm
(`norm="none"`), there are no scales and shifts, and nothing replaces them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_resnet.architectures import ARCHITECTURES

SMALL_STD = 0.01


def conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that keeps the map's size at stride 1 and halves it, rounding up, at stride 2."""
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)


def make_norm(norm: str, channels: int) -> nn.Module:
    """Batch normalization, or the identity."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "none":
        return nn.Identity()
    raise ValueError(f"norm {norm!r}: expected batch or none")


class ShortcutA(nn.Module):
    """Option A: every second pixel, and zeros for the new channels; no parameters.

    The new channels are appended after the old ones, as in fb.resnet.torch. Some public code puts half of them before
    and half after the old ones, which is the same network up to the order of its channels.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = channels_out - channels_in, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        # Pooling over single pixels takes every second one, and its gradient stays in channels_last layout. The
        # gradient of a slice doesn't, so an addition and a ReLU's backward pass would combine two different layouts.
        return F.pad(F.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, 0, self.new_channels))


@dataclass(frozen=True)
class BlockSpec:
    """What a block is built from.

    Attributes:
        channels_in, channels_out: channels of its input and output maps.
        stride: 2 if the block halves the maps, else 1.
        norm: batch or none.
        shortcut: option for shortcuts that change the shape, A or B.
        first: whether it is the network's first block.
    """

    channels_in: int
    channels_out: int
    stride: int
    norm: str
    shortcut: str
    first: bool


class PlainBlock(nn.Module):
    """conv–BN–ReLU twice."""

    preactivated = False
    """Whether the block normalizes and activates its own input; if so, the network must do so for the last output."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.conv1 = conv3x3(spec.channels_in, spec.channels_out, spec.stride)
        self.bn1 = make_norm(spec.norm, spec.channels_out)
        self.conv2 = conv3x3(spec.channels_out, spec.channels_out)
        self.bn2 = make_norm(spec.norm, spec.channels_out)

    def branch(self, x: Tensor) -> Tensor:
        """conv–BN–ReLU–conv–BN."""
        # The backward passes of batch norm and convolution need their inputs, not their outputs, so the ReLU may
        # overwrite the outputs.
        out: Tensor = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        return F.relu(self.branch(x), inplace=True)


def make_shortcut(spec: BlockSpec, norm: str) -> nn.Module:
    """The identity if the shape is unchanged; otherwise option A or B, where B is followed by `norm`."""
    if spec.channels_in == spec.channels_out and spec.stride == 1:
        return nn.Identity()
    if spec.shortcut == "A":
        return ShortcutA(spec.channels_in, spec.channels_out, spec.stride)
    if spec.shortcut == "B":
        projection = nn.Conv2d(spec.channels_in, spec.channels_out, 1, stride=spec.stride, bias=False)
        return nn.Sequential(projection, nn.BatchNorm2d(spec.channels_out)) if norm == "batch" else projection
    raise ValueError(f"shortcut {spec.shortcut!r}: expected A or B")


class ResidualBlock(PlainBlock):
    """The plain block with a shortcut around it, added before the last ReLU (2015, figure 2)."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__(spec)
        self.shortcut = make_shortcut(spec, spec.norm)

    def last_weight(self) -> Tensor:
        """The weight that the branch's output is proportional to, apart from its shift: the last batch norm's scale."""
        return self.bn2.weight if isinstance(self.bn2, nn.BatchNorm2d) else self.conv2.weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        return F.relu(self.branch(x).add_(self.shortcut(x)), inplace=True)


class PreActBlock(nn.Module):
    """BN–ReLU–conv twice, and a shortcut that nothing interrupts (2016, figure 4e).

    The network's first block shares its first activation with its shortcut, as in the 2016 paper's appendix.
    """

    preactivated = True

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.first, self.normalized = spec.first, spec.norm == "batch"
        self.bn1 = make_norm(spec.norm, spec.channels_in)
        self.conv1 = conv3x3(spec.channels_in, spec.channels_out, spec.stride)
        self.bn2 = make_norm(spec.norm, spec.channels_out)
        self.conv2 = conv3x3(spec.channels_out, spec.channels_out)
        self.shortcut = make_shortcut(spec, norm="none")

    def last_weight(self) -> Tensor:
        """The weight that the branch's output is proportional to: the last convolution, which nothing follows."""
        return self.conv2.weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        # Without batch norm, this would overwrite x itself, which the shortcut needs unchanged.
        activated = F.relu(self.bn1(x), inplace=self.normalized)
        out: Tensor = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out), inplace=True))
        return out.add_(self.shortcut(activated if self.first else x))


class Network(nn.Module):
    """The whole network, from images (B, channels, H, W) with H, W ≥ 4 to logits (B, classes)."""

    def __init__(
        self, name: str, depth: int, shortcut: str, width: int, channels: int, classes: int, norm: str = "batch"
    ) -> None:
        super().__init__()
        block_class = block_named(name)
        n = (depth - 2) // 6
        self.conv1 = conv3x3(channels, width)
        blocks: list[nn.Module] = []
        channels_in = width
        for stage, channels_out in enumerate((width, 2 * width, 4 * width)):
            for index in range(n):
                stride = 2 if stage > 0 and index == 0 else 1
                spec = BlockSpec(channels_in, channels_out, stride, norm, shortcut, first=not blocks)
                blocks.append(block_class(spec))
                channels_in = channels_out
        # In a pre-activation network, the blocks have their own BN–ReLU, and one more comes before the pooling.
        self.preact, self.has_shortcuts = block_class.preactivated, ARCHITECTURES[name].has_shortcuts
        self.bn = make_norm(norm, channels_in if self.preact else width)
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(channels_in, classes)

    def initialise(self, init_linear: str = "kaiming", zero_init_residual: bool = False) -> None:
        """Draws all weights; every choice draws the same random numbers for the convolutions.

        Args:
            init_linear: kaiming, like the convolutions; or small, a standard deviation of 0.01, so that training
                starts with nearly equal probabilities.
            zero_init_residual: each block starts as its shortcut: the scale of its branch's last batch norm is 0, or,
                if none follows the last convolution (preact, or no batch norm), the weights of that convolution are.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.linear.bias)
        if init_linear == "small":
            nn.init.normal_(self.linear.weight, std=SMALL_STD)
        if zero_init_residual:
            for block in self.blocks:
                last: Any = block
                nn.init.zeros_(last.last_weight())

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) → logits (B, classes)."""
        x = self.conv1(images)
        if self.preact:
            x = F.relu(self.bn(self.blocks(x)), inplace=True)
        else:
            x = self.blocks(F.relu(self.bn(x), inplace=True))
        # With channels last, as in memory, so that the mean's gradient has this layout, too.
        logits: Tensor = self.linear(x.permute(0, 2, 3, 1).mean((1, 2)))
        return logits


def block_named(name: str) -> Any:
    """The class of a model's blocks; its constructor takes a `BlockSpec`."""
    return globals()[ARCHITECTURES[name].block]


def build_network(
    name: str,
    depth: int,
    shortcut: str = "A",
    width: int = 16,
    channels: int = 3,
    classes: int = 10,
    norm: str = "batch",
    init_linear: str = "kaiming",
    zero_init_residual: bool = False,
) -> Network:
    """A network in channels_last memory format, initialized from torch's global random state.

    Args:
        name: a key of `ARCHITECTURES`.
        depth: 6n+2 with n ≥ 1.
        shortcut: A or B; no effect on plain networks.
        width: filters of the first stage.
        channels: color channels of the images.
        classes: number of logits.
        norm: batch, or none for networks without batch normalization.
        init_linear: kaiming or small, see `Network.initialise`.
        zero_init_residual: whether each block starts as its shortcut, see `Network.initialise`; needs shortcuts.

    Raises:
        ValueError: an argument has another value than those listed.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"model {name!r}: expected one of {', '.join(ARCHITECTURES)}")
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth {depth}: expected 6n+2 with n ≥ 1")
    if shortcut not in ("A", "B"):
        raise ValueError(f"shortcut {shortcut!r}: expected A or B")
    if norm not in ("batch", "none"):
        raise ValueError(f"norm {norm!r}: expected batch or none")
    if init_linear not in ("kaiming", "small"):
        raise ValueError(f"init_linear {init_linear!r}: expected kaiming or small")
    if zero_init_residual and not ARCHITECTURES[name].has_shortcuts:
        raise ValueError("zero_init_residual: expected a network with shortcuts; others would output zero")
    network = Network(name, depth, shortcut, width, channels, classes, norm)
    network.initialise(init_linear, zero_init_residual)
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters of the network."""
    return sum(parameter.numel() for parameter in network.parameters())
