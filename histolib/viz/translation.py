"""Figures of a translation between stains: before and after, and what a discriminator sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from ..imaging import Patch
from .images import best_columns, show_patch
from .style import YELLOW, panels, style, wrapped


def figure_before_after(
    before: Sequence[Patch],
    after: Sequence[Patch],
    names: tuple[str, str] = ("before", "after"),
    *,
    title: str = "",
    border: float = 0.5,
) -> Figure:
    """Pairs of patches, each pair in one picture: the first patch left of a border, the second one right of it.

    Args:
        before, after: pairs of patches of one size.
        names: of the two sides.
        title: of the figure.
        border: its place as a share of the width: 0 shows only the second patch, 1 only the first.
    """
    columns = best_columns(before)
    with style():
        figure, grid = panels(-(-len(before) // columns), columns, title, packed=True)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, left, right in zip(grid.flat, before, after, strict=False):
            column = round(border * left.image.shape[1])
            show_patch(axes, replace(left, image=np.hstack([left.image[:, :column], right.image[:, column:]])))
            axes.axvline(column - 0.5, color="black", linewidth=5)
            axes.axvline(column - 0.5, color="white", linewidth=2)
            for name, side, shown in ((names[0], "left", border > 0), (names[1], "right", border < 1)):
                axes.set_title(name if shown else "", loc=side)
    return figure


def figure_discriminator(
    patches: Mapping[str, Patch],
    scores: Mapping[str, np.ndarray],
    field: tuple[int, int, int],
    cell: tuple[int, int],
    *,
    title: str = "",
) -> Figure:
    """Patches with the receptive field of one score of a discriminator, above the maps of all its scores.

    Args:
        patches: by name, at the scale of the discriminator.
        scores: (h, w) for each patch: near 1 looks real, near 0 looks translated.
        field: first pixel that score 0 sees (outside of the patch where it is padded), stride, and side, in pixels.
        cell: row and column of the marked score.
        title: of the figure.
    """
    start, stride, size = field
    looks = {"fill": False, "edgecolor": YELLOW, "linewidth": 3}
    with style():
        figure, grid = panels(2, len(patches), title, packed=True)
        for (top, bottom), (name, patch) in zip(grid.T, patches.items(), strict=True):
            rim = [Stroke(linewidth=6, foreground="black"), Normal()]
            show_patch(top, patch, wrapped(name, len(patches)))
            corner = start + stride * cell[1] - 0.5, start + stride * cell[0] - 0.5
            top.add_patch(Rectangle(corner, size, size, path_effects=rim, **looks))
            shown = bottom.imshow(scores[name], "cividis", vmin=0, vmax=1)
            # The frame encloses the score and its neighbours, so that it does not cover the score itself.
            bottom.add_patch(Rectangle((cell[1] - 1.5, cell[0] - 1.5), 3, 3, path_effects=rim, **looks))
            bottom.set_title(f"mean {scores[name].mean():.2f}")
            bottom.set_axis_off()
        bar = figure.colorbar(shown, ax=list(grid[1]), extend="both", ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["0 translated", "0.5", "1 real"])
    return figure
