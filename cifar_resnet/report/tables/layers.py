"""The table of the layers that a network of each depth consists of."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cifar_resnet.report.tables.table import Table
from cifar_resnet.report.wording import join


def architecture(size: int | None, width: int | None, classes: Sequence[int], depths: Sequence[int]) -> Table:
    """One row per stage, one column per depth.

    Args:
        size: height and width of the images in pixels; None if unknown or not the same in all runs.
        width: filters of the first stage; None if not the same in all runs.
        classes: the numbers of classes.
        depths: layers, in ascending order.
    """
    maps = ["full size", "half size", "quarter size"]
    if size:
        sides = [size, (size + 1) // 2, (size + 3) // 4]
        maps = [f"{side}×{side}" for side in sides]
    filters = [str(width * factor) if width else f"{factor} × width" for factor in (1, 2, 4)]
    rows = [["first convolution", maps[0], filters[0], *("1" for _ in depths)]]
    for stage, (side, count) in enumerate(zip(maps, filters, strict=True), 1):
        rows.append([f"stage {stage}", side, count, *(str((depth - 2) // 3) for depth in depths)])
    rows.append(["average pooling, linear layer", "1×1", join(classes), *("1" for _ in depths)])
    heads = ["part", "map (pixels)", "filters", *(f"{depth} layers" for depth in depths)]
    frame = pd.DataFrame(rows, columns=heads)
    return Table(
        "architecture",
        "Weighted layers of each part",
        frame,
        "All convolutions in the stages are 3×3; the first one in stages 2 and 3 has stride 2.",
    )
