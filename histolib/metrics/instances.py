"""Scores of a predicted label map against the true one: Dice, AJI, AJI+, and panoptic quality."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["segmentation_scores"]


def segmentation_scores(pred: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Segmentation scores of one image, from one table of overlaps instead of a pass over the image per pair.

    Args:
        pred: predicted instance map, int (H, W), 0 is background, ids need not be contiguous.
        true: annotated instance map, same shape.

    Returns:
        dice of the foregrounds; aji (Kumar et al. 2017, doi 10.1109/TMI.2017.2677499: each true nucleus takes its best
        prediction, which others may take too); aji_plus (the same with a one-to-one assignment, Graham et al. 2019);
        dq, sq, pq with pairs of IoU > 0.5 (Kirillov et al. 2019, doi 10.1109/CVPR.2019.00963).
        Both maps empty: NaN. One of them empty: 0.

    Raises:
        ValueError: the shapes differ, a map is not two-dimensional int, or an id is negative.
    """
    for name, labels in (("pred", pred), ("true", true)):
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{name}: expected an int label map (H, W), found {labels.dtype} {labels.shape}")
        if labels.size and labels.min() < 0:
            raise ValueError(f"{name}: expected ids >= 0, found {labels.min()}")
    if pred.shape != true.shape:
        raise ValueError(f"expected label maps of one shape, found pred {pred.shape} and true {true.shape}")
    names = ("dice", "aji", "aji_plus", "dq", "sq", "pq")
    if not pred.any() or not true.any():
        return dict.fromkeys(names, 0.0 if pred.any() or true.any() else float("nan"))

    pred_area, true_area, i, j, overlap = _overlaps(pred, true)
    union = pred_area[i] + true_area[j] - overlap
    iou = overlap / union

    dice = 2.0 * overlap.sum() / (pred_area.sum() + true_area.sum())
    hit = iou > 0.5  # at most one pair for each nucleus, so no assignment is needed
    dq = 2.0 * hit.sum() / (len(pred_area) + len(true_area))
    sq = float(iou[hit].mean()) if hit.any() else 0.0
    best = _best_per_true(j, iou)
    assigned = _assigned(i, j, iou, len(pred_area), len(true_area))
    return {
        "dice": float(dice),
        "aji": _jaccard(best, i, j, overlap, union, pred_area, true_area),
        "aji_plus": _jaccard(assigned, i, j, overlap, union, pred_area, true_area),
        "dq": float(dq),
        "sq": sq,
        "pq": float(dq * sq),
    }


def _overlaps(pred: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Areas of the predicted and of the true nuclei, and pairs (i, j) that overlap with their overlap in pixels."""
    pred_ids, p = np.unique(pred, return_inverse=True)
    true_ids, t = np.unique(true, return_inverse=True)
    p, t = p.ravel() + (pred_ids[0] != 0), t.ravel() + (true_ids[0] != 0)
    rows, columns = p.max() + 1, t.max() + 1
    pairs, counts = np.unique(p.astype(np.int64) * columns + t, return_counts=True)
    i, j = np.divmod(pairs, columns)
    inside = (i > 0) & (j > 0)
    pred_area, true_area = np.bincount(p, minlength=rows)[1:], np.bincount(t, minlength=columns)[1:]
    return pred_area, true_area, i[inside] - 1, j[inside] - 1, counts[inside]


def _best_per_true(j: np.ndarray, iou: np.ndarray) -> np.ndarray:
    """The pair of highest IoU of each true nucleus that is touched (of equal ones the first prediction)."""
    order = np.lexsort((-iou, j))
    return order[np.r_[True, np.diff(j[order]) > 0]] if len(order) else order


def _assigned(i: np.ndarray, j: np.ndarray, iou: np.ndarray, n_pred: int, n_true: int) -> np.ndarray:
    """The overlapping pairs of a one-to-one assignment of highest total IoU."""
    value = np.zeros((n_pred, n_true))
    value[i, j] = iou
    pair_at = np.full(value.shape, -1)
    pair_at[i, j] = np.arange(len(i))
    chosen = pair_at[linear_sum_assignment(value, maximize=True)]
    return chosen[chosen >= 0]


def _jaccard(
    chosen: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    overlap: np.ndarray,
    union: np.ndarray,
    pred_area: np.ndarray,
    true_area: np.ndarray,
) -> float:
    """Overlaps of the chosen pairs over their unions and the areas of all nuclei that no pair holds."""
    alone_pred = np.delete(pred_area, np.unique(i[chosen])).sum()
    alone_true = np.delete(true_area, np.unique(j[chosen])).sum()
    return float(overlap[chosen].sum() / (union[chosen].sum() + alone_pred + alone_true))
