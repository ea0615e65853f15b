"""Percentile bootstrap intervals of a pooled F1 or a mean, resampling whole blocks of dependent images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .points import PointCounts, f1_from_counts


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


def bootstrap_f1(counts: np.ndarray, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of a pooled F1, resampling blocks with replacement (percentiles 2.5 and 97.5; Efron 1979).

    Args:
        counts: (tp, fp, fn) summed over each block, (B, 3), as `block_sums` returns; may be weighted (`type_counts`).
        seed: random seed.
        draws: number of bootstrap samples.

    Returns:
        low, high; NaN where all counts are 0.

    Raises:
        ValueError: `counts` is not (B, 3) with at least one block.

    >>> low, high = bootstrap_f1([[80, 20, 20], [60, 30, 50], [90, 10, 15]])  # tp, fp, fn of three slides
    >>> print(f"{low:.2f} to {high:.2f}")
    0.60 to 0.88
    """
    return _interval(_resampled_f1(counts, seed, draws))


def bootstrap_f1_difference(counts: np.ndarray, reference: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the F1 of `counts` minus the F1 of `reference`; each draw resamples the same blocks of both.

    Args:
        counts, reference: (tp, fp, fn) of the same blocks in the same order, (B, 3).
        seed: random seed.

    Raises:
        ValueError: as `bootstrap_f1`, or the numbers of blocks differ.

    >>> first, second = [[80, 20, 20], [60, 30, 50]], [[70, 20, 30], [55, 30, 55]]
    >>> low, high = bootstrap_f1_difference(first, second)
    >>> low > 0  # better on each slide, so better on every resample
    True
    """
    shapes = np.shape(counts), np.shape(reference)
    if shapes[0] != shapes[1]:
        raise ValueError(f"bootstrap_f1_difference: expected counts of the same blocks, found shapes {shapes}")
    return _interval(_resampled_f1(counts, seed) - _resampled_f1(reference, seed))


def bootstrap_mean(values: np.ndarray, groups: Sequence[Any], seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of a mean over images, resampling whole groups with replacement.

    Args:
        values: value of each image, (N,); NaN values are ignored.
        groups: group of each image (slide, block of neighbouring tiles), (N,).
        seed, draws: as `bootstrap_f1`.

    Returns:
        low, high; NaN without values.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    if not known.any():
        return np.nan, np.nan
    rows = np.stack([values, np.ones(len(values))], axis=1)[known]
    total, count = resampled_sums(block_sums(rows, np.asarray(list(groups), str)[known]), seed, draws).T
    return _interval(total / count)


def _resampled_f1(counts: np.ndarray, seed: int, draws: int = 2000) -> np.ndarray:
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 2 or counts.shape[1] != 3 or not len(counts):
        raise ValueError(f"bootstrap_f1: expected (tp, fp, fn) of at least one block, (B, 3), found {counts.shape}")
    return f1_from_counts(resampled_sums(counts, seed, draws))


def resampled_sums(table: np.ndarray, seed: int, draws: int = 2000) -> np.ndarray:
    """Column sums (draws, C) of a table (B, C) whose rows are resampled with replacement."""
    return np.random.default_rng(seed).multinomial(len(table), np.full(len(table), 1 / len(table)), draws) @ table


def _interval(values: np.ndarray) -> tuple[float, float]:
    if np.isnan(values).all():
        return np.nan, np.nan
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
