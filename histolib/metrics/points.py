"""Scores of detected points against annotated points, by one-to-one matching within a radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from .assignment import best_assignment

__all__ = [
    "Match",
    "detection_scores",
    "f1_from_counts",
    "match_points",
    "match_points_then_threshold",
    "scores_from_counts",
]

MOST_NEAR_PAIRS = 2**25
MOST_PAIRS = 2**28


@dataclass(frozen=True, slots=True)
class Match:
    """One-to-one assignment of predicted to annotated points.

    Attributes:
        pred: indices into the predictions, shape (M,), ascending.
        true: indices into the annotations, shape (M,).
        distance: shape (M,), same unit as the points.
    """

    pred: np.ndarray
    true: np.ndarray
    distance: np.ndarray


def match_points(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> Match:
    """Pair as many points as possible within `radius`, then as closely as possible.

    Pairs beyond `radius` are excluded before the assignment, so that no hit is traded for a far pair. The pairs
    within reach fall into groups that share no point, and each is solved exactly: time and memory grow with the pairs
    within reach (some 125 bytes each), not with the product of the counts. A crowd, where each point reaches all the
    others, stays exact but costs P x T pairs; beyond 33 million pairs in all (5,800 against 5,800 points at one place)
    it is refused before the memory is asked for.

    Args:
        pred_xy: predicted points, shape (P, 2).
        true_xy: annotated points, shape (T, 2), same unit.
        radius: largest distance that counts as a hit, same unit, > 0.

    Raises:
        ValueError: a shape is not (K, 2), a coordinate is not finite, the radius is not positive, or too many pairs lie
            within it.

    >>> match = match_points([[0, 0], [3, 0], [50, 50]], [[3, 0], [3, 3]], radius=3.5)
    >>> match.pred.tolist(), match.true.tolist(), match.distance.tolist()
    ([0, 1], [0, 1], [3.0, 3.0])
    """
    pred_xy, true_xy = _checked(pred_xy, true_xy, radius, "match_points")
    if not len(pred_xy) or not len(true_xy):
        return Match(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    tree, other = cKDTree(pred_xy), cKDTree(true_xy)
    near = tree.count_neighbors(other, radius)
    if near > MOST_NEAR_PAIRS:
        raise ValueError(
            f"match_points: expected at most {MOST_NEAR_PAIRS:,} pairs within {radius:g}, found {near:,} between "
            f"{len(pred_xy):,} predicted and {len(true_xy):,} annotated points (is the radius in the points' unit?)"
        )
    reach = tree.sparse_distance_matrix(other, radius, output_type="ndarray")
    pred, true, distance = reach["i"].astype(np.int32), reach["j"].astype(np.int32), reach["v"].copy()
    del reach
    # A pair is worth more than all distances together can cost, so that the count comes before the closeness.
    worth = min(len(pred_xy), len(true_xy)) + 1.0 - distance / (distance.max(initial=0.0) or 1.0)
    chosen = best_assignment(pred, true, worth)
    chosen = chosen[np.argsort(pred[chosen])]
    return Match(pred[chosen].astype(np.int64), true[chosen].astype(np.int64), distance[chosen])


def match_points_then_threshold(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> Match:
    """The field's other protocol: least total distance over all points first, then pairs beyond `radius` dropped.

    It may give up a hit to shorten a far pair, so it never finds more than `match_points`; published numbers use it
    (Graham et al. 2019, doi 10.1016/j.media.2019.101563, 12 px at 0.25 µm/px). Arguments as `match_points`.

    Every distance takes part, so memory is P x T (8 bytes each, twice where P > T).

    Raises:
        ValueError: as `match_points`, or P x T is more than 268 million (16,384 against 16,384 points).

    >>> pred, true = [[0, 0], [3, 0]], [[3, 0], [3, 3]]
    >>> len(match_points(pred, true, 3.5).pred), len(match_points_then_threshold(pred, true, 3.5).pred)
    (2, 1)
    """
    pred_xy, true_xy = _checked(pred_xy, true_xy, radius, "match_points_then_threshold")
    if len(pred_xy) * len(true_xy) > MOST_PAIRS:
        raise ValueError(
            f"match_points_then_threshold: expected at most {MOST_PAIRS:,} pairs, found {len(pred_xy):,} predicted x "
            f"{len(true_xy):,} annotated points: score smaller pieces, or use match_points"
        )
    distance = cdist(pred_xy, true_xy)
    pred, true = linear_sum_assignment(distance)
    near = distance[pred, true] <= radius
    return Match(pred[near], true[near], distance[pred, true][near])


def detection_scores(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> dict[str, float]:
    """Counts and scores of one set of detections, by `match_points`; arguments and errors are its own.

    Returns:
        tp, fp, fn (counts), precision, recall, f1, and loc_error, the mean distance of the hits in the points' unit.
        With neither predictions nor annotations the scores are NaN; with only one of them they are 0.

    >>> scores = detection_scores([[0, 0], [9, 0], [50, 50]], [[1, 0], [9, 2]], radius=3)
    >>> scores["tp"], scores["fp"], scores["fn"], scores["f1"], scores["loc_error"]
    (2, 1, 0, 0.8, 1.5)
    """
    match = match_points(pred_xy, true_xy, radius)
    hits = len(match.pred)
    scores = scores_from_counts(hits, len(pred_xy) - hits, len(true_xy) - hits)
    return {**scores, "loc_error": float(match.distance.mean()) if hits else float("nan")}


def scores_from_counts(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Precision, recall and F1 from pooled counts (tp, fp, fn), with the counts; NaN where nothing was there.

    >>> scores_from_counts(tp=6, fp=2, fn=2)
    {'tp': 6, 'fp': 2, 'fn': 2, 'precision': 0.75, 'recall': 0.75, 'f1': 0.75}
    """

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else 0.0 if tp + fp + fn else float("nan")

    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
    }


def f1_from_counts(counts: np.ndarray) -> np.ndarray:
    """F1 (K,) of each row (tp, fp, fn) of counts (K, 3), which may be weighted; NaN where nothing was there."""
    tp, fp, fn = np.asarray(counts, np.float64).T
    whole = 2 * tp + fp + fn
    return np.divide(2 * tp, whole, out=np.full_like(tp, np.nan), where=whole > 0)


def _checked(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float, name: str) -> tuple[np.ndarray, np.ndarray]:
    if not radius > 0:
        raise ValueError(f"{name}: expected a radius > 0, found {radius}")
    return _points(pred_xy, "pred_xy"), _points(true_xy, "true_xy")


def _points(xy: np.ndarray, name: str) -> np.ndarray:
    xy = np.asarray(xy, dtype=np.float64)
    if xy.size == 0 and xy.ndim <= 2:
        return np.zeros((0, 2))
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(f"{name}: expected points of shape (K, 2), found {xy.shape}")
    if not np.isfinite(xy).all():
        raise ValueError(f"{name}: expected finite coordinates, found {int((~np.isfinite(xy)).sum())} that are not")
    return xy
