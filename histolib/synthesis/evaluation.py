"""Scores of classifiers with intervals, and quality of generated crops: arrays in, numbers out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from ..metrics.bootstrap import block_sums, resampled_sums

BINS = 10  # of equal width, for the calibration error
Scores = dict[str, Any]
PERCENTILES = (2.5, 97.5)


def classification_scores(
    probabilities: np.ndarray, labels: np.ndarray, blocks: Sequence[Any], types: Sequence[str], seed: int = 0
) -> Scores:
    """Scores of a classifier with 95 % intervals that resample whole blocks (`metrics.bootstrap`).

    Macro-F1 and balanced accuracy are means over the types of F1 and of recall; a type without annotated nuclei is
    left out of both. The calibration error is the mean difference between confidence and accuracy over 10 bins of
    confidence, weighted by their nuclei (Guo et al. 2017, arXiv:1706.04599).

    Args:
        probabilities: (N, C), N >= 1.
        labels: annotated type of each nucleus, int (N,), 0 <= label < C.
        blocks: block of each nucleus (slide, patient, image), (N,).
        types: names of the C types.
        seed: random seed of the bootstrap; equal seeds and blocks resample the same blocks.

    Returns:
        macro_f1, balanced_accuracy, calibration_error, and for each type "recall of TYPE": (value, low, high);
        confusion: int (C, C), annotated type by predicted type; n: number of nuclei by type; draws: the resampled
        values of all scores, (2000,) each.

    Raises:
        ValueError: there is no nucleus, or shapes or labels do not fit.
    """
    count = len(labels)
    if not count or probabilities.shape != (count, len(types)) or len(blocks) != count:
        found = f"{probabilities.shape}, {count} labels, {len(blocks)} blocks"
        raise ValueError(
            f"expected probabilities (N, {len(types)}), N >= 1, with labels and blocks (N,), found {found}"
        )
    if not 0 <= labels.min() <= labels.max() < len(types):
        raise ValueError(f"expected labels 0 to {len(types) - 1}, found {labels.min()} to {labels.max()}")
    table = block_sums(_rows(probabilities, labels), list(map(str, blocks)))
    total, draws = _scores(table.sum(0)[None], types), _scores(resampled_sums(table, seed), types)

    def interval(value: np.ndarray, spread: np.ndarray) -> tuple[float, float, float]:
        ends = np.nanpercentile(spread, PERCENTILES) if np.isfinite(spread).any() else (np.nan, np.nan)
        return float(value), float(ends[0]), float(ends[1])

    confusion = table.sum(0)[: len(types) ** 2].reshape(len(types), -1).astype(int)
    return {
        **{name: interval(total[name][0], draws[name]) for name in draws},
        "confusion": confusion,
        "n": dict(zip(types, confusion.sum(1).tolist(), strict=True)),
        "draws": draws,
    }  # fmt: skip


def pooled(results: Sequence[Scores], name: str, against: Sequence[Scores] = ()) -> tuple[float, float, float]:
    """Mean of a score over seeds, and the 95 % interval over blocks and seeds together.

    Args:
        results: one `classification_scores` for each training seed, on the same nuclei, blocks and bootstrap seed.
        name: a score of `classification_scores`.
        against: results of another arm with the same seeds; the paired difference is returned.
    """
    draws, value = [one["draws"][name] for one in results], np.mean([one[name][0] for one in results])
    if against:
        draws = [mine - other["draws"][name] for mine, other in zip(draws, against, strict=True)]
        value -= np.mean([one[name][0] for one in against])
    low, high = np.nanpercentile(np.concatenate(draws), PERCENTILES)
    return float(value), float(low), float(high)


def precision_recall(real: np.ndarray, fake: np.ndarray, neighbours: int = 3) -> tuple[float, float]:
    """Precision and recall of generated samples (Kynkäänniemi et al. 2019, arXiv:1904.06991).

    A set covers the balls around its features that reach to the k-th nearest feature of the same set. Precision is the
    share of generated features that the real set covers (are they realistic?), recall the share of real features that
    the generated set covers (is all variety generated?).

    Args:
        real, fake: features (N, D) and (M, D), more than `neighbours` each.
        neighbours: k.

    Raises:
        ValueError: the shapes do not fit.

    >>> features = np.random.default_rng(0).normal(size=(50, 4))
    >>> precision_recall(features, features[:25]), precision_recall(features, features + 100)
    ((1.0, 0.96), (0.0, 0.0))
    """
    fits = real.ndim == fake.ndim == 2 and real.shape[1:] == fake.shape[1:]
    if not fits or min(len(real), len(fake)) <= neighbours:
        raise ValueError(
            f"expected more than {neighbours} features (N, D) in each set, found {real.shape}, {fake.shape}"
        )
    between = cdist(real, fake)
    reach_real, reach_fake = (np.sort(cdist(each, each), axis=1)[:, neighbours] for each in (real, fake))
    precision = (between <= reach_real[:, None]).any(axis=0).mean()
    return float(precision), float((between <= reach_fake).any(axis=1).mean())


def nearest(images: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most similar image of another set, in any of its eight orientations, to detect memorised images.

    Args:
        images: uint8 (N, H, H, 3).
        among: uint8 (M, H, H, 3), M >= 1.

    Returns:
        position in `among` (N,), and root mean square difference of the grey values (N,).

    Raises:
        ValueError: `among` is empty, or the sizes differ.
    """
    if not len(among) or images.shape[1:] != among.shape[1:]:
        raise ValueError(f"expected images to compare with of shape (M, {images.shape[1:]}), found {among.shape}")
    flat = images.reshape(len(images), among[0].size).astype(np.float32)
    best, position = np.full(len(images), np.inf), np.zeros(len(images), np.int64)
    for mirrored in (among, among[:, :, ::-1]):
        for turns in range(4):
            turned = np.rot90(mirrored, turns, axes=(1, 2)).reshape(len(among), -1).astype(np.float32)
            squared = (flat**2).sum(1)[:, None] + (turned**2).sum(1) - 2 * flat @ turned.T
            closer = squared.min(1) < best
            position, best = np.where(closer, squared.argmin(1), position), np.minimum(squared.min(1), best)
    return position, np.sqrt(np.maximum(best, 0) / flat.shape[1])


def _rows(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """One row for each nucleus: flat confusion (C * C), then confidence minus hit of its bin (BINS)."""
    number, types = probabilities.shape
    called, confidence = probabilities.argmax(1), probabilities.max(1)
    table, each = np.zeros((number, types**2 + BINS)), np.arange(number)
    table[each, labels * types + called] = 1
    place = types**2 + np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    table[each, place] = confidence - (called == labels)
    return table


def _scores(sums: np.ndarray, types: Sequence[str]) -> dict[str, np.ndarray]:
    """Scores (R,) of summed rows (R, C * C + BINS)."""
    count = len(types)
    confusion = sums[:, : count**2].reshape(-1, count, count)
    hits, true, called = confusion.diagonal(axis1=1, axis2=2), confusion.sum(2), confusion.sum(1)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a type that is not annotated
        recall, f1 = hits / true, np.where(true > 0, 2 * hits / (true + called), np.nan)
    gaps = np.abs(sums[:, count**2 :]).sum(1) / true.sum(1)
    means = {"macro_f1": np.nanmean(f1, axis=1), "balanced_accuracy": np.nanmean(recall, axis=1)}
    return {**means, "calibration_error": gaps, **{f"recall of {n}": recall[:, i] for i, n in enumerate(types)}}
