"""How far a pooled F1, or a mean over images, may be off by chance, when neighbouring tiles are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .points import f1_from_counts

__all__ = ["bootstrap_f1", "bootstrap_f1_difference", "bootstrap_mean"]


def bootstrap_f1(counts: np.ndarray, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of a pooled F1, by drawing whole blocks with replacement (percentiles 2.5 and 97.5; Efron 1979).

    Args:
        counts: (tp, fp, fn) summed over each block, (B, 3); a block holds what belongs together: a slide, or
            neighbouring tiles. Weighted counts, as those of `type_counts`, serve as well.
        seed: seed of the draws.
        draws: number of draws.

    Returns:
        low, high; NaN where no draw has anything to count.

    Raises:
        ValueError: `counts` is not (B, 3) with at least one block.

    >>> low, high = bootstrap_f1([[80, 20, 20], [60, 30, 50], [90, 10, 15]])  # tp, fp, fn of three slides
    >>> print(f"{low:.2f} to {high:.2f}")
    0.60 to 0.88
    """
    return _interval(_drawn_f1(counts, seed, draws))


def bootstrap_f1_difference(
    counts: np.ndarray, reference: np.ndarray, seed: int = 0, draws: int = 2000
) -> tuple[float, float]:
    """95 % interval of the difference of two pooled F1 of the same blocks: each draw takes the same ones of both.

    Args:
        counts, reference: (tp, fp, fn) of the blocks, (B, 3), in the same order; the difference is the first's F1 minus
            the second's.
        seed, draws: as of `bootstrap_f1`.

    Raises:
        ValueError: as `bootstrap_f1`, or the numbers of blocks differ.

    >>> mine, other = [[80, 20, 20], [60, 30, 50]], [[70, 20, 30], [55, 30, 55]]
    >>> low, high = bootstrap_f1_difference(mine, other)
    >>> low > 0  # better on each slide, so better on any draw of slides
    True
    """
    if np.shape(counts) != np.shape(reference):
        raise ValueError(
            f"bootstrap_f1_difference: expected the same blocks, found counts of {np.shape(counts)} and "
            f"{np.shape(reference)}"
        )
    return _interval(_drawn_f1(counts, seed, draws) - _drawn_f1(reference, seed, draws))


def _drawn_f1(counts: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Pooled F1 of each draw of blocks, NaN where it has nothing to count."""
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 2 or counts.shape[1] != 3 or not len(counts):
        raise ValueError(
            f"bootstrap_f1: expected counts (tp, fp, fn) of at least one block, (B, 3), found {counts.shape}"
        )
    share = np.full(len(counts), 1 / len(counts))
    times = np.random.default_rng(seed).multinomial(len(counts), share, draws)  # how often each block is drawn
    return f1_from_counts(times @ counts)


def _interval(values: np.ndarray) -> tuple[float, float]:
    if np.isnan(values).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_mean(values: np.ndarray, groups: Sequence[Any], seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of a mean over images, by drawing whole groups with replacement, as `bootstrap_f1`.

    Args:
        values: one for each image, (N,); those that are NaN are left out.
        groups: what each image belongs to (slide, block of neighbouring tiles), (N,).
        seed: seed of the draws.
        draws: number of draws.

    Returns:
        low, high; NaN where there is no value.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    if not known.any():
        return math.nan, math.nan
    block = np.unique(np.asarray(list(groups), str)[known], return_inverse=True)[1]
    table = np.stack([np.bincount(block, values[known]), np.bincount(block)], axis=1)
    times = np.random.default_rng(seed).multinomial(len(table), np.full(len(table), 1 / len(table)), draws)
    total, count = (times @ table).T
    low, high = np.percentile(total / count, [2.5, 97.5])
    return float(low), float(high)
