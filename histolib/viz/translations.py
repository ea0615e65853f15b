"""Figures of a translation: before and after, what a discriminator sees, what was lost, and seams of tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from ..imaging import Patch
from .images import show_patch
from .style import colour, style

__all__ = ["figure_criteria", "figure_fields", "figure_marks", "figure_seams", "figure_wipe"]

MARKERS = {"lost": "o", "new": "^", "kept": "s"}
FRAME = "#FFEE33"


def figure_wipe(
    before: Sequence[Patch],
    after: Sequence[Patch],
    border: float = 0.5,
    names: tuple[str, str] = ("before", "after"),
    side: float = 3.4,
) -> Figure:
    """Pictures in a row, each the first patch left of a border and the second right of it.

    Args:
        before, after: patches of one size, pair by pair.
        border: where, as a share of the width: 0 shows the second alone, 1 the first alone.
        names: of the two, on the sides that show them.
        side: of a picture in inches.
    """
    with style():
        figure, grid = plt.subplots(1, len(before), figsize=(side * len(before), side + 0.5), squeeze=False)
        for axes, left, right in zip(grid[0], before, after, strict=True):
            column = round(border * left.image.shape[1])
            joined = np.concatenate([left.image[:, :column], right.image[:, column:]], axis=1)
            show_patch(axes, replace(left, image=joined))
            axes.axvline(column - 0.5, color="black", linewidth=3.5)
            axes.axvline(column - 0.5, color="white", linewidth=1.5)
            for name, place, shown in ((names[0], "left", border > 0), (names[1], "right", border < 1)):
                if shown:
                    axes.set_title(name, loc=place)
    return figure


def figure_fields(
    patches: Mapping[str, Patch],
    scores: Mapping[str, np.ndarray],
    field: tuple[int, int, int],
    cell: tuple[int, int],
) -> Figure:
    """Patches with the square that one score of a discriminator sees, above the maps of all its scores.

    Args:
        patches: by name, at the scale that the discriminator sees.
        scores: (h, w) of each patch: near 1 looks real, near 0 looks translated.
        field: first pixel that score 0 sees (outside of the picture where there is padding), pixels from one score to
            the next, pixels a side.
        cell: row and column of the score that is marked.
    """
    start, jump, size = field
    with style():
        figure, grid = plt.subplots(2, len(patches), figsize=(3.1 * len(patches) + 1, 6.5), squeeze=False)
        for (top, bottom), (name, patch) in zip(grid.T, patches.items(), strict=True):
            show_patch(top, patch, name)
            corner = (start + jump * cell[1] - 0.5, start + jump * cell[0] - 0.5)
            rim = [Stroke(linewidth=5, foreground="black"), Normal()]
            top.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=FRAME, linewidth=2.5, path_effects=rim))
            shown = bottom.imshow(scores[name], "cividis", vmin=0, vmax=1)
            # A frame around the score and its neighbours, so that the score itself can be seen.
            corner = (cell[1] - 1.5, cell[0] - 1.5)
            bottom.add_patch(Rectangle(corner, 3, 3, fill=False, edgecolor=FRAME, linewidth=2.5, path_effects=rim))
            bottom.set_title(f"mean score {scores[name].mean():.2f}")
            bottom.set_axis_off()
        bar = figure.colorbar(shown, ax=list(grid[1]), extend="both", ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["0 translated", "0.5", "1 real"])
    return figure


def figure_marks(
    rows: Mapping[str, Sequence[Patch]],
    marks: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    titles: Sequence[str] = (),
    side: float = 3.4,
) -> Figure:
    """A grid of patches with named points, hollow so that what they mark is seen; one legend for all.

    Args:
        rows: name of the row to its patches.
        marks: name of a row to the points (K, 2) of each of its patches, by name; rows without an entry stay bare.
        titles: stand over the columns.
        side: of a patch in inches.
    """
    columns = max(map(len, rows.values()))
    with style():
        figure, grid = plt.subplots(
            len(rows), columns, figsize=(side * columns + 0.6, (side + 0.35) * len(rows) + 0.3), squeeze=False
        )
        spare = cycle("Dp")
        shapes: dict[str, str] = dict(MARKERS)
        handles: dict[str, Artist] = {}
        for line, (name, patches) in zip(grid, rows.items(), strict=True):
            over = titles if name == next(iter(rows)) else ()
            for axes in line:
                axes.set_axis_off()
            for column, patch in enumerate(patches):
                show_patch(line[column], patch, over[column] if over else "")
                for label, xy in marks.get(name, [{}] * columns)[column].items():
                    xy = np.asarray(xy, float).reshape(-1, 2)
                    looks = {"marker": shapes.setdefault(label, next(spare)), "s": 150, "facecolors": "none"}
                    rim = [Stroke(linewidth=4.0, foreground="white"), Normal()]
                    line[column].scatter(
                        *xy.T, edgecolors=colour(label), linewidths=2.0, label=label, path_effects=rim, **looks
                    )
                handles |= dict(zip(*reversed(line[column].get_legend_handles_labels()), strict=True))
            line[0].text(
                -0.06, 0.5, name, rotation=90, transform=line[0].transAxes, ha="right", va="center", fontsize=14
            )
        if handles:
            figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))
    return figure


def figure_criteria(criteria: Mapping[str, Mapping[int, float]], better: Mapping[str, str]) -> Figure:
    """Scores of one training by step, a panel each, the step that each of them would choose marked by a star.

    Args:
        criteria: name of the score to its values by step.
        better: "higher" or "lower" for each name.
    """
    with style():
        figure, panels = plt.subplots(
            len(criteria), 1, figsize=(8.5, 1.9 * len(criteria) + 0.6), sharex=True, squeeze=False
        )
        for axes, (name, values) in zip(panels[:, 0], criteria.items(), strict=True):
            steps = np.array(list(values))
            heights = np.array(list(values.values()), float)
            axes.plot(steps, heights, "o-", color="black", markersize=6)
            if np.isfinite(heights).any():
                best = int(np.nanargmax(heights) if better[name] == "higher" else np.nanargmin(heights))
                axes.plot(steps[best], heights[best], "*", color="#D55E00", markersize=22, markeredgecolor="white")
                axes.text(1.01, 0.5, f"best at {steps[best]}", transform=axes.transAxes, va="center", color="#D55E00")
            axes.set_title(f"{name} ({better[name]} is better)", loc="left")
            axes.margins(y=0.3)
        panels[-1, 0].set_xlabel("step")
    return figure


def figure_seams(
    strips: Mapping[str, Patch], jumps: Mapping[str, np.ndarray], borders: Mapping[str, Sequence[int]]
) -> Figure:
    """Wide pictures below each other, borders of tiles marked at their edges; how far columns jump, in the last panel.

    Args:
        strips: by name, all of one size.
        jumps: of some of them, the difference (W - 1,) between each column and the one before it, from column 1 on.
        borders: by name, the first column of each tile but the first.
    """
    with style():
        height, width = next(iter(strips.values())).image.shape[:2]
        tall = 10 * height / width + 0.5
        figure, panels = plt.subplots(
            len(strips) + 1, 1, figsize=(10, tall * len(strips) + 2.6), height_ratios=[tall] * len(strips) + [2.6]
        )
        for axes, (name, strip) in zip(panels, strips.items(), strict=False):
            show_patch(axes, strip, bar=name == list(strips)[-1])
            axes.set_title(name, loc="left")
            ends = {"transform": axes.get_xaxis_transform(), "clip_on": False, "color": "#D55E00", "s": 70}
            at = np.array(borders.get(name, ())) - 0.5
            axes.scatter(at, np.full(len(at), 1.04), marker="v", **ends)
        last = panels[-1]
        for (name, values), shade in zip(jumps.items(), sns.color_palette("colorblind", len(jumps)), strict=True):
            last.plot(np.arange(1, width), values, label=name, color=shade, linewidth=1.4)
        for column in sorted({column for name in jumps for column in borders.get(name, ())}):
            last.axvline(column, color="#D55E00", linestyle=":", linewidth=1.2)
        last.set(xlabel="column (px)", ylabel="jump to the\nnext column", xlim=(0, width))
        if jumps:
            last.set_ylim(0, 1.4 * max(values.max() for values in jumps.values()))  # room for the legend
            last.legend(loc="upper right", ncols=len(jumps))
    return figure
