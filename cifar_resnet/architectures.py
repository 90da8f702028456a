"""The networks' registry: what is known about each model without building one; imports nothing.

To add a model, write its block in `training/models.py`, add an entry here, and a file in conf/model/.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """What sets a model apart, for the schema, the checks, the training and the report.

    Attributes:
        block: name of its class in `cifar_resnet.training.models`.
        title: adjective for running text, as in "residual networks".
        description: completes "In a … block," in the report's set-up; one sentence with a full stop.
        shades: its color, light, middle and dark, as hexadecimal RGB.
        marker: Matplotlib's name of its mark among points.
        has_shortcuts: whether an identity or projection leads around its blocks' convolutions.
        identity_path: whether nothing, a ReLU included, stands on the path of the shortcuts.
    """

    block: str
    title: str
    description: str
    shades: tuple[str, str, str]
    marker: str
    has_shortcuts: bool
    identity_path: bool = False


# The colors are Okabe and Ito's, which stay apart for the color-blind. The order is that of tables and legends.
ARCHITECTURES: dict[str, Architecture] = {
    "plain": Architecture(
        block="PlainBlock",
        title="plain",
        description="the two convolutions of a block follow each other, each with a ReLU behind it; there is no "
        "shortcut.",
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
        description="normalization and ReLU come before each convolution, and nothing stands on the path of the "
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
