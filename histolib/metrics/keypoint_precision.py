"""Average precision of scored points, as keypoint detectors report it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["keypoint_average_precision"]


def keypoint_average_precision(
    pred_xy: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    true_xy: Sequence[np.ndarray],
    sigma: float,
    similarity: float = 0.5,
) -> float:
    """Area under precision against recall over pooled images, points matched by keypoint similarity.

    The similarity of points at distance d is exp(-d^2 / (2 sigma^2)). As for boxes (Lin et al. 2014, arXiv:1405.0312),
    surer predictions choose first, each takes the nearest free annotation above the threshold of its image, and
    precision is made to fall with recall before all its points are summed. EndoNet reports it with a sigma of 2.98
    microns (Naumov et al. 2023, EndoNet).

    Args:
        pred_xy: predicted points of each image, (P_i, 2).
        scores: their confidence, (P_i,), comparable over images; ties keep their order.
        true_xy: annotated points of each image, (T_i, 2), same unit.
        sigma: of the similarity, same unit, > 0.
        similarity: smallest that counts, in (0, 1).

    Returns:
        in [0, 1]; NaN where nothing is annotated.

    Raises:
        ValueError: the sequences differ in length, or sigma or similarity is out of range.

    >>> found, truth = np.array([[0, 0], [40, 0], [9, 0]]), np.array([[0, 1], [9, 1]])
    >>> round(keypoint_average_precision([found], [np.array([0.9, 0.8, 0.7])], [truth], sigma=3), 3)
    0.833
    """
    if not len(pred_xy) == len(scores) == len(true_xy):
        raise ValueError(
            f"keypoint_average_precision: expected as many images of each, found {len(pred_xy)} of predictions, "
            f"{len(scores)} of scores, {len(true_xy)} of annotations"
        )
    if not (sigma > 0 and 0 < similarity < 1):
        raise ValueError(
            f"keypoint_average_precision: expected sigma > 0 and a similarity in (0, 1), found {sigma}, {similarity}"
        )
    reach = sigma * math.sqrt(-2 * math.log(similarity))
    hits, confidences, annotated = [], [], 0
    for points, confidence, truth in zip(pred_xy, scores, true_xy, strict=True):
        points, truth = (np.asarray(xy, np.float64).reshape(-1, 2) for xy in (points, truth))
        confidence = np.asarray(confidence, np.float64)
        order = np.argsort(-confidence, kind="stable")
        annotated += len(truth)
        confidences.append(confidence[order])
        hits.append(_choose(points[order], truth, reach))
    if not annotated:
        return math.nan
    hit = np.concatenate(hits)[np.argsort(-np.concatenate(confidences), kind="stable")]
    found = np.cumsum(hit)
    precision = found / np.arange(1, len(hit) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((falling * hit).sum() / annotated)


def _choose(points: np.ndarray, truth: np.ndarray, reach: float) -> np.ndarray:
    """Whether each point, in its turn, found an annotation nearer than `reach` that was still free."""
    hit = np.zeros(len(points), bool)
    if not len(points) or not len(truth):
        return hit
    free = np.ones(len(truth), bool)
    for i, near in enumerate(cKDTree(truth).query_ball_point(points, reach)):
        candidates = [j for j in near if free[j]]
        if candidates:
            distance = np.linalg.norm(truth[candidates] - points[i], axis=1)
            free[candidates[int(distance.argmin())]] = False
            hit[i] = True
    return hit
