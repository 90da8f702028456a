"""Plain, residual and pre-activation networks of depth 6n+2 for small images; this module stands alone.

One 3×3 convolution, three stages of n blocks of two 3×3 convolutions each, on maps of full, half and quarter size
with `width`, 2·width and 4·width filters, global average pooling and one linear layer (He et al. 2015, section 4.2).
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

A and B are the shortcuts where the shape changes: A subsamples and pads with zero channels, B is a 1×1 convolution
(followed by batch norm in resnet, alone in preact, so that its shortcuts stay free of it).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that keeps the map's size at stride 1 and halves it, rounding up, at stride 2."""
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)


class ShortcutA(nn.Module):
    """Option A: every second pixel, and zeros for the new channels; no parameters."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = channels_out - channels_in, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


def make_shortcut(option: str, channels_in: int, channels_out: int, stride: int, norm: bool) -> nn.Module:
    """The identity where the shape stays; option A or B where it changes."""
    if channels_in == channels_out and stride == 1:
        return nn.Identity()
    if option == "A":
        return ShortcutA(channels_in, channels_out, stride)
    projection = nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False)
    return nn.Sequential(projection, nn.BatchNorm2d(channels_out)) if norm else projection


class PlainBlock(nn.Module):
    """conv–BN–ReLU twice."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels_in, channels_out, stride)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = conv3x3(channels_out, channels_out)
        self.bn2 = nn.BatchNorm2d(channels_out)

    def branch(self, x: Tensor) -> Tensor:
        """conv–BN–ReLU–conv–BN."""
        # Batch norm's backward pass needs its input, not its output, so the ReLU may overwrite that.
        out: Tensor = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        return F.relu(self.branch(x), inplace=True)


class ResidualBlock(PlainBlock):
    """The plain block with a shortcut around it, added before the last ReLU (2015, figure 2)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, option: str) -> None:
        super().__init__(channels_in, channels_out, stride)
        self.shortcut = make_shortcut(option, channels_in, channels_out, stride, norm=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        return F.relu(self.branch(x).add_(self.shortcut(x)), inplace=True)


class PreActBlock(nn.Module):
    """BN–ReLU–conv twice, and a shortcut that nothing interrupts (2016, figure 4e).

    The network's first block shares its first activation with its shortcut, as the 2016 paper's appendix says.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, option: str, first: bool) -> None:
        super().__init__()
        self.first = first
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = conv3x3(channels_in, channels_out, stride)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.conv2 = conv3x3(channels_out, channels_out)
        self.shortcut = make_shortcut(option, channels_in, channels_out, stride, norm=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        activated = F.relu(self.bn1(x), inplace=True)
        out: Tensor = self.conv1(activated)
        out = self.conv2(F.relu(self.bn2(out), inplace=True))
        return out.add_(self.shortcut(activated if self.first else x))


class Network(nn.Module):
    """The whole network, from images (B, channels, H, W) with H, W ≥ 4 to logits (B, classes)."""

    def __init__(self, name: str, depth: int, shortcut: str, width: int, channels: int, classes: int) -> None:
        super().__init__()
        n = (depth - 2) // 6
        self.conv1 = conv3x3(channels, width)
        blocks: list[nn.Module] = []
        channels_in = width
        for stage, channels_out in enumerate((width, 2 * width, 4 * width)):
            for index in range(n):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(_block(name, channels_in, channels_out, stride, shortcut, first=not blocks))
                channels_in = channels_out
        # In a pre-activation network the blocks bring their own BN–ReLU, and one more stands before pooling.
        self.preact = name == "preact"
        self.bn = nn.BatchNorm2d(channels_in if self.preact else width)
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(channels_in, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) → logits (B, classes)."""
        x = self.conv1(images)
        if self.preact:
            x = F.relu(self.bn(self.blocks(x)), inplace=True)
        else:
            x = self.blocks(F.relu(self.bn(x), inplace=True))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _block(name: str, channels_in: int, channels_out: int, stride: int, option: str, first: bool) -> nn.Module:
    if name == "plain":
        return PlainBlock(channels_in, channels_out, stride)
    if name == "resnet":
        return ResidualBlock(channels_in, channels_out, stride, option)
    return PreActBlock(channels_in, channels_out, stride, option, first)


def build_network(
    name: str, depth: int, shortcut: str = "A", width: int = 16, channels: int = 3, classes: int = 10
) -> Network:
    """A freshly initialised network in channels_last memory format, out of torch's global random state.

    Args:
        name: plain, resnet or preact.
        depth: 6n+2 with n ≥ 1.
        shortcut: A or B; without effect on plain networks.
        width: filters of the first stage.
        channels: colour channels of the images.
        classes: number of logits.

    Raises:
        ValueError: one of these is none of the values named.
    """
    if name not in ("plain", "resnet", "preact"):
        raise ValueError(f"model {name!r}: expected plain, resnet or preact")
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth {depth}: expected 6n+2 with n ≥ 1")
    if shortcut not in ("A", "B"):
        raise ValueError(f"shortcut {shortcut!r}: expected A or B")
    network = Network(name, depth, shortcut, width, channels, classes)
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def count_parameters(network: nn.Module) -> int:
    """Trained numbers in the network."""
    return sum(parameter.numel() for parameter in network.parameters())
