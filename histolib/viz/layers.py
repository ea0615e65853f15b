"""One tile, looked at closely: layer by layer, and what was found beside what was annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..imaging import Patch, separate_stains, summed_density
from .images import draw_outlines, draw_points, figure_outlines, one_legend, patch_row
from .style import colour, style

__all__ = ["CHANNELS", "LAYERS", "figure_layers", "figure_matches"]

CHANNELS = ("image", "hematoxylin", "second stain", "summed density")
LAYERS = ("types", "outlines", "points", "none")
SECOND_STAIN = {"H&E": "eosin", "IHC": "dab"}


def figure_layers(
    patches: Mapping[str, Patch],
    channel: str = "image",
    layer: str = "none",
    xy: np.ndarray | None = None,
    types: Sequence[str] = (),
    instances: np.ndarray | None = None,
    title: str = "",
    side: float = 5.0,
) -> Figure:
    """One tile in one stain or two, layer by layer: what was stained below, what was annotated above.

    Args:
        patches: by stain, "H&E" or "IHC": eosin is the second stain of one, DAB of the other.
        channel: one of `CHANNELS`: the picture, one of its two stains, or its summed optical density.
        layer: one of `LAYERS`: what is drawn of the annotation, coloured by type or all alike.
        xy: annotated points (K, 2) in pixels.
        types: name of the type of each point.
        instances: int (H, W), outlines to draw instead of points where the layer asks for types.
        title: stands above, after the name of the stain.
        side: of a patch in inches.

    Raises:
        ValueError: there is no such channel or layer, or it needs what is not given.
    """
    for name, known, value in (("channel", CHANNELS, channel), ("layer", LAYERS, layer)):
        if value not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, found {value!r}")
    needed = "instances" if layer == "outlines" else "xy"
    if layer != "none" and {"instances": instances, "xy": xy}[needed] is None:
        raise ValueError(f"layer {layer}: expected {needed}, found none")
    with style():
        figure, row = patch_row(list(patches.values()), [], side)
        if channel != "image":
            figure.set_figwidth(figure.get_figwidth() + 1.1 * len(row))  # room for the bars
        for axes, (stain, patch) in zip(row, patches.items(), strict=True):
            shown = SECOND_STAIN[stain] if channel == "second stain" else channel
            if channel != "image":
                _show_density(axes, patch.image, SECOND_STAIN[stain], shown)
            words = stain, title, {"image": "", "dab": "DAB"}.get(shown, shown)
            axes.set_title(", ".join(filter(None, words)))
            if instances is not None and layer in ("types", "outlines"):
                draw_outlines(axes, instances, types if layer == "types" else None)
                for name in dict.fromkeys(types) if layer == "types" else ():
                    axes.plot([], [], color=colour(name), label=name)
            elif xy is not None and layer == "types":
                for name, marker in zip(dict.fromkeys(types), cycle("o^sD"), strict=False):
                    draw_points(axes, np.asarray(xy)[[each == name for each in types]], name, marker)
            elif xy is not None and layer == "points":
                draw_points(axes, xy, "annotated")
        one_legend(figure, row)
    return figure


def _show_density(axes: Axes, image: np.ndarray, second: str, shown: str) -> None:
    """Put the optical density of a stain in the picture's place, in shades of its colour; of all stains, in grey."""
    if shown == "summed density":
        density, shade = summed_density(image), "black"
    else:
        density = separate_stains(image, "hematoxylin", second)[..., int(shown == second)].clip(0)
        shade = colour(shown)
    palette = LinearSegmentedColormap.from_list(shown, ["white", shade])
    full = max(0.3, float(np.percentile(density[::2, ::2], 99.5)))
    axes.images[0].set(data=density, cmap=palette, clim=(0, full))
    bar = axes.figure.colorbar(axes.images[0], ax=axes, shrink=0.8, extend="max", ticks=MaxNLocator(4))
    bar.set_label("optical density")


def figure_matches(
    patch: Patch,
    found: np.ndarray,
    true: np.ndarray,
    hits: Sequence[int],
    hit: Sequence[int],
    titles: tuple[str, str],
    side: float = 5.0,
) -> Figure:
    """Nuclei that were found beside those that are annotated, outlined as matched, false or missed.

    Args:
        patch: below both.
        found, true: ids of nuclei, int (H, W), 0 is background.
        hits: ids of the found nuclei that have a partner.
        hit: ids of the annotated nuclei that have one.
        titles: over the found and over the annotated ones.
        side: of a patch in inches.
    """
    maps, names = [], []
    for ids, partnered, alone in ((found, hits, "false"), (true, hit, "missed")):
        there = np.unique(np.append(ids, 0))  # ids may have gaps
        maps.append(np.searchsorted(there, ids))
        names.append(["matched" if number in set(partnered) else alone for number in there[1:]])
    return figure_outlines([patch, patch], maps, names, titles, side)
