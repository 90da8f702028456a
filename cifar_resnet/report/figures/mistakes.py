"""The most confident mistakes of one network; the images come from the caller, since run folders hold none."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cifar_resnet.report.figures import fonts, style

COLUMNS, MOST = 8, 24
_LONGEST_NAME = 12
_LEGEND = "Above each image: the predicted class with the probability that the network gave it, and the true class."

Array = np.ndarray[Any, Any]


def draw(
    images: Array, label: Array, prediction: Array, probability: Array, classes: Sequence[str], title: str = ""
) -> Figure | None:
    """At most `MOST` wrongly classified images, the most confident first.

    Args:
        images: uint8 (N, H, W, C) with C of 1 or 3.
        label: (N,), class numbers.
        prediction: (N,), class numbers.
        probability: (N,), the network's probability of its prediction.
        classes: names, by number.
        title: title of the figure.

    Returns:
        None if there is no mistake.
    """
    wrong = np.flatnonzero(prediction != label)
    shown = wrong[np.argsort(-probability[wrong], kind="stable")][:MOST]
    if not len(shown):
        return None
    named = fonts.drawable(classes, _LONGEST_NAME)
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    with style.applied():
        figure = Figure(figsize=(max(style.PAGE * columns / COLUMNS, style.COLUMN), 1.2 * rows + 0.5), dpi=style.DPI)
        figure.set_layout_engine("constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, index in zip(panels, shown, strict=False):
            image = images[index]
            axes.imshow(image[..., 0] if image.shape[2] == 1 else image, cmap="gray", interpolation="nearest")
            predicted, actual = (named.names[int(number)] for number in (prediction[index], label[index]))
            caption = f"{predicted} ({100 * probability[index]:.1f} %)\nis {actual}"
            axes.set_title(caption, fontsize=6.5, fontfamily=named.fonts)
        width = figure.get_figwidth()
        figure.suptitle("\n".join(textwrap.wrap(title, int(width / 0.075))), fontsize=8.5)
        figure.supxlabel("\n".join(textwrap.wrap(_LEGEND, int(width / 0.055))), fontsize=6.5)
        figure.draw_without_rendering()
    return figure
