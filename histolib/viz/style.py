"""One look for every figure: readable from the last row, safe for colour-blind readers, one colour an idea."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

__all__ = ["COLOURS", "add_scale_bar", "colour", "style"]

# Okabe and Ito's palette: distinct for colour-blind readers and in grey by order of lightness.
COLOURS = {
    "he": "#CC79A7",
    "ihc": "#8C5A2B",
    "hematoxylin": "#3D4F9F",
    "eosin": "#D55E9C",
    "dab": "#8C5A2B",
    "matched": "#009E73",
    "missed": "#D55E00",
    "false": "#0072B2",
    "found": "#F0E442",
    "kept": "#009E73",
    "lost": "#D55E00",
    "new": "#0072B2",
    "log": "#777777",
    "direct": "#56B4E9",
    "od": "#E69F00",
    "hed": "#F0C419",
    "reinhard": "#CC79A7",
    "macenko": "#882255",
    "cyclegan": "#0072B2",
    "synthetic": "#009E73",
    "selftrained": "#44AA99",
    "ensemble": "#000000",
    "ensemble without log": "#555555",
    "supervised": "#B0B0B0",
    "identity": "#777777",
    "neoplastic": "#D55E00",
    "inflammatory": "#009E73",
    "connective": "#0072B2",
    "dead": "#000000",
    "epithelial": "#E69F00",
    "stroma": "#0072B2",
    "epithelium": "#E69F00",
    "other": "#CC79A7",
}

_RC: Any = {  # matplotlib's stubs list every key of rcParams as a literal
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 14,
    "axes.titlesize": 15,
    "axes.labelsize": 14,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "lines.linewidth": 2.2,
    "savefig.bbox": "tight",
    "figure.constrained_layout.use": True,
}


def colour(name: str) -> str:
    """The one colour of a stain, type, route or outcome; a quiet grey for what has none."""
    return COLOURS.get(name, "#555555")


@contextmanager
def style() -> Iterator[None]:
    """Draw in the course's style inside the block, whatever the reader's own settings.

    Figures made inside travel as values: they are closed at the end, so that no window opens and no notebook shows
    them twice. Those that were open before stay.
    """
    before = set(plt.get_fignums())
    with mpl.rc_context(_RC):
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)


def add_scale_bar(axes: Axes, mpp: float, width_px: int) -> None:
    """Draw a bar of a round number of microns below the image, where it covers no tissue.

    Args:
        axes: shows the image.
        mpp: microns per pixel.
        width_px: width of the image.
    """
    length_um = max((n for n in (2, 5, 10, 20, 50, 100, 200, 500, 1000) if n / mpp < 0.4 * width_px), default=1)
    below = ScaledTranslation(0, -9 / 72, axes.figure.dpi_scale_trans)
    where: Any = {"transform": blended_transform_factory(axes.transData, axes.transAxes) + below, "clip_on": False}
    end = length_um / mpp - 0.5
    axes.add_artist(Line2D([-0.5, end], [0, 0], color="black", linewidth=3.5, solid_capstyle="butt", **where))
    axes.text(end, 0, f" {length_um} µm", va="center", fontsize=11, color="black", **where)
