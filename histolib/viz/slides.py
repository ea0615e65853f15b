"""Figures of a whole slide: tissue, heat maps over the thumbnail, and a page that sums the slide up."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..imaging import Patch
from .style import BLUE, ORANGE, SKY, VERMILLION, YELLOW, add_scale_bar, panels, style

INTENSITY_SHADES = (SKY, YELLOW, ORANGE, VERMILLION)


def figure_slide_map(
    thumbnail: Patch, values: np.ndarray, field_um: float, title: str, label: str, limits: tuple[float, float | None]
) -> Figure:
    """A heat map over the thumbnail of a slide.

    Args:
        thumbnail: the whole slide.
        values: one for each square field, (rows, columns); NaN fields stay clear.
        field_um: side of a field in microns.
        title: message of the figure.
        label: name and unit of the values.
        limits: of the colours; the upper one may be None, the largest value.
    """
    with style():
        figure, grid = panels(1, 1, title, packed=True)
        _draw_map(grid[0, 0], thumbnail, values, field_um, label, limits)
    return figure


def figure_tissue(thumbnail: Patch, tissue: np.ndarray) -> Figure:
    """The thumbnail of a slide with the outline of its tissue mask (H, W)."""
    with style():
        figure, grid = panels(1, 1, "analysed tissue (outlined)", packed=True)
        _draw_tissue(grid[0, 0], thumbnail, tissue)
    return figure


def figure_slide_page(
    thumbnail: Patch, tissue: np.ndarray, maps: Sequence[tuple[str, np.ndarray, tuple[float, float | None]]],
    counts: Sequence[int], field_um: float, title: str,
) -> Figure:  # fmt: skip
    """One page about a slide: outline of the tissue, two heat maps, and the nuclei of each intensity.

    Args:
        thumbnail: the whole slide.
        tissue: mask of the thumbnail.
        maps: label, values (rows, columns) and limits of each heat map, at most two.
        counts: nuclei of intensity 0, 1+, 2+ and 3+; empty if the staining was not scored.
        field_um: side of a field in microns.
        title: result in words.
    """
    with style():
        figure, grid = panels(2, 2, title, packed=True)
        first, *others = grid.flat
        _draw_tissue(first, thumbnail, tissue)
        first.set_title("analysed tissue (outlined)")
        for axes, (label, values, limits) in zip(others, maps, strict=False):
            _draw_map(axes, thumbnail, values, field_um, label, limits)
        if len(counts):
            share = 100 * np.array(counts) / max(1, sum(counts))
            bars = others[-1].bar(range(4), share, color=INTENSITY_SHADES, edgecolor="black")
            others[-1].bar_label(bars, [f"{value:.0f}" for value in share])
            others[-1].set(title="share of nuclei in %", ylim=(0, 1.15 * share.max(initial=1)))
            others[-1].set_xticks(range(4), ("neg.", "1+", "2+", "3+"))
        for axes in others[len(maps) : 2 if len(counts) else 3]:
            axes.set_axis_off()
    return figure


def _draw_tissue(axes: Axes, thumbnail: Patch, tissue: np.ndarray) -> None:
    axes.imshow(thumbnail.image)
    if tissue.any() and not tissue.all():
        axes.contour(tissue, levels=[0.5], colors=[BLUE], linewidths=1.5)
    add_scale_bar(axes, thumbnail.mpp, thumbnail.image.shape[1])


def _draw_map(
    axes: Axes, thumbnail: Patch, values: np.ndarray, field_um: float, label: str, limits: tuple[float, float | None]
) -> None:
    height, width = thumbnail.image.shape[:2]
    axes.imshow(thumbnail.image)
    field_px = field_um / thumbnail.mpp
    extent = (-0.5, values.shape[1] * field_px - 0.5, values.shape[0] * field_px - 0.5, -0.5)
    look: Any = {"cmap": "viridis", "alpha": 0.75, "interpolation": "nearest", "extent": extent}
    shown = axes.imshow(np.ma.masked_invalid(values), vmin=limits[0], vmax=limits[1], **look)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.figure.colorbar(shown, ax=axes, label=label)
    add_scale_bar(axes, thumbnail.mpp, width)
