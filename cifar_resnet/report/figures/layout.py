"""Assigns runs to panels and lines: one panel per model, one line per depth or, in an ablation, per setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from cifar_resnet.report.figures import style


def setting_label(setting: str, default: str | None) -> str:
    """A setting's name in legends, with a word on the reference.

    >>> setting_label("lr=0.1", "lr=0.1"), setting_label("lr=0.2", "lr=0.1"), setting_label("", "")
    ('lr=0.1 (reference)', 'lr=0.2', '(reference)')
    """
    return f"{setting} (reference)".strip() if setting == default or not setting else setting


def best_with_default(ranked: Sequence[str], default: str | None, most: int) -> list[str]:
    """The first `most` settings of a ranking, in its order; the reference is always among them."""
    kept = list(ranked[:most])
    if default in ranked and default not in kept:
        kept = [*kept[: most - 1], str(default)]
    return kept


@dataclass(frozen=True)
class Layout:
    """Panels and lines of a frame with columns model, depth and setting.

    Attributes:
        frame: what is shown, in the order of the table of runs.
        ranked: settings from best to worst; if there are too many, the worst ones share a color.
        default: the reference setting, which always has its own line.
    """

    frame: pd.DataFrame
    ranked: list[str] = field(default_factory=list)
    default: str | None = None

    @cached_property
    def models(self) -> list[str]:
        """The models, which are the columns of panels."""
        return [str(model) for model in self.frame["model"].unique()]

    @cached_property
    def depths(self) -> list[int]:
        """The depths in ascending order."""
        return sorted(int(depth) for depth in self.frame["depth"].unique())

    @cached_property
    def settings(self) -> list[str]:
        """All settings, in the order of the table of runs."""
        return [str(setting) for setting in self.frame["setting"].unique()]

    @property
    def is_ablation(self) -> bool:
        """Whether lines are settings and rows of panels are depths."""
        return len(self.settings) > 1

    @cached_property
    def named(self) -> list[Any]:
        """The levels (depths or settings) that have their own line."""
        if not self.is_ablation:
            return list(self.depths)
        if len(self.settings) <= style.MAX_LINES:
            return list(self.settings)
        best = best_with_default(self.ranked or self.settings, self.default, style.MAX_LINES - 1)
        return [setting for setting in self.settings if setting in best]

    @property
    def rows(self) -> list[int | None]:
        """The rows of panels: depths in an ablation, else a single row."""
        return list(self.depths) if self.is_ablation else [None]

    @property
    def key(self) -> str:
        """The column that distinguishes the lines of a panel."""
        return "setting" if self.is_ablation else "depth"

    def panels(self, grid: list[list[Axes]]) -> Iterator[tuple[Axes, str, pd.DataFrame]]:
        """Each panel with its model and data; panels without data are hidden."""
        for depth, row in zip(self.rows, grid, strict=True):
            for model, axes in zip(self.models, row, strict=True):
                part = self.frame[self.frame["model"].astype(str) == model]
                if depth is not None:
                    part = part[part["depth"] == depth]
                if part.empty:
                    axes.set_axis_off()
                    continue
                axes.set_title(model if depth is None else f"{model}, {depth} layers")
                yield axes, model, part

    def lines(self, part: pd.DataFrame, model: str) -> Iterator[tuple[int, dict[str, Any], pd.DataFrame]]:
        """The lines of a panel: index of the level, line style, and points."""
        styles = style.styles_of(self.colors(model))
        for index, (level, drawn) in enumerate(zip(self.named, styles, strict=True)):
            points = part[part[self.key] == level]
            if len(points):
                where = f"{int(points['depth'].iloc[0])} layers" if self.is_ablation else ""
                yield index, drawn | {"label": style.name(model, where, self.label(level))}, points

    def colors(self, model: str | None) -> list[str]:
        """One color per level: settings have the same colors in all panels, depths have shades of the model's color."""
        count = len(self.named)
        return style.setting_colors(count) if self.is_ablation else style.shades(model, count)

    def handles(self) -> list[Artist]:
        """The legend: levels in the colors of the only model, or in gray if there are several."""
        model = self.models[0] if len(self.models) == 1 else None
        styles = style.styles_of(self.colors(model))
        return [style.line_handle(self.label(level), **drawn) for level, drawn in zip(self.named, styles, strict=True)]

    def label(self, level: Any) -> str:
        """A level's name in the legend."""
        return setting_label(str(level), self.default) if self.is_ablation else f"{level} layers"
