"""Figures that show numbers: losses, distributions, and the comparison of routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from .style import COLOURS, colour, style

__all__ = [
    "figure_counts",
    "figure_distributions",
    "figure_gains",
    "figure_losses",
    "figure_radius",
    "figure_routes",
    "figure_scores",
    "figure_seeds",
]


def figure_losses(
    history: pd.DataFrame, groups: Mapping[str, Sequence[str]], smooth: int = 15, columns: int | None = None
) -> Figure:
    """Training curves: one panel a group of logged columns, raw values faint, a running median on top.

    Args:
        history: one row a step, as the training returns it.
        groups: title of the panel to the columns that it shows.
        smooth: steps of the running median.
        columns: panels in a row; default all.
    """
    columns = columns or len(groups)
    rows = -(-len(groups) // columns)
    with style():
        figure, panels = plt.subplots(rows, columns, figsize=(5.2 * columns, 3.8 * rows), squeeze=False)
        for axes in panels.flat[len(groups) :]:
            axes.set_axis_off()
        for axes, (title, names) in zip(panels.flat, groups.items(), strict=False):
            present = [name for name in names if name in history]
            for shade, name in zip(sns.color_palette("colorblind", max(len(present), 1)), present, strict=False):
                line = history[name].dropna()
                axes.plot(line.index, line, color=shade, alpha=0.2, linewidth=1)
                axes.plot(line.index, line.rolling(smooth, min_periods=1).median(), color=shade, label=name)
            axes.set(title=title, xlabel="step")
            if present:
                axes.legend()
    return figure


def figure_distributions(values: Mapping[str, np.ndarray], xlabel: str, bins: int = 60, title: str = "") -> Figure:
    """Densities of a quantity in several sets, drawn as steps over the range of the middle 99.8 % of all values."""
    with style():
        figure, axes = plt.subplots(figsize=(7.2, 4))
        pooled = np.concatenate([np.zeros(0), *map(np.ravel, values.values())])
        low, high = np.percentile(pooled, [0.1, 99.9]) if len(pooled) else (0.0, 0.0)
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
        spare = iter(sns.color_palette("colorblind", len(values)))
        for i, (name, sample) in enumerate(values.items()):
            height = np.histogram(np.ravel(sample), edges)[0] / (max(np.size(sample), 1) * np.diff(edges))
            shade = COLOURS.get(name) or next(spare)
            axes.stairs(height, edges, color=shade, label=name, linewidth=2.2, linestyle=("-", "--", "-.", ":")[i % 4])
        axes.set(xlabel=xlabel, ylabel="density", title=title)
        if values:
            axes.legend()
    return figure


def figure_counts(counts: Mapping[str, float], xlabel: str, title: str = "") -> Figure:
    """Horizontal bars of a count by category, the number at the end of each bar.

    >>> figure = figure_counts({"stroma": 12915, "epithelium": 3117}, "nuclei")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['12,915', '3,117']
    """
    with style():
        figure, axes = plt.subplots(figsize=(7.2, 0.42 * len(counts) + 1.4))
        bars = axes.barh(list(counts), list(counts.values()), color=[colour(name) for name in counts])
        axes.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=12)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel, title=title)
        axes.margins(x=0.15)
        axes.locator_params(axis="x", nbins=6)
    return figure


def figure_routes(routes: Mapping[str, Mapping[str, Any]], title: str = "") -> Figure:
    """F1 of each route with its 95 % interval, sorted, precision and recall beside it.

    Args:
        routes: name to a dictionary with f1, f1_ci95, precision and recall (None where not defined).
        title: says data and protocol.
    """
    order = sorted(routes, key=lambda name: routes[name]["f1"] or 0.0, reverse=True)
    with style():
        figure, axes = plt.subplots(figsize=(9, 0.55 * len(order) + 1.9))
        named: set[str] = set()
        for row, name in enumerate(order):
            scores = routes[name]
            f1 = scores["f1"] or 0.0
            low, high = (value if value is not None else f1 for value in scores["f1_ci95"])
            axes.barh(row, f1, color=colour(name), alpha=0.85)
            axes.plot([low, high], [row, row], color="black", linewidth=2, solid_capstyle="butt")
            for key, marker in (("precision", ">"), ("recall", "s")):
                if scores[key] is not None:
                    label = key if key not in named else None
                    named.add(key)
                    axes.scatter(
                        scores[key], row, marker=marker, color="white", edgecolors="black", zorder=3, label=label
                    )
            number = "–" if scores["f1"] is None else f"{f1:.3f}"
            axes.text(1.02, row, number, va="center", transform=axes.get_yaxis_transform())
        axes.set_yticks(range(len(order)), order)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel="F1 with 95 % interval", title=title)
        if named:
            figure.legend(loc="outside lower center", ncols=2)
    return figure


def figure_gains(routes: Mapping[str, Mapping[str, Any]], reference: str, title: str = "") -> Figure:
    """What each route gains over another on the same tiles: difference of F1 with its paired 95 % interval.

    Args:
        routes: name to a dictionary with difference {reference: {f1, ci95}}, as `ensemble.ablate` gives it; those
            without this reference are left out.
        reference: route at zero.
        title: says data and protocol.
    """
    gains = {n: s["difference"][reference] for n, s in routes.items() if reference in s.get("difference", {})}
    order = sorted(gains, key=lambda name: -gains[name]["f1"])
    with style():
        figure, axes = plt.subplots(figsize=(9, 0.5 * len(order) + 1.9))
        axes.axvline(0, color=colour(reference), linewidth=2)
        for row, name in enumerate(order):
            low, high = gains[name]["ci95"]
            axes.plot([low, high], [row, row], color=colour(name), linewidth=4, solid_capstyle="butt")
            axes.plot(gains[name]["f1"], row, "o", color=colour(name), markeredgecolor="black", markersize=9)
            axes.text(1.02, row, f"{gains[name]['f1']:+.3f}", va="center", transform=axes.get_yaxis_transform())
        axes.set_yticks(range(len(order)), order)
        axes.invert_yaxis()
        axes.set(xlabel=f"F1 minus that of {reference}, paired 95 % interval", title=title)
    return figure


def figure_scores(scores: Mapping[str, Mapping[str, float | None]], title: str = "") -> Figure:
    """Horizontal bars of scores in [0, 1], a group a row and a shade a score; the number at the end, – where none is.

    Args:
        scores: name of the row to its scores by name; every row has the same ones.
        title: says data and protocol.
    """
    names = list(next(iter(scores.values()), ()))
    height = 0.8 / max(1, len(names))
    with style():
        figure, axes = plt.subplots(figsize=(9, max(0.5, 0.26 * len(names)) * len(scores) + 1.8))
        for i, (name, shade) in enumerate(zip(names, sns.color_palette("cividis", len(names)), strict=True)):
            values = [row[name] for row in scores.values()]
            bars = axes.barh(
                np.arange(len(scores)) + (i + 0.5) * height - 0.4,
                [0.0 if value is None else value for value in values],
                0.9 * height,
                color=shade,
                label=name,
            )
            axes.bar_label(bars, ["–" if value is None else f"{value:.2f}" for value in values], padding=4, fontsize=12)
        axes.set_yticks(range(len(scores)), list(scores))
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.08), title=title)
        if names:
            figure.legend(loc="outside lower center", ncols=len(names))
    return figure


def figure_seeds(
    runs: Mapping[str, Sequence[float]], references: Mapping[str, float], xlabel: str, title: str = ""
) -> Figure:
    """A dot for every run and a bar at their mean, a row a setting; dashed lines at numbers to compare with.

    Args:
        runs: name of the setting to its score at each seed.
        references: name to a score that has no seeds.
        xlabel: what the score is.
        title: says data and protocol.
    """
    with style():
        figure, axes = plt.subplots(figsize=(10.5, 0.5 * len(runs) + 1.8))
        for row, values in enumerate(runs.values()):
            axes.plot(values, [row] * len(values), "o", color="#0072b2", alpha=0.6, markersize=8)
            axes.plot([np.mean(values)] * 2, [row - 0.32, row + 0.32], color="black", linewidth=3)
        lines = ("--", ":", "-.", (0, (1, 3)), (0, (6, 2, 1, 2, 1, 2)))
        for i, (name, value) in enumerate(sorted(references.items(), key=lambda item: item[1])):
            axes.axvline(value, color=colour(name), linestyle=lines[i % len(lines)], linewidth=2, label=name)
        axes.set_yticks(range(len(runs)), list(runs))
        axes.invert_yaxis()
        axes.set(xlabel=xlabel, title=title)
        if references:
            figure.legend(loc="outside right center")
    return figure


def figure_radius(curves: Mapping[str, Mapping[float, float]], radius_um: float) -> Figure:
    """F1 of each route against the matching radius in microns; the protocol's radius is marked."""
    with style():
        figure, axes = plt.subplots(figsize=(7.2, 4.2))
        for name, curve in curves.items():
            axes.plot(list(curve), list(curve.values()), color=colour(name), marker="o", markersize=4, label=name)
        axes.axvline(radius_um, color="black", linewidth=1, linestyle=":")
        axes.set(xlabel="matching radius (µm)", ylabel="F1", ylim=(0, 1))
        if curves:
            figure.legend(loc="outside right center")
    return figure
