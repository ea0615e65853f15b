"""Figures that show tissue: grids of patches with scale bars, nuclei on top, network maps beside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from ..imaging import Patch
from .style import add_scale_bar, colour, style

__all__ = [
    "draw_detections",
    "draw_outlines",
    "draw_points",
    "figure_detections",
    "figure_maps",
    "figure_outlines",
    "figure_patches",
    "figure_points",
    "figure_profile",
    "show_patch",
]

OUTCOMES = ("matched", "missed", "false")


def show_patch(axes: Axes, patch: Patch, title: str = "", bar: bool = True) -> None:
    """Show a patch without ticks, pixel centres at integers, with a scale bar in microns below."""
    axes.imshow(patch.image, interpolation="nearest")
    axes.autoscale(False)
    axes.set_axis_off()
    axes.set(xticks=[], yticks=[])  # even those of hidden axes are laid out, for a third of the time of a figure
    axes.set_title(title)
    if bar:
        add_scale_bar(axes, patch.mpp, patch.image.shape[1])


def draw_points(axes: Axes, xy: np.ndarray, name: str, marker: str = "o", size: float = 40) -> None:
    """Mark points (K, 2) in the colour of `name`, filled and with a white rim so that they show on any stain."""
    xy = np.asarray(xy).reshape(-1, 2)
    axes.scatter(
        xy[:, 0], xy[:, 1], s=size, marker=marker, color=colour(name), edgecolors="white", linewidths=0.8, label=name
    )


def draw_outlines(axes: Axes, instances: np.ndarray, types: Sequence[str] | None = None) -> None:
    """Outline each nucleus of an instance map (H, W), in the colour of its type (name of nucleus i at i - 1)."""
    from scipy.ndimage import find_objects
    from skimage.measure import find_contours

    lines, shades = [], []
    for i, box in enumerate(find_objects(instances)):
        if box is not None:
            corner = box[1].start - 1, box[0].start - 1
            found = find_contours(np.pad(instances[box] == i + 1, 1).astype(float), 0.5)
            lines += [line[:, ::-1] + corner for line in found]
            shades += [colour(types[i]) if types is not None else "#FFEE33"] * len(found)
    rim = [Stroke(linewidth=2.8, foreground="black"), Normal()]  # shows on white glass as on brown
    axes.add_collection(LineCollection(lines, colors=shades, linewidths=1.4, path_effects=rim))


def draw_detections(
    axes: Axes,
    pred_xy: np.ndarray,
    true_xy: np.ndarray,
    matched_pred: np.ndarray,
    matched_true: np.ndarray,
    kinds: Collection[str] = OUTCOMES,
) -> None:
    """Mark matched, missed and false nuclei, told apart by shape as well as by colour.

    Args:
        axes: shows the patch.
        pred_xy: detections (P, 2) in pixels.
        true_xy: annotations (T, 2) in pixels.
        matched_pred: indices of the detections that hit.
        matched_true: indices of the annotations that were hit.
        kinds: which of matched, missed and false are drawn.
    """
    pred_xy, true_xy = (np.asarray(xy, np.float64).reshape(-1, 2) for xy in (pred_xy, true_xy))
    hits, hit = (np.asarray(index, int) for index in (matched_pred, matched_true))
    false, missed = np.delete(pred_xy, hits, axis=0), np.delete(true_xy, hit, axis=0)
    marks = {"matched": (pred_xy[hits], "o", 40), "missed": (missed, "X", 55), "false": (false, "^", 45)}
    for name, (xy, marker, size) in marks.items():
        if name in kinds:
            draw_points(axes, xy, name, marker, size)


def figure_patches(rows: Mapping[str, Sequence[Patch]], titles: Sequence[str] = (), side: float = 2.6) -> Figure:
    """A grid of patches: one row a key, which names it on the left; `titles` stand over the columns.

    >>> tile = Patch(np.full((40, 40, 3), 200, np.uint8), mpp=0.5)
    >>> len(figure_patches({"IHC": [tile, tile], "H&E": [tile]}).axes)  # two rows of two places
    4
    """
    columns = max([1, *map(len, rows.values())])
    with style():
        figure, grid = plt.subplots(
            len(rows), columns, figsize=(side * columns + 0.6, (side + 0.3) * len(rows)), squeeze=False
        )
        for line, (name, patches) in zip(grid, rows.items(), strict=True):
            for column, axes in enumerate(line):
                axes.set_axis_off()
                if column < len(patches):
                    show_patch(axes, patches[column], titles[column] if axes in grid[0] and titles else "")
            line[0].text(
                -0.06, 0.5, name, rotation=90, transform=line[0].transAxes, ha="right", va="center", fontsize=14
            )
    return figure


def figure_points(
    patches: Sequence[Patch], points: Sequence[Mapping[str, np.ndarray]], titles: Sequence[str] = (), side: float = 3.4
) -> Figure:
    """Patches in a row, each with named sets of points (K, 2) in its pixels, a shape a set; one legend for all."""
    with style():
        figure, row = patch_row(patches, titles, side)
        for axes, sets in zip(row, points, strict=True):
            for (name, xy), marker in zip(sets.items(), cycle("o^sD")):
                draw_points(axes, xy, name, marker)
        one_legend(figure, row)
    return figure


def figure_outlines(
    patches: Sequence[Patch],
    instances: Sequence[np.ndarray],
    types: Sequence[Sequence[str]] | None = None,
    titles: Sequence[str] = (),
    side: float = 3.4,
) -> Figure:
    """Patches in a row, each with the outlines of its instance map (H, W), coloured by the names of their types."""
    with style():
        figure, row = patch_row(patches, titles, side)
        for i, axes in enumerate(row):
            draw_outlines(axes, instances[i], None if types is None else types[i])
        if types is not None:
            for name in dict.fromkeys(name for names in types for name in names):
                row[0].plot([], [], color=colour(name), label=name)
            one_legend(figure, row)
    return figure


def figure_detections(
    patches: Mapping[str, Patch],
    detections: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    side: float = 4.0,
    kinds: Collection[str] = OUTCOMES,
) -> Figure:
    """Patches by name in a row, each with what `draw_detections` takes: matched, missed and false nuclei."""
    with style():
        figure, row = patch_row(list(patches.values()), list(patches), side)
        for axes, name in zip(row, patches, strict=True):
            if name in detections:
                draw_detections(axes, *detections[name], kinds)
        one_legend(figure, row)
    return figure


def patch_row(patches: Sequence[Patch], titles: Sequence[str], side: float) -> tuple[Figure, Sequence[Axes]]:
    """A figure with patches in a row, and its axes."""
    figure, grid = plt.subplots(1, len(patches), figsize=(side * len(patches), side + 0.5), squeeze=False)
    for i, (axes, patch) in enumerate(zip(grid[0], patches, strict=True)):
        show_patch(axes, patch, titles[i] if titles else "")
    return figure, list(grid[0])


def one_legend(figure: Figure, row: Sequence[Axes]) -> None:
    """One legend below the row, each name once."""
    handles = {label: handle for axes in row for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))


def figure_maps(patch: Patch, maps: Mapping[str, np.ndarray], columns: int | None = None) -> Figure:
    """A patch before maps of the same size: signed ones in a diverging, others in a sequential palette.

    Args:
        patch: shown first.
        maps: (H, W) by name; integers are ids of nuclei, each in a colour of its own.
        columns: panels in a row; default all.
    """
    columns = columns or len(maps) + 1
    rows = -(-(len(maps) + 1) // columns)
    height = float(np.clip(3.4 * patch.image.shape[0] / patch.image.shape[1], 1.7, 6.8)) + 0.2
    with style():
        figure, grid = plt.subplots(rows, columns, figsize=(3.4 * columns, height * rows), squeeze=False)
        for slot in grid.flat:
            slot.set_axis_off()
        show_patch(grid.flat[0], patch, "image")
        for slot, (name, values) in zip(grid.flat[1:], maps.items(), strict=False):
            slot.set_title(name)
            if np.issubdtype(values.dtype, np.integer):
                palette = plt.get_cmap("tab20").with_extremes(bad="black")
                slot.imshow(np.ma.masked_equal(values, 0) % 20, palette, vmin=0, vmax=19, interpolation="nearest")
                continue
            if values.min() < 0 < values.max():
                looks: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
            else:
                low, high = (0.0, max(1.0, values.max())) if values.min() >= 0 else (values.min(), 0.0)
                looks = {"cmap": "viridis", "vmin": low, "vmax": high}
            figure.colorbar(slot.imshow(values, **looks), ax=slot, shrink=0.75)
    return figure


def figure_profile(values: np.ndarray, instances: np.ndarray, row: int) -> Figure:
    """A signed map (H, W) with one of its rows marked, and the values along that row, nuclei shaded by their ids."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
        left.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
        left.axhline(row, color="black", linestyle="--")
        left.set_axis_off()
        x = np.arange(values.shape[1])
        for i, number in enumerate(np.unique(instances[row][instances[row] > 0])):
            inside = np.flatnonzero(instances[row] == number)
            right.axvspan(inside[0] - 0.5, inside[-1] + 0.5, color="#999999", alpha=(0.25, 0.5)[i % 2], linewidth=0)
            right.text(inside.mean(), 1.12, f"nucleus {number}", ha="center", fontsize=12)
        right.plot(x, values[row], color="black", marker="o", markersize=3, linewidth=1.2)
        right.set(xlabel="x (px)", ylabel="value on the dashed row", ylim=(-1.3, 1.3), xlim=(-0.5, x[-1] + 0.5))
    return figure
