"""The symbol of a legend's entry as a small SVG drawing, for legends outside the figure."""

from __future__ import annotations

from typing import Any

from matplotlib.artist import Artist
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Patch
from matplotlib.transforms import Affine2D

WIDTH, HEIGHT = 26, 12
"""Size in points."""


def draw(handle: Artist) -> str:
    """The symbol of a line, a mark or a band; empty for anything else.

    >>> draw(Patch(facecolor="#ff0000", alpha=0.5))
    '<svg viewBox="0 0 26 12" aria-hidden="true"><rect x="1" y="2" width="24" height="8" fill="#ff0000" opacity="0.5"/></svg>'
    """  # noqa: E501
    if isinstance(handle, Line2D):
        shapes = _line(handle) + _mark(handle)
    elif isinstance(handle, Patch):
        opacity = "" if handle.get_alpha() is None else f' opacity="{handle.get_alpha():g}"'
        color = to_hex(handle.get_facecolor())
        shapes = f'<rect x="1" y="2" width="{WIDTH - 2}" height="{HEIGHT - 4}" fill="{color}"{opacity}/>'
    else:
        return ""
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{shapes}</svg>'


def _line(handle: Line2D) -> str:
    if handle.get_linestyle() in ("None", "none", " ", ""):
        return ""
    # Matplotlib has no public name for the scaled pattern of dashes.
    pattern: Any = handle._dash_pattern[1]  # type: ignore[attr-defined]
    dashes = f' stroke-dasharray="{" ".join(f"{part:.2f}" for part in pattern)}"' if pattern else ""
    middle, color, width = HEIGHT / 2, to_hex(handle.get_color()), handle.get_linewidth()
    return f'<path d="M0 {middle:g}H{WIDTH}" stroke="{color}" stroke-width="{width:.2f}"{dashes}/>'


def _mark(handle: Line2D) -> str:
    if handle.get_marker() in ("None", "none", None, "", " "):
        return ""
    style = MarkerStyle(handle.get_marker(), fillstyle=handle.get_fillstyle())
    placed = Affine2D().scale(handle.get_markersize(), -handle.get_markersize()).translate(WIDTH / 2, HEIGHT / 2)
    outlines: Any = (style.get_path().transformed(style.get_transform() + placed)).to_polygons(closed_only=False)
    drawn = "".join("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in outline) for outline in outlines)
    face, width = handle.get_markerfacecolor(), handle.get_markeredgewidth()
    fill = to_hex(face) if style.is_filled() and str(face).lower() != "none" else "none"
    edge = to_hex(handle.get_markeredgecolor())
    return f'<path d="{drawn}" fill="{fill}" stroke="{edge}" stroke-width="{width:.2f}"/>'
