"""Percentile bootstrap intervals of a pooled F1 or a mean, resampling whole blocks of dependent images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .points import PointCounts, f1_from_counts

DRAWS = 2000


def block_sums(counts: np.ndarray, blocks: Sequence[Any]) -> np.ndarray:
    """Sum the rows of each block.

    Args:
        counts: one row per image, such as (tp, fp, fn), (N, C).
        blocks: block of each image (slide, group of neighbouring tiles), (N,).

    Returns:
        float64 (B, C), in ascending order of the blocks.
    """
    counts = np.asarray(counts, np.float64)
    names, block = np.unique(blocks, return_inverse=True)
    table = np.zeros((len(names), *counts.shape[1:]))
    np.add.at(table, block, counts)
    return table


def pooled_scores(counts: Sequence[PointCounts], blocks: Sequence[Any], seed: int = 0) -> dict[str, Any]:
    """Detection scores of the pooled counts of images, with the bootstrap interval of F1.

    Args:
        counts: hits and errors of each image, at least one.
        blocks: block of each image, as `block_sums`.
        seed: as `bootstrap_f1`.

    Returns:
        precision, recall, f1, f1_ci95 (a list), n_true, n_pred.

    >>> pooled_scores([PointCounts(8, 2, 2), PointCounts(8, 2, 2)], ["a", "b"])
    {'precision': 0.8, 'recall': 0.8, 'f1': 0.8, 'f1_ci95': [0.8, 0.8], 'n_true': 20, 'n_pred': 20}
    """
    total = sum(counts, PointCounts())
    scores = {name: value for name, value in total.scores().items() if name in ("precision", "recall", "f1")}
    interval = bootstrap_f1(block_sums(np.array([image.counts for image in counts]), blocks), seed)
    return scores | {"f1_ci95": [*interval], "n_true": total.tp + total.fn, "n_pred": total.tp + total.fp}


def bootstrap_f1(counts: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a pooled F1, resampling blocks with replacement (percentiles 2.5 and 97.5; Efron 1979).

    Args:
        counts: (tp, fp, fn) summed over each block, (B, 3), as `block_sums` returns; may be weighted (`type_counts`).
        seed: random seed.

    Returns:
        low, high; NaN where all counts are 0.

    >>> low, high = bootstrap_f1([[80, 20, 20], [60, 30, 50], [90, 10, 15]])  # tp, fp, fn of three slides
    >>> print(f"{low:.2f} to {high:.2f}")
    0.60 to 0.88
    """
    return _interval(f1_from_counts(resampled_sums(counts, seed)))


def bootstrap_f1_difference(counts: np.ndarray, reference: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the F1 of `counts` minus the F1 of `reference`; each draw resamples the same blocks of both.

    Args:
        counts, reference: (tp, fp, fn) of the same blocks in the same order, (B, 3).
        seed: random seed.

    Raises:
        ValueError: the numbers of blocks differ.

    >>> first, second = [[80, 20, 20], [60, 30, 50]], [[70, 20, 30], [55, 30, 55]]
    >>> low, high = bootstrap_f1_difference(first, second)
    >>> low > 0  # better on each slide, so better on every resample
    True
    """
    sums = resampled_sums(np.hstack([counts, reference]), seed)
    return _interval(f1_from_counts(sums[:, :3]) - f1_from_counts(sums[:, 3:]))


def bootstrap_mean(values: np.ndarray, groups: Sequence[Any], seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean over images, resampling whole groups with replacement.

    Args:
        values: value of each image, (N,); NaN values are ignored.
        groups: group of each image (slide, block of neighbouring tiles), (N,).
        seed: random seed.

    Returns:
        low, high; NaN without values.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    if not known.any():
        return np.nan, np.nan
    rows = np.stack([values, np.ones(len(values))], axis=1)[known]
    total, count = resampled_sums(block_sums(rows, np.asarray(groups, str)[known]), seed).T
    return _interval(total / count)


def resampled_sums(table: np.ndarray, seed: int) -> np.ndarray:
    """Column sums (DRAWS, C) of a table (B, C) whose rows are resampled with replacement."""
    return np.random.default_rng(seed).multinomial(len(table), np.full(len(table), 1 / len(table)), DRAWS) @ table


def _interval(values: np.ndarray) -> tuple[float, float]:
    if np.isnan(values).all():
        return np.nan, np.nan
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
