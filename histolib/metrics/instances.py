"""Scores of a predicted label map against the annotated one: Dice, AJI, panoptic quality, PanNuke's averages.

One table of overlaps serves all scores, so the cost does not grow with the number of nuclei times the image size.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array


def segmentation_scores(pred: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Segmentation scores of one image.

    Args:
        pred: predicted label map, int (H, W), 0 is background, ids need not be contiguous.
        true: annotated label map, same shape.

    Returns:
        dice: Dice coefficient of the foregrounds. aji: each annotated nucleus takes its best prediction, which others
        may take too (Kumar et al. 2017, doi 10.1109/TMI.2017.2677499). dq, sq, pq: detection, segmentation and panoptic
        quality with pairs of IoU > 0.5 (Kirillov et al. 2019, doi 10.1109/CVPR.2019.00963). All NaN if both maps are
        empty, all 0 if one is.

        Ties follow HoVer-Net's published code, which ranks by shared / (union + 1e-6): among pairs of equal IoU the
        larger wins, then the first id. That code also adds 1e-6 to the denominator of sq, so its sq and pq are smaller
        by less than 1e-6.

    Raises:
        ValueError: the shapes differ, a map is not two-dimensional int, or an id is negative.

    >>> true = np.zeros((10, 10), int)
    >>> true[2:6, 2:6] = 1
    >>> scores = segmentation_scores(np.roll(true, 1, axis=1), true)  # shifted one pixel to the right
    >>> scores["dice"], scores["aji"], scores["pq"]
    (0.75, 0.6, 0.6)
    """
    pred_area, true_area, pairs = overlaps(pred, true)
    n_pred, n_true = len(pred_area), len(true_area)
    if not n_pred or not n_true:
        return dict.fromkeys(("dice", "aji", "dq", "sq", "pq"), 0.0 if n_pred or n_true else np.nan)
    dice = float(2.0 * pairs["shared"].sum() / (pred_area.sum() + true_area.sum()))
    iou = pairs["iou"].to_numpy()[pairs["hit"]]
    dq, sq = float(2.0 * len(iou) / (n_pred + n_true)), float(iou.mean()) if len(iou) else 0.0
    rank = pairs["shared"] / (pairs["union"] + 1e-6)
    best = pairs.loc[rank.groupby(pairs["true"]).idxmax()]  # of equal ranks, the first prediction
    alone = [np.delete(pred_area, best["pred"].unique()), np.delete(true_area, best["true"].unique())]
    aji = float(best["shared"].sum() / (best["union"].sum() + np.concatenate(alone).sum()))
    return {"dice": dice, "aji": aji, "dq": dq, "sq": sq, "pq": dq * sq}


def typed_quality(
    pred: np.ndarray, pred_types: np.ndarray, true: np.ndarray, true_types: np.ndarray, num_types: int
) -> np.ndarray:
    """Panoptic quality of one image, over all nuclei and for each type.

    PQ is the summed IoU of pairs with IoU > 0.5, divided by half the number of predicted and annotated nuclei (Kirillov
    et al. 2019, doi 10.1109/CVPR.2019.00963). The PQ of a type considers only nuclei of that type in both maps. Nuclei
    of type 0 (untyped) count among all nuclei only.

    A value is NaN if the annotation lacks the type (index 0: has no nucleus), whatever was predicted, because PanNuke's
    published evaluation skips such images (Gamper et al. 2020, arXiv:2003.10778). It is 0 if the annotation has the
    type and no prediction matches. That evaluation divides by a count + 1e-6, so its values are smaller by less than
    1e-6.

    Args:
        pred: predicted label map, int (H, W), 0 is background.
        pred_types: type of each predicted nucleus in ascending order of the ids, int (P,), 0 <= type < num_types.
        true: annotated label map, same shape.
        true_types: type of each annotated nucleus, in the same way, (T,).
        num_types: number of types including the background: 6 for PanNuke.

    Returns:
        PQ, float (num_types,): index 0 for all nuclei (PanNuke's binary PQ), index t for type t.

    Raises:
        ValueError: as `segmentation_scores`, or the types do not fit the nuclei.
    """
    pred_area, true_area, pairs = overlaps(pred, true)
    pred_types = check_types(pred_types, len(pred_area), num_types, "pred_types")
    true_types = check_types(true_types, len(true_area), num_types, "true_types")
    hits = pairs[pairs["hit"]]
    iou, kind = hits["iou"].to_numpy(), pred_types[hits["pred"]]
    same = kind == true_types[hits["true"]]
    total = np.bincount(kind[same], iou[same], num_types).astype(np.float64)  # bincount of nothing is int
    n_pred, n_true = (np.bincount(types, minlength=num_types) for types in (pred_types, true_types))
    total[0], n_pred[0], n_true[0] = iou.sum(), len(pred_types), len(true_types)
    return np.divide(2.0 * total, n_pred + n_true, out=np.full(num_types, np.nan), where=n_true > 0)


def pannuke_scores(quality: np.ndarray, tissues: Sequence[str]) -> dict[str, Any]:
    """PanNuke's mPQ and bPQ, averaged as in its published evaluation (Gamper et al. 2020, arXiv:2003.10778).

    The mPQ of an image is the mean over its types, that of a tissue the mean over its images, the overall mPQ the
    unweighted mean over tissues. bPQ averages the PQ of all nuclei in the same way. Means ignore NaN, and the mean of
    no values is NaN, so images without annotated nuclei do not count.

    Args:
        quality: `typed_quality` of each image, (N, num_types).
        tissues: tissue of each image, (N,).

    Returns:
        mpq, bpq; per_type: list of the mean PQ over all images, for types 1 to num_types - 1.
    """
    types = pd.DataFrame(quality[:, 1:])
    images = pd.DataFrame({"mpq": types.mean(axis=1), "bpq": quality[:, 0]})
    overall = images.groupby(np.asarray(tissues, dtype=object)).mean().mean()
    return {"mpq": float(overall["mpq"]), "bpq": float(overall["bpq"]), "per_type": types.mean().tolist()}


def overlaps(pred: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Overlaps of the nuclei of two label maps; arguments and errors as `segmentation_scores`.

    Returns:
        pixels of each predicted nucleus, (P,), and of each annotated one, (T,), in ascending order of the ids; and one
        row for each pair that shares pixels, ordered by prediction, then annotation: pred, true (indices of the
        nuclei), shared and union (pixels), iou, hit (IoU > 0.5; each nucleus is in at most one such pair).
    """
    for name, labels in (("pred", pred), ("true", true)):
        if labels.shape != true.shape or labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            found = f"{name} of {labels.dtype} {labels.shape} with true of {true.shape}"
            raise ValueError(f"expected int label maps of one shape (H, W), found {found}")
        if labels.min(initial=0) < 0:
            raise ValueError(f"{name}: expected ids >= 0, found {labels.min()}")
    (_, p, pred_area), (_, t, true_area) = compact_ids(pred), compact_ids(true)
    both = (p > 0) & (t > 0)
    shape = len(pred_area), len(true_area)
    table = coo_array((np.ones(both.sum(), np.int64), (p[both] - 1, t[both] - 1)), shape).tocsr().tocoo()
    union = pred_area[table.row] + true_area[table.col] - table.data
    pairs = {"pred": table.row, "true": table.col, "shared": table.data, "union": union, "iou": table.data / union}
    return pred_area, true_area, pd.DataFrame({**pairs, "hit": 2 * table.data > union})


def compact_ids(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Relabel ids contiguously, without sorting the pixels unless the ids are very sparse.

    Args:
        labels: ids >= 0, integers of any shape, 0 is background.

    Returns:
        the ids that occur, ascending, (K,); the map relabelled 1 to K in that order, int32; the area of each, (K,).
    """
    pixels = labels.astype(np.int64)
    if pixels.max(initial=0) > 4 * pixels.size + 1024:  # too sparse for a lookup table of all ids
        given, index = np.unique(np.append(pixels, 0), return_inverse=True)
        _, compact, area = compact_ids(index[:-1].reshape(labels.shape))
        return given[1:], compact, area
    area = np.bincount(pixels.ravel(), minlength=1)
    area[0] = 0
    ids = np.flatnonzero(area)
    return ids, np.cumsum(area > 0, dtype=np.int32)[pixels], area[ids]


def check_types(types: np.ndarray, count: int, num_types: int, name: str) -> np.ndarray:
    """Types as int64 (count,), each from 0 to num_types - 1; ValueError otherwise."""
    types = np.asarray(types)
    if types.shape != (count,) or not np.isin(types, np.arange(num_types)).all():
        found = f"{types.shape} with {np.unique(types)}"
        raise ValueError(f"{name}: expected {count} types from 0 to {num_types - 1}, found {found}")
    return types.astype(np.int64)
