"""Panoptic quality by nucleus type, and PanNuke's averages of it: mPQ and bPQ by tissue and overall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .overlaps import overlaps

__all__ = ["pannuke_scores", "typed_quality"]


def typed_quality(
    pred: np.ndarray, pred_types: np.ndarray, true: np.ndarray, true_types: np.ndarray, num_types: int
) -> np.ndarray:
    """Panoptic quality of one image, of all nuclei together and of each type, from one table of overlaps.

    PQ is the sum of the IoU of the pairs with IoU > 0.5, over half of the predicted and annotated nuclei (Kirillov et
    al. 2019, doi 10.1109/CVPR.2019.00963). For a type, only nuclei of that type exist, in both maps. Nuclei of type 0
    (no type) count among all nuclei only.

    NaN where the annotation lacks the type (for index 0: any nucleus), whatever was predicted: PanNuke's published
    evaluation skips such images (Gamper et al. 2020, arXiv:2003.10778), so that a type predicted where there is none
    costs nothing. 0 where the annotation has the type and nothing hits it. That evaluation divides by a count + 1e-6,
    so its values are smaller by less than 1e-6.

    Args:
        pred: predicted instance map, int (H, W), 0 is background.
        pred_types: type of each predicted nucleus in ascending order of the ids, int (P,), 0 <= type < num_types.
        true: annotated instance map, same shape.
        true_types: type of each annotated nucleus, likewise, (T,).
        num_types: number of types, counting the background: 6 for PanNuke.

    Returns:
        PQ, float (num_types,): index 0 of all nuclei (PanNuke's binary PQ), index t of type t.

    Raises:
        ValueError: as `segmentation_scores`, or the types do not fit the nuclei.
    """
    table = overlaps(pred, true)
    pred_types = check_types(pred_types, len(table.pred_area), num_types, "pred_types")
    true_types = check_types(true_types, len(table.true_area), num_types, "true_types")
    hit = np.flatnonzero(table.hit)
    iou = table.shared[hit] / table.union[hit]
    kind = pred_types[table.pred[hit]]
    same = kind == true_types[table.true[hit]]
    total = np.bincount(kind[same], iou[same], num_types).astype(np.float64)  # counts where there is nothing to weigh
    n_pred, n_true = (np.bincount(types, minlength=num_types) for types in (pred_types, true_types))
    total[0], n_pred[0], n_true[0] = iou.sum(), len(pred_types), len(true_types)
    return np.divide(2.0 * total, n_pred + n_true, out=np.full(num_types, np.nan), where=n_true > 0)


def pannuke_scores(quality: np.ndarray, tissues: Sequence[str]) -> dict[str, Any]:
    """PanNuke's mPQ and bPQ, averaged as its published evaluation does (Gamper et al. 2020, arXiv:2003.10778).

    The mPQ of an image is the mean over the types that it has; a tissue's is the mean over its images, the overall one
    the mean over tissues, each tissue counting once. bPQ goes the same way from the PQ of all nuclei. NaN is left out
    of every mean, and a mean of nothing is NaN: an image without annotated nuclei counts nowhere.

    Args:
        quality: `typed_quality` of each image, (N, num_types).
        tissues: tissue of each image, (N,).

    Returns:
        mpq, bpq; per_tissue: {tissue: {mpq, bpq, images}}, sorted; per_type: the mean over all images of the PQ of
        types 1 to num_types - 1, a list.

    Raises:
        ValueError: the shapes do not fit.
    """
    quality, names = np.asarray(quality, np.float64), np.asarray(tissues, dtype=object)
    if quality.ndim != 2 or names.shape != quality.shape[:1]:
        raise ValueError(f"expected quality (N, types) and N tissues, found {quality.shape} and {names.shape}")
    images = np.array([(_mean(row[1:]), row[0]) for row in quality]).reshape(-1, 2)  # mPQ, bPQ
    per_tissue = {}
    for name in sorted(set(names)):
        of_tissue = images[names == name]
        per_tissue[name] = {"mpq": _mean(of_tissue[:, 0]), "bpq": _mean(of_tissue[:, 1]), "images": len(of_tissue)}
    overall = {key: _mean(np.array([scores[key] for scores in per_tissue.values()])) for key in ("mpq", "bpq")}
    return {**overall, "per_tissue": per_tissue, "per_type": [_mean(column) for column in quality.T[1:]]}


def check_types(types: np.ndarray, count: int, num_types: int, name: str) -> np.ndarray:
    """The types as int64, after a check that they are `count` numbers from 0 to num_types - 1 (else ValueError)."""
    types = np.asarray(types)
    if types.shape != (count,):
        raise ValueError(f"{name}: expected the types of {count} nuclei, found shape {types.shape}")
    if count and (not np.issubdtype(types.dtype, np.integer) or types.min() < 0 or types.max() >= num_types):
        raise ValueError(
            f"{name}: expected types from 0 to {num_types - 1}, found {types.dtype} {types.min()} to {types.max()}"
        )
    return types.astype(np.int64)


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
