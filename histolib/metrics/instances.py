"""Scores of a predicted label map against the true one: Dice, AJI, AJI+, and panoptic quality."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from .overlaps import Overlaps, overlaps
from .points import best_assignment

__all__ = ["segmentation_scores"]

MOST_DENSE = 2**24  # cells of a dense assignment (128 MB); beyond, the sparse one


def segmentation_scores(pred: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Segmentation scores of one image, from one table of overlaps instead of a pass over the image per pair.

    Args:
        pred: predicted instance map, int (H, W), 0 is background, ids need not be contiguous.
        true: annotated instance map, same shape.

    Returns:
        dice of the foregrounds; aji (Kumar et al. 2017, doi 10.1109/TMI.2017.2677499: each true nucleus takes its best
        prediction, which others may take too); aji_plus (the same with a one-to-one assignment of largest total IoU,
        Graham et al. 2019, doi 10.1016/j.media.2019.101563); dq, sq, pq with pairs of IoU > 0.5 (Kirillov et al. 2019,
        doi 10.1109/CVPR.2019.00963). Both maps empty: NaN. One of them empty: 0.

        Ties fall as in HoVer-Net's published code, which ranks by shared / (union + 1e-6): of pairs of equal IoU the
        larger wins, then the first id. That code also adds 1e-6 to the count below sq, so its sq and pq are smaller by
        less than 1e-6; here they are as defined.

    Raises:
        ValueError: the shapes differ, a map is not two-dimensional int, or an id is negative.

    >>> true = np.zeros((10, 10), int)
    >>> true[2:6, 2:6] = 1
    >>> scores = segmentation_scores(np.roll(true, 1, axis=1), true)  # one pixel to the right
    >>> scores["dice"], scores["aji"], scores["pq"]
    (0.75, 0.6, 0.6)
    """
    table = overlaps(pred, true)
    n_pred, n_true = len(table.pred_area), len(table.true_area)
    if not n_pred or not n_true:
        names = ("dice", "aji", "aji_plus", "dq", "sq", "pq")
        return dict.fromkeys(names, 0.0 if n_pred or n_true else float("nan"))
    hit, union = table.hit, table.union
    dq = 2.0 * hit.sum() / (n_pred + n_true)
    sq = float((table.shared[hit] / union[hit]).mean()) if hit.any() else 0.0
    rank = table.shared / (union + 1e-6)
    return {
        "dice": float(2.0 * table.shared.sum() / (table.pred_area.sum() + table.true_area.sum())),
        "aji": _jaccard(table, _best_per_true(table, rank)),
        "aji_plus": _jaccard(table, _assigned(table, rank)),
        "dq": float(dq),
        "sq": sq,
        "pq": float(dq * sq),
    }


def _best_per_true(table: Overlaps, rank: np.ndarray) -> np.ndarray:
    """The pair of highest rank of each true nucleus that is touched (of equal ones the first prediction)."""
    order = np.lexsort((-rank, table.true))
    return order[np.flatnonzero(np.diff(table.true[order], prepend=-1))]


def _assigned(table: Overlaps, rank: np.ndarray) -> np.ndarray:
    """The overlapping pairs of a one-to-one assignment of highest total rank."""
    shape = len(table.true_area), len(table.pred_area)
    if shape[0] * shape[1] > MOST_DENSE:
        return best_assignment(table.pred, table.true, rank)
    value = np.zeros(shape)  # true nuclei in rows: of several best assignments the published code's is taken
    value[table.true, table.pred] = rank
    partner = np.full(shape[0], -1)
    rows, columns = linear_sum_assignment(value, maximize=True)
    partner[rows] = columns
    return np.flatnonzero(partner[table.true] == table.pred)


def _jaccard(table: Overlaps, chosen: np.ndarray) -> float:
    """Shared pixels of the chosen pairs over their unions and the areas of all nuclei that no pair holds."""
    alone_pred = np.delete(table.pred_area, np.unique(table.pred[chosen])).sum()
    alone_true = np.delete(table.true_area, np.unique(table.true[chosen])).sum()
    return float(table.shared[chosen].sum() / (table.union[chosen].sum() + alone_pred + alone_true))
