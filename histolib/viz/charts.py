"""Figures of numbers: curves, scores with intervals, distributions, counts."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import BLUE, COLOURS, NONE, VERMILLION, add_legend, colours, panels, style, wrapped

DASHES = ("-", "--", "-.", ":")
SHAPES = ("o", ">", "s", "D", "^", "v")
Scores = Mapping[str, float | tuple[float | None, float | None, float | None] | None]


def figure_curves(
    groups: Mapping[str, pd.DataFrame | Mapping[str, Any]], *, title: str = "", xlabel: str = "step", ylabel: str = "",
    smooth: int = 1, better: Mapping[str, str] = NONE, marks: Mapping[str, float | Sequence[float]] = NONE,
    spans: Mapping[str, tuple[float, float]] = NONE,
) -> Figure:  # fmt: skip
    """Named lines in named panels: losses, scores over training, F1 over the radius, values along a row.

    Args:
        groups: title of a panel to its lines by name. A line is a Series, a mapping of x to y, or an array; columns
            of a DataFrame are lines. NaN is left out.
        title: of the figure.
        xlabel, ylabel: of all panels.
        smooth: window of a running median in points; above 1, the raw values are drawn faintly below it.
        better: title of a panel to "higher" or "lower": its best point is marked by a star.
        marks: name to the x of one or more vertical lines in all panels.
        spans: name to the first and the last x of a shaded range in all panels.
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
                if above in better and len(line):
                    best: Any = line.idxmax() if better[above] == "higher" else line.idxmin()
                    axes.plot(best, line[best], "*", color=VERMILLION, markersize=24, markeredgecolor="white")
                    above = f"{above}: {better[above]} is better, best at {best:g}"
            for i, (name, places) in enumerate(marks.items()):
                for x in np.atleast_1d(places):
                    axes.axvline(x, color="black", linestyle=DASHES[-1 - i % 4], linewidth=1.5, label=name)
            for i, (name, (first, last)) in enumerate(spans.items()):
                axes.axvspan(first, last, color="#999999", alpha=(0.25, 0.5)[i % 2], linewidth=0)
                axes.text((first + last) / 2, 1.01, name, ha="center", transform=axes.get_xaxis_transform())
            axes.set(title=wrapped(above, 12 / columns), xlabel=xlabel, ylabel=ylabel)
            axes.locator_params(nbins=5)
            if len([*lines, *marks]) > 1:
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


def figure_distributions(values: Mapping[str, np.ndarray], xlabel: str, *, title: str = "") -> Figure:
    """Densities of a quantity in several sets, over the range of the middle 99.8 % of all values; n in the legend."""
    with style():
        figure, ((axes,),) = panels(1, 1, title)
        pooled = np.concatenate([np.zeros(0), *map(np.ravel, values.values())])
        low, high = np.percentile(pooled, [0.1, 99.9]) if len(pooled) else (0.0, 0.0)
        edges = np.linspace(low, high if high > low else low + 1, 61)
        for (name, shade), dash in zip(colours(values).items(), cycle(DASHES), strict=False):
            count = np.size(values[name])
            height = np.histogram(np.ravel(values[name]), edges)[0] / (max(count, 1) * np.diff(edges))
            axes.stairs(height, edges, color=shade, ls=dash, linewidth=3, label=f"{name} (n = {count:,})")
        axes.set(xlabel=xlabel, ylabel="density")
        if values:
            axes.legend()
    return figure


def figure_counts(counts: Mapping[str, float], xlabel: str, *, title: str = "") -> Figure:
    """Horizontal bars of a count in each category, with the number at the end of each bar.

    >>> figure = figure_counts({"stroma": 12915, "epithelium": 3117}, "nuclei")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['12,915', '3,117']
    """
    with style():
        figure, ((axes,),) = panels(1, 1, title)
        bars = axes.barh(list(counts), list(counts.values()), 0.6, color=[COLOURS.get(name, BLUE) for name in counts])
        axes.bar_label(bars, fmt="{:,.0f}", padding=6)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.margins(x=0.15)
    return figure
