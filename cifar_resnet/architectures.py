"""The registry of networks: what is known about each model without building it; imports nothing from the project.

To add a model, write its block in `training/models.py`, add an entry here, and a file in conf/model/.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A model's properties, for the schema, the checks, the training and the report.

    Attributes:
        block: name of its class in `cifar_resnet.training.models`.
        title: adjective for running text, as in "residual networks".
        description: completes "In a … block," in the report's set-up; one sentence with a full stop.
        shades: its color, light, middle and dark, as hexadecimal RGB.
        marker: its Matplotlib marker.
        has_shortcuts: whether an identity or projection bypasses the convolutions of its blocks.
        identity_path: whether the path of the shortcuts has no operation on it, not even a ReLU.
    """

    block: str
    title: str
    description: str
    shades: tuple[str, str, str]
    marker: str
    has_shortcuts: bool
    identity_path: bool = False


# The colors are Okabe and Ito's, which color-blind people can distinguish. Tables and legends use this order.
ARCHITECTURES: dict[str, Architecture] = {
    "plain": Architecture(
        block="PlainBlock",
        title="plain",
        description="each of the two convolutions is followed by a ReLU; there is no shortcut.",
        shades=("#ee8f4d", "#c44e00", "#6b2a00"),
        marker="o",
        has_shortcuts=False,
    ),
    "resnet": Architecture(
        block="ResidualBlock",
        title="residual",
        description="a shortcut carries the block's input around its convolutions and is added before the last ReLU "
        "(He et al. 2015).",
        shades=("#5ca6da", "#006099", "#002f54"),
        marker="s",
        has_shortcuts=True,
    ),
    "preact": Architecture(
        block="PreActBlock",
        title="pre-activation",
        description="normalization and ReLU come before each convolution, and there is no operation on the path of the "
        "shortcuts (He et al. 2016).",
        shades=("#59bf9e", "#1f956a", "#004630"),
        marker="^",
        has_shortcuts=True,
        identity_path=True,
    ),
}


def with_shortcuts() -> tuple[str, ...]:
    """The models that have shortcuts."""
    return tuple(name for name, architecture in ARCHITECTURES.items() if architecture.has_shortcuts)
