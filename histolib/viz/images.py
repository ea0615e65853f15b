"""Figures of tissue: grids of patches with points and outlines, maps of a network, stains, before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator

from ..imaging import Patch, separate_stains, summed_density
from .style import COLOURS, NONE, add_legend, add_scale_bar, colours, panels, style, wrapped

Rows = Mapping[str, Sequence[Any]]  # name of a row to something for each patch

CHANNELS = ("image", "hematoxylin", "second stain", "summed density")
LAYERS = ("types", "outlines", "points", "none")
SECOND_STAIN = {"H&E": "eosin", "IHC": "dab"}

# Outcomes differ in shape as well as in colour. Changes of a translation are hollow, so that the nucleus stays visible.
SHAPES = {"matched": "o", "missed": "X", "false": "^", "lost": "o", "new": "^"}
HOLLOW = ("lost", "new")


def figure_patches(
    rows: Rows, titles: Sequence[str] = (), *, title: str = "", points: Rows = NONE, outlines: Rows = NONE
) -> Figure:
    """A grid of patches with scale bars, and with points and outlines on request. One row is wrapped to fill the page.

    Args:
        rows: name of a row, shown on its left, to its patches.
        titles: of the columns; of the patches, if there is one row.
        title: of the figure.
        points: name of a row to one mapping for each patch: name of a set of points to its points (K, 2) in pixels,
            such as `outcomes` returns it.
        outlines: name of a row to one pair for each patch: instance map (H, W), 0 is background, and the type of
            nucleus i at index i - 1, or None to outline all nuclei in the same colour.

    >>> tile = Patch(np.full((40, 40, 3), 200, np.uint8), mpp=0.5)
    >>> len(figure_patches({"IHC": [tile, tile], "H&E": [tile]}).axes)  # two rows of two places
    4
    """
    patches = [patch for row in rows.values() for patch in row]
    same_scale = len({(patch.image.shape, patch.mpp) for patch in patches}) == 1
    columns = best_columns(patches) if len(rows) == 1 else max([1, *map(len, rows.values())])
    places = {r * columns + c: (name, c) for r, (name, row) in enumerate(rows.items()) for c in range(len(row))}
    count = max(len(rows), *(place // columns + 1 for place in places), 1)
    with style():
        figure, grid = panels(count, columns, title, packed=True)
        for place, (name, c) in places.items():
            axes, patch = grid.flat[place], rows[name][c]
            if titles and (place < columns or len(rows) == 1):
                axes.set_title(wrapped(titles[c], image_width(patch, columns, count)))
            axes.imshow(patch.image, interpolation="nearest")
            axes.autoscale(False)
            if not same_scale or place + columns not in places:
                add_scale_bar(axes, patch.mpp, patch.image.shape[1])
            if name in outlines:
                draw_outlines(axes, *outlines[name][c])
            if name in points:
                draw_points(axes, points[name][c])
        for axes, name in zip(grid[:, 0], rows, strict=False):
            axes.text(-0.05, 0.5, name, rotation=90, transform=axes.transAxes, ha="right", va="center")
        add_legend(figure)
    return figure


def outcomes(pred_xy: np.ndarray, true_xy: np.ndarray, pred: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """Matched and false detections and missed annotations, as points for `figure_patches`.

    Args:
        pred_xy, true_xy: detections (P, 2) and annotations (T, 2), in pixels.
        pred, true: indices of the matched detections and annotations, as in `metrics.Match`.
    """
    missed, false = np.delete(true_xy, true, axis=0), np.delete(pred_xy, pred, axis=0)
    return {"matched": pred_xy[pred], "missed": missed, "false": false}


def image_width(patch: Patch, columns: int, rows: int) -> float:
    """Width in inches at which a patch is shown in a grid that fills the figure."""
    return min(12.5 / columns, (6.3 / rows - 0.6) * patch.image.shape[1] / patch.image.shape[0])


def best_columns(patches: Sequence[Patch]) -> int:
    """Number of columns in which the patches are shown largest."""
    count = len(patches)
    return max(range(1, count + 1), key=lambda n: image_width(patches[0], n, -(-count // n)), default=1)


def draw_points(axes: Axes, sets: Mapping[str, np.ndarray]) -> None:
    """Mark named sets of points (K, 2), each in its colour and shape, with a white rim that shows on any stain."""
    shapes = cycle("o^sD")
    for name, shade in colours(sets).items():
        xy = np.asarray(sets[name], float).reshape(-1, 2)
        looks: dict[str, Any] = {"color": shade, "edgecolors": "white", "linewidths": 1.0, "s": 80}
        if name in HOLLOW:
            rim = [Stroke(linewidth=5, foreground="white"), Normal()]
            looks = {"facecolors": "none", "edgecolors": shade, "linewidths": 2.5, "s": 250, "path_effects": rim}
        axes.scatter(*xy.T, marker=SHAPES.get(name) or next(shapes), label=name, **looks)


def draw_outlines(axes: Axes, instances: np.ndarray, types: Sequence[str] | None = None) -> None:
    """Outline each nucleus of an instance map (H, W), in the colour of its type (type of nucleus i at i - 1)."""
    from scipy.ndimage import find_objects
    from skimage.measure import find_contours

    lines, names = [], []
    for i, box in enumerate(find_objects(instances)):
        if box is not None:
            corner = box[1].start - 1, box[0].start - 1
            found = find_contours(np.pad(instances[box] == i + 1, 1).astype(float), 0.5)
            lines += [line[:, ::-1] + corner for line in found]
            names += [types[i] if types is not None else "annotated"] * len(found)
    shades = colours(dict.fromkeys(types if types is not None else names))
    rim = [Stroke(linewidth=4, foreground="black"), Normal()]  # visible on white glass and on brown
    axes.add_collection(LineCollection(lines, colors=[shades[name] for name in names], linewidths=2, path_effects=rim))
    for name in dict.fromkeys(names) if types is not None else ():
        axes.plot([], [], color=shades[name], label=name)


def figure_maps(patch: Patch, maps: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """A patch, then maps of the same size: signed maps in a diverging palette, others in a sequential one.

    Args:
        patch: shown first.
        maps: (H, W) by name; integers are ids of nuclei, each shown in its own colour.
        title: of the figure.
    """
    with style():
        figure = figure_patches({"": [patch] * (len(maps) + 1)}, ["image", *maps], title=title)
        for axes, values in zip(figure.axes[1:], maps.values(), strict=False):
            if np.issubdtype(values.dtype, np.integer):
                palette = mpl.colormaps["tab20"].with_extremes(bad="black")
                axes.images[0].set(data=np.ma.masked_equal(values, 0) % 20, cmap=palette, clim=(0, 19))
            elif values.min() < 0 < values.max():
                show_values(axes, values, "RdBu_r", (-1, 1))
            else:
                show_values(axes, values, "cividis", (0, max(1.0, values.max())))
    return figure


def show_values(axes: Axes, values: np.ndarray, palette: Any, limits: tuple[float, float], **bar: Any) -> None:
    """Replace the image of the axes by values (H, W), with a colour bar."""
    axes.images[0].set(data=values, cmap=palette, clim=limits)
    axes.figure.colorbar(axes.images[0], ax=axes, shrink=0.8, ticks=MaxNLocator(4), **bar)


def figure_before_after(patches: Mapping[str, Patch], border: float = 0.5) -> Figure:
    """Two patches of one size in one picture: the first left of a border, the second right of it.

    Args:
        patches: two, by the name that stands above its side.
        border: its place as a share of the width: 0 shows only the second patch, 1 only the first.
    """
    (first, left), (second, right) = patches.items()
    cut = round(border * left.image.shape[1])
    joined = replace(left, image=np.hstack([left.image[:, :cut], right.image[:, cut:]]))
    with style():
        figure = figure_patches({"": [joined]})
        for shade, width in (("black", 5), ("white", 2)):
            figure.axes[0].axvline(cut - 0.5, color=shade, linewidth=width)
        figure.axes[0].set_title(first if border > 0 else "", loc="left")
        figure.axes[0].set_title(second if border < 1 else "", loc="right")
    return figure


def figure_layers(
    patches: Mapping[str, Patch], channel: str = "image", layer: str = "none", *, xy: np.ndarray | None = None,
    types: Sequence[str] = (), instances: np.ndarray | None = None, title: str = "",
) -> Figure:  # fmt: skip
    """One tile in one or two stains: a channel of the image below, a layer of the annotation above.

    Args:
        patches: by stain, "H&E" or "IHC". The second stain is eosin in H&E and DAB in IHC.
        channel: one of `CHANNELS`: the image, one of its two stains, or its summed optical density.
        layer: one of `LAYERS`: what to draw of the annotation, coloured by type or all alike.
        xy: annotated points (K, 2) in pixels.
        types: name of the type of each point.
        instances: instance map (H, W); its outlines replace the points in layer "types".
        title: of the figure.
    """
    marks: dict[str, Any] = {}
    if instances is not None and layer in ("types", "outlines"):
        marks["outlines"] = {"": [(instances, types if layer == "types" else None)] * len(patches)}
    elif xy is not None and layer != "none":
        sets = {name: np.asarray(xy)[[each == name for each in types]] for name in dict.fromkeys(types)}
        marks["points"] = {"": [sets if layer == "types" else {"annotated": xy}] * len(patches)}
    stains = {name: SECOND_STAIN[name] if channel == "second stain" else channel for name in patches}
    titles = [f"{name}, {stain.replace('dab', 'DAB')}".removesuffix(", image") for name, stain in stains.items()]
    with style():
        figure = figure_patches({"": list(patches.values())}, titles, title=title, **marks)
        for axes, (name, patch) in zip(figure.axes, patches.items(), strict=False) if channel != "image" else ():
            density = summed_density(patch.image)
            if channel != "summed density":
                both = separate_stains(patch.image, "hematoxylin", SECOND_STAIN[name])
                density = both[..., int(channel == "second stain")].clip(0)
            palette = LinearSegmentedColormap.from_list(channel, ["white", COLOURS.get(stains[name], "black")])
            full = max(0.3, float(np.percentile(density[::2, ::2], 99.5)))
            show_values(axes, density, palette, (0, full), extend="max", label="optical density")
    return figure
