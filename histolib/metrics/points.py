"""Match detected points with annotated points one to one, count hits and errors, and score the counts."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

PAIRS_PER_SOLVE = 2048  # the solver scans all rows repeatedly, so small batches are faster

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True, slots=True)
class Match:
    """One-to-one assignment of predicted to annotated points.

    Attributes:
        pred, true: indices into the predictions (ascending) and the annotations, shape (M,).
        distance: shape (M,), same unit as the points.
    """

    pred: np.ndarray
    true: np.ndarray
    distance: np.ndarray


def match_points(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> Match:
    """Match as many points as possible within `radius`, then minimise the total distance.

    Pairs beyond `radius` are excluded before the assignment, so that no hit is traded for a far pair. Connected groups
    of points are solved separately and exactly. Time and memory grow with the number of pairs within `radius`, not with
    P x T.

    Args:
        pred_xy: predicted points, shape (P, 2).
        true_xy: annotated points, shape (T, 2), same unit.
        radius: largest distance that counts as a hit, same unit, > 0.

    Raises:
        ValueError: a shape is not (K, 2), a coordinate is not finite, or the radius is not positive.

    >>> match = match_points([[0, 0], [3, 0], [50, 50]], [[3, 0], [3, 3]], radius=3.5)
    >>> match.pred.tolist(), match.true.tolist(), match.distance.tolist()
    ([0, 1], [0, 1], [3.0, 3.0])
    """
    pred_xy, true_xy = _checked(pred_xy, true_xy, radius)
    pairs = cKDTree(pred_xy).sparse_distance_matrix(cKDTree(true_xy), radius, output_type="ndarray")
    pred, true, distance = pairs["i"], pairs["j"], pairs["v"]
    # One pair is worth more than all distances together can cost, so the number of pairs has priority.
    worth = min(len(pred_xy), len(true_xy)) + 1.0 - distance / (distance.max(initial=0.0) or 1.0)
    chosen = best_assignment(pred, true, worth)
    chosen = chosen[np.argsort(pred[chosen])]
    return Match(pred[chosen], true[chosen], distance[chosen])


def match_points_then_threshold(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> Match:
    """Assign all points at the least total distance, then drop pairs beyond `radius`; arguments as `match_points`.

    Published HoVer-Net scores use this protocol (Graham et al. 2019, doi 10.1016/j.media.2019.101563, radius 12 px at
    0.25 µm/px). It can give up a hit to shorten a far pair, so it never finds more pairs than `match_points`. The
    distance matrix is dense: 8 bytes x P x T, twice that where P > T.

    >>> pred, true = [[0, 0], [3, 0]], [[3, 0], [3, 3]]
    >>> len(match_points(pred, true, 3.5).pred), len(match_points_then_threshold(pred, true, 3.5).pred)
    (2, 1)
    """
    pred_xy, true_xy = _checked(pred_xy, true_xy, radius)
    distance = cdist(pred_xy, true_xy)
    pred, true = linear_sum_assignment(distance)
    near = distance[pred, true] <= radius
    return Match(pred[near], true[near], distance[pred, true][near])


@dataclass(frozen=True, slots=True)
class PointCounts:
    """Hits and errors of one image, or of several: counts add up (`sum(counts, PointCounts())`).

    Attributes:
        tp, fp, fn: true positives, false positives, false negatives.
        distance_sum: total distance of the hits, in the unit of the points.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    distance_sum: float = 0.0

    @property
    def counts(self) -> tuple[int, int, int]:
        """tp, fp, fn: one row for `f1_from_counts`, `block_sums` and `bootstrap_f1`."""
        return self.tp, self.fp, self.fn

    def __add__(self, other: "PointCounts") -> "PointCounts":
        return PointCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def scores(self) -> dict[str, float]:
        """Scores of `scores_from_counts`, and loc_error, the mean distance of the hits (NaN without hits)."""
        return {**scores_from_counts(*self.counts), "loc_error": self.distance_sum / self.tp if self.tp else math.nan}


def count_points(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float, matcher: Any = match_points) -> PointCounts:
    """Match points and count hits and errors.

    Args:
        pred_xy, true_xy, radius: as `match_points`; scale all three to microns for a distance in microns.
        matcher: `match_points` or `match_points_then_threshold`.
    """
    match = matcher(pred_xy, true_xy, radius)
    hits = len(match.pred)
    return PointCounts(hits, len(pred_xy) - hits, len(true_xy) - hits, float(match.distance.sum()))


def detection_scores(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> dict[str, float]:
    """Counts and scores of one set of detections; arguments and errors as `match_points`.

    Returns:
        tp, fp, fn, precision, recall, f1 (NaN if both sets are empty, 0 if one is), loc_error (mean distance of hits).

    >>> scores = detection_scores([[0, 0], [9, 0], [50, 50]], [[1, 0], [9, 2]], radius=3)
    >>> scores["tp"], scores["fp"], scores["fn"], scores["f1"], scores["loc_error"]
    (2, 1, 0, 0.8, 1.5)
    """
    return count_points(pred_xy, true_xy, radius).scores()


def scores_from_counts(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Precision, recall and F1 from pooled counts, together with the counts; NaN where all counts are 0.

    >>> scores_from_counts(tp=6, fp=2, fn=2)
    {'tp': 6, 'fp': 2, 'fn': 2, 'precision': 0.75, 'recall': 0.75, 'f1': 0.75}
    """

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else 0.0 if tp + fp + fn else math.nan

    rates = {"precision": ratio(tp, tp + fp), "recall": ratio(tp, tp + fn), "f1": ratio(2 * tp, 2 * tp + fp + fn)}
    return {"tp": tp, "fp": fp, "fn": fn, **rates}


def f1_from_counts(counts: np.ndarray) -> np.ndarray:
    """F1 (K,) of each row (tp, fp, fn) of counts (K, 3), which may be weighted; NaN where all counts are 0."""
    tp, fp, fn = np.asarray(counts, np.float64).T
    whole = 2 * tp + fp + fn
    return np.divide(2 * tp, whole, out=np.full_like(tp, np.nan), where=whole > 0)


def keypoint_average_precision(pred_xy: Arrays, scores: Arrays, true_xy: Arrays, sigma: float) -> float:
    """Area under the precision-recall curve, pooled over images and class-agnostic.

    The similarity of two points at distance d is exp(-d^2 / (2 sigma^2)). Matching follows COCO (Lin et al. 2014,
    arXiv:1405.0312): in order of confidence, each prediction takes the nearest free annotation of its image whose
    similarity is at least 0.5. Precision is made non-increasing in recall and summed over all recall points.

    EndoNet's published 0.77 (Ushakov et al. 2023, Informatics 10(4):90, arXiv:2308.11562; sigma 2.98 microns) is the
    mean over two classes' AP (class 2 merged into stroma), averaged over batches of 7 tiles, on 282 + 10 tiles, so the
    two are not comparable.

    Args:
        pred_xy: predicted points of each image, (P_i, 2).
        scores: their confidence, (P_i,), comparable over images; ties keep their order.
        true_xy: annotated points of each image, (T_i, 2), same unit.
        sigma: width of the similarity, same unit, > 0.

    Returns:
        a value in [0, 1]; NaN without annotations.

    >>> found, truth = np.array([[0, 0], [40, 0], [9, 0]]), np.array([[0, 1], [9, 1]])
    >>> round(keypoint_average_precision([found], [np.array([0.9, 0.8, 0.7])], [truth], sigma=3), 3)
    0.833
    """
    reach = sigma * math.sqrt(-2 * math.log(0.5))
    hits, annotated = [], sum(map(len, true_xy))
    for points, confidence, truth in zip(pred_xy, scores, true_xy, strict=True):
        points, truth = (np.asarray(xy, np.float64).reshape(-1, 2) for xy in (points, truth))
        hit, free = np.zeros(len(points), bool), np.ones(len(truth), bool)
        near = cKDTree(truth).query_ball_point(points, reach)
        for i in np.argsort(-np.asarray(confidence, np.float64), kind="stable"):
            if candidates := [j for j in near[i] if free[j]]:
                distance = np.linalg.norm(truth[candidates] - points[i], axis=1)
                free[candidates[int(distance.argmin())]] = False
                hit[i] = True
        hits.append(hit)
    if not annotated:
        return math.nan
    hit = np.concatenate(hits)[np.argsort(-np.concatenate(scores), kind="stable")]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((falling * hit).sum() / annotated)


def best_assignment(row: np.ndarray, column: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Indices of the pairs of a one-to-one assignment of largest total worth; rows and columns may stay unassigned.

    Each connected group of pairs is solved by the sparse Jonker-Volgenant algorithm (Jonker and Volgenant 1987, doi
    10.1007/BF02278710). Every row also gets a dummy column of worth 0, so that a full matching always exists.

    Args:
        row, column: indices of each pair, int (E,); no pair occurs twice.
        worth: worth of each pair, > 0, shape (E,).
    """
    if not len(row):
        return np.zeros(0, np.int64)
    rows = int(row.max()) + 1
    nodes = rows + int(column.max()) + 1
    graph = coo_array((np.ones(len(row), bool), (row, column + rows)), shape=(nodes, nodes))
    group = connected_components(graph, directed=False)[1][row]
    alone = np.bincount(group)[group] == 1
    rest = np.flatnonzero(~alone)
    rest = rest[np.argsort(group[rest], kind="stable")]
    starts = np.flatnonzero(np.diff(group[rest], prepend=-1))
    cuts = starts[np.flatnonzero(np.diff(starts // PAIRS_PER_SOLVE, prepend=0))]
    solved = [edges[_solve(row[edges], column[edges], worth[edges])] for edges in np.split(rest, cuts) if len(edges)]
    return np.concatenate([np.flatnonzero(alone), *solved])


def _solve(row: np.ndarray, column: np.ndarray, worth: np.ndarray) -> np.ndarray:
    (rows, row), (columns, column) = (np.unique(each, return_inverse=True) for each in (row, column))
    own, top = np.arange(len(rows)), worth.max()
    cost = np.concatenate([2.0 * top - worth, np.full(len(rows), 2.0 * top)])  # > 0: the solver drops zeros
    # The solver of SciPy 1.13 accepts 32-bit indices only.
    indices = np.concatenate([row, own]).astype(np.int32), np.concatenate([column, len(columns) + own]).astype(np.int32)
    taken = min_weight_full_bipartite_matching(csr_array((cost, indices), (len(rows), len(columns) + len(rows))))[1]
    return np.flatnonzero(taken[row] == column)


def _checked(pred_xy: np.ndarray, true_xy: np.ndarray, radius: float) -> list[np.ndarray]:
    if not radius > 0:
        raise ValueError(f"expected a radius > 0, found {radius}")
    checked = [np.asarray(xy, np.float64) if np.size(xy) else np.zeros((0, 2)) for xy in (pred_xy, true_xy)]
    for name, xy in zip(("pred_xy", "true_xy"), checked, strict=True):
        if xy.ndim != 2 or xy.shape[1] != 2 or not np.isfinite(xy).all():
            raise ValueError(f"{name}: expected finite points of shape (K, 2), found {xy.dtype} {xy.shape}")
    return checked
