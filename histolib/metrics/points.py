"""Scores of detected points against annotated points, by one-to-one matching within a radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["Match", "detection_scores", "match_points", "match_points_then_threshold", "scores_from_counts"]


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
    within reach fall into small groups that share no point; each group is solved exactly, so that memory grows with
    the number of pairs within reach and not with the product of the counts.

    Args:
        pred_xy: predicted points, shape (P, 2).
        true_xy: annotated points, shape (T, 2), same unit.
        radius: largest distance that counts as a hit, same unit, > 0.

    Raises:
        ValueError: a shape is not (K, 2), a coordinate is not finite, or the radius is not positive.
    """
    pred_xy, true_xy = _points(pred_xy, "pred_xy"), _points(true_xy, "true_xy")
    if not radius > 0:
        raise ValueError(f"match_points: expected a radius > 0, found {radius}")
    if not len(pred_xy) or not len(true_xy):
        return Match(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    reach = cKDTree(pred_xy).sparse_distance_matrix(cKDTree(true_xy), radius, output_type="ndarray")
    pred, true, distance = reach["i"].astype(np.int64), reach["j"].astype(np.int64), reach["v"]
    chosen = _assign(pred, true, distance, len(pred_xy), len(true_xy))
    chosen = chosen[np.argsort(pred[chosen])]
    return Match(pred[chosen], true[chosen], distance[chosen])


def _assign(pred: np.ndarray, true: np.ndarray, distance: np.ndarray, n_pred: int, n_true: int) -> np.ndarray:
    """Indices of the edges of a largest matching of least total distance."""
    nodes = n_pred + n_true
    graph = coo_matrix((np.ones(len(pred), bool), (pred, true + n_pred)), shape=(nodes, nodes))
    group = connected_components(graph, directed=False)[1][pred]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
    sizes = np.diff(np.r_[starts, len(order)])
    chosen = [order[starts[sizes == 1]]]
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        edges = order[start : start + size]
        rows, row = np.unique(pred[edges], return_inverse=True)
        columns, column = np.unique(true[edges], return_inverse=True)
        # Every real pair must be worth more than all distances together, so that the count comes before the closeness.
        worth = (1.0 + distance[edges].max()) * (min(len(rows), len(columns)) + 1)
        cost = np.zeros((len(rows), len(columns)))
        cost[row, column] = distance[edges] - worth
        edge_at = np.full(cost.shape, -1)
        edge_at[row, column] = edges
        found = edge_at[linear_sum_assignment(cost)]
        chosen.append(found[found >= 0])
    return np.concatenate(chosen)


def match_points_then_threshold(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> Match:
    """The field's other protocol: least total distance over all points first, then pairs beyond `radius` dropped.

    It may give up a hit to shorten a far pair, so it never finds more than `match_points`; published numbers use it
    (Graham et al. 2019, doi 10.1016/j.media.2019.101563). Arguments as `match_points`; needs P x T memory.
    """
    pred_xy, true_xy = _points(pred_xy, "pred_xy"), _points(true_xy, "true_xy")
    distance = np.linalg.norm(pred_xy[:, None] - true_xy[None], axis=-1)
    pred, true = linear_sum_assignment(distance)
    near = distance[pred, true] <= radius
    return Match(pred[near], true[near], distance[pred, true][near])


def detection_scores(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> dict[str, float]:
    """Counts and scores of one set of detections, by `match_points`; arguments and errors are its own.

    Returns:
        tp, fp, fn (counts), precision, recall, f1, and loc_error, the mean distance of the hits in the points' unit.
        With neither predictions nor annotations the scores are NaN; with only one of them they are 0.
    """
    match = match_points(pred_xy, true_xy, radius)
    hits = len(match.pred)
    scores = scores_from_counts(hits, len(pred_xy) - hits, len(true_xy) - hits)
    return {**scores, "loc_error": float(match.distance.mean()) if hits else float("nan")}


def scores_from_counts(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Precision, recall and F1 from pooled counts (tp, fp, fn), with the counts; NaN where nothing was there."""

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


def _points(xy: np.ndarray, name: str) -> np.ndarray:
    xy = np.asarray(xy, dtype=np.float64)
    if xy.size == 0 and xy.ndim <= 2:
        return np.zeros((0, 2))
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(f"{name}: expected points of shape (K, 2), found {xy.shape}")
    if not np.isfinite(xy).all():
        raise ValueError(f"{name}: expected finite coordinates, found {int((~np.isfinite(xy)).sum())} that are not")
    return xy
