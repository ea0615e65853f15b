"""Figures of numbers: curves, and scores with intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import COLOURS, NONE, add_legend, colours, panels, style, wrapped

DASHES = ("-", "--", "-.", ":")
SHAPES = ("o", ">", "s", "D", "^", "v")
Scores = Mapping[str, float | tuple[float | None, float | None, float | None] | None]


def figure_curves(
    groups: Mapping[str, pd.DataFrame | Mapping[str, Any]], *, title: str = "", xlabel: str = "step", ylabel: str = "",
    smooth: int = 1,
) -> Figure:  # fmt: skip
    """Named lines in named panels: losses, scores over training, shares over a threshold.

    Args:
        groups: title of a panel to its lines by name. A line is a Series, a mapping of x to y, or an array; columns
            of a DataFrame are lines. NaN is left out.
        title: of the figure.
        xlabel, ylabel: of all panels.
        smooth: window of a running median in points; above 1, the raw values are drawn faintly below it.
    """
    columns = -(-len(groups) // 2) if len(groups) > 3 else len(groups)
    with style():
        figure, grid = panels(-(-len(groups) // max(1, columns)), columns, title)
        for axes in grid.flat[len(groups) :]:
            axes.set_axis_off()
        for axes, (above, lines) in zip(grid.flat, groups.items(), strict=False):
            for i, (name, shade) in enumerate(colours(map(str, lines)).items()):
                line = pd.Series(lines[name], dtype=float).dropna()
                if smooth > 1:
                    axes.plot(line.index, line, color=shade, alpha=0.25, linewidth=1)
                    line = line.rolling(smooth, min_periods=1).median()
                shape = SHAPES[i % 6] if len(line) <= 30 else ""
                axes.plot(line.index, line, DASHES[i % 4], color=shade, marker=shape, markersize=7, label=name)
            axes.set(title=wrapped(above, 12 / columns), xlabel=xlabel, ylabel=ylabel)
            axes.locator_params(nbins=5)
            if len(lines.keys()) > 1:
                add_legend(figure) if len(groups) == 1 else axes.legend()
    return figure


def figure_intervals(
    rows: Mapping[str, Scores], xlabel: str, *, title: str = "", lines: Mapping[str, float] = NONE, number: str = ".3f"
) -> Figure:
    """A dot plot of scores with their intervals, one row for each method; the largest first score is on top.

    Args:
        rows: name of a row to its scores by name, the same in each row. A score is a number, or a tuple (score, low,
            high) with its interval; what is None or NaN is left out, its number is a dash.
        xlabel: the score and its unit; say which interval is drawn.
        title: of the figure.
        lines: name to a score to compare with, drawn as a vertical line.
        number: format of the first score, which is written beside its row.

    >>> figure = figure_intervals({"log": {"F1": (0.8, 0.7, 0.9)}, "od": {"F1": None}}, "F1 with 95 % interval")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.800', '–']
    """
    names = list(next(iter(rows.values()), ()))
    # (rows, scores, 3): score, low and high; a number without interval has three equal values.
    cells = [np.broadcast_to(np.array(row[name], float), 3) for row in rows.values() for name in names]
    table = np.reshape(cells, (len(rows), len(names), 3))
    order = np.argsort(-table[:, :1, 0].ravel(), kind="stable")
    table, y = table[order], np.arange(len(rows))
    with style():
        figure, ((axes,),) = panels(1, 1, title)
        for i, (name, shade) in enumerate(colours(names).items()):
            height, (score, low, high) = y + (i - (len(names) - 1) / 2) * 0.15, table[:, i].T
            ends = np.where(high > low, (low, high), np.nan)
            axes.hlines(height, *ends, color=shade, linewidth=4)
            for end in ends:
                axes.plot(end, height, "|", color=shade, markersize=16, markeredgewidth=3)
            label = name if len(names) > 1 else None
            axes.plot(score, height, SHAPES[i % 6], color=shade, markersize=12, markeredgecolor="black", label=label)
        for i, (name, x) in enumerate(lines.items()):
            axes.axvline(x, color=COLOURS.get(name, "#555555"), linestyle=DASHES[1 + i % 3], label=name, zorder=0)
        for row, first in enumerate(table[:, 0, 0] if names else ()):
            words = format(first, number) if np.isfinite(first) else "–"
            axes.text(1.02, row, words, va="center", transform=axes.get_yaxis_transform())
        if len(names) > 1:
            axes.text(1.02, 1.01, names[0], transform=axes.transAxes)
        axes.set_yticks(y, [list(rows)[i] for i in order])
        axes.set(xlabel=xlabel, ylim=(max(len(rows), 1) - 0.5, -0.5))
        axes.grid(axis="y", color="#DDDDDD")
        add_legend(figure)
    return figure
