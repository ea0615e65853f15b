"""Figures of a translation between stains: before and after, and what a discriminator sees."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from ..imaging import Patch
from .images import figure_patches
from .style import YELLOW, style


def figure_before_after(
    before: Sequence[Patch], after: Sequence[Patch], names: Sequence[str], *, title: str = "", border: float = 0.5
) -> Figure:
    """Pairs of patches, each pair in one picture: the first patch left of a border, the second one right of it.

    Args:
        before, after: pairs of patches of one size.
        names: of the left and of the right side.
        title: of the figure.
        border: its place as a share of the width: 0 shows only the second patch, 1 only the first.
    """
    cuts = [round(border * patch.image.shape[1]) for patch in before]
    halves = zip(before, after, cuts, strict=True)
    joined = [replace(a, image=np.hstack([a.image[:, :cut], b.image[:, cut:]])) for a, b, cut in halves]
    with style():
        figure = figure_patches({"": joined}, title=title)
        for axes, cut in zip(figure.axes, cuts, strict=False):
            axes.axvline(cut - 0.5, color="black", linewidth=5)
            axes.axvline(cut - 0.5, color="white", linewidth=2)
            axes.set_title(names[0] if border > 0 else "", loc="left")
            axes.set_title(names[1] if border < 1 else "", loc="right")
    return figure


def figure_discriminator(
    patches: Mapping[str, Patch], scores: Mapping[str, np.ndarray], field: tuple[int, int, int], *, title: str = ""
) -> Figure:
    """Patches with the receptive field of the middle score of a discriminator, above the maps of all its scores.

    Args:
        patches: by name, at the scale of the discriminator.
        scores: (h, w) for each patch: near 1 looks real, near 0 looks translated.
        field: first pixel that score 0 sees (outside of the patch where it is padded), stride, and side, in pixels.
        title: of the figure.
    """
    start, stride, size = field
    palette = mpl.colormaps["cividis"]
    maps = [Patch(palette(scores[name], bytes=True)[..., :3].copy(), p.mpp * stride) for name, p in patches.items()]
    titles = [f"{name}\nmean score {scores[name].mean():.2f}" for name in patches]
    with style():
        figure = figure_patches({"patch": list(patches.values()), "scores": maps}, titles, title=title)
        # The frame in a map encloses the score and its neighbours, so that it does not cover the score itself.
        for i, axes in enumerate(all_axes := list(figure.axes)):
            row, column = np.array(maps[i % len(maps)].image.shape[:2]) // 2
            first, step, side = (start, stride, size) if i < len(patches) else (-1, 1, 3)
            corner = first + step * column - 0.5, first + step * row - 0.5
            rim = [Stroke(linewidth=6, foreground="black"), Normal()]
            axes.add_patch(Rectangle(corner, side, side, fill=False, ec=YELLOW, linewidth=3, path_effects=rim))
        shown = ScalarMappable(mpl.colors.Normalize(0, 1), palette)
        bar = figure.colorbar(shown, ax=all_axes[len(patches) :], extend="both", ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["0 translated", "0.5", "1 real"])
    return figure
