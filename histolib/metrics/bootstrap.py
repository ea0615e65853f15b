"""How far a pooled F1 may be off by chance, when neighbouring tiles are alike."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["bootstrap_f1"]


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
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 2 or counts.shape[1] != 3 or not len(counts):
        raise ValueError(
            f"bootstrap_f1: expected counts (tp, fp, fn) of at least one block, (B, 3), found {counts.shape}"
        )
    share = np.full(len(counts), 1 / len(counts))
    times = np.random.default_rng(seed).multinomial(len(counts), share, draws)  # how often each block is drawn
    tp, fp, fn = (times @ counts).T
    whole = 2 * tp + fp + fn
    f1 = np.divide(2 * tp, whole, out=np.full_like(tp, np.nan), where=whole > 0)
    if np.isnan(f1).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(f1, [2.5, 97.5])
    return float(low), float(high)
