"""One table of the overlaps of two label maps, which every segmentation score reads instead of the pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array

__all__ = ["Overlaps", "compact_ids", "overlaps"]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Areas of the nuclei of two maps, in ascending order of their ids, and the pairs of nuclei that share pixels.

    Attributes:
        pred_area: pixels of each predicted nucleus, (P,).
        true_area: pixels of each annotated nucleus, (T,).
        pred, true: indices of the nuclei of each overlapping pair, (E,), ordered by pred, then true.
        shared: pixels that the pair shares, (E,).
    """

    pred_area: np.ndarray
    true_area: np.ndarray
    pred: np.ndarray
    true: np.ndarray
    shared: np.ndarray

    @property
    def union(self) -> np.ndarray:
        """Pixels that either nucleus of each pair covers, (E,)."""
        return self.pred_area[self.pred] + self.true_area[self.true] - self.shared

    @property
    def hit(self) -> np.ndarray:
        """Whether each pair has IoU > 0.5, (E,); at most one pair for each nucleus has, so no assignment is needed."""
        return 2 * self.shared > self.union


def overlaps(pred: np.ndarray, true: np.ndarray) -> Overlaps:
    """Overlaps of the nuclei of two maps, in a time that does not depend on how many nuclei there are.

    Args:
        pred: predicted instance map, int (H, W), 0 is background, ids need not be contiguous.
        true: annotated instance map, same shape.

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
    (_, p, pred_area), (_, t, true_area) = compact_ids(pred), compact_ids(true)
    both = (p > 0) & (t > 0)
    shape = len(pred_area), len(true_area)
    table = coo_array((np.ones(both.sum(), np.int64), (p[both] - 1, t[both] - 1)), shape).tocsr().tocoo()
    return Overlaps(pred_area, true_area, table.row, table.col, table.data)


def compact_ids(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids made contiguous, without sorting the pixels unless ids are very sparse.

    Args:
        labels: ids >= 0, integers of any shape, 0 is background.

    Returns:
        the ids that occur, ascending, (K,); the same map with 1 to K in their place, int32; the area of each, (K,).
    """
    flat, given = labels.ravel().astype(np.int64, copy=False), None
    if flat.max(initial=0) > 4 * flat.size + 1024:  # too sparse for a table of all of them
        given, index = np.unique(np.append(flat, 0), return_inverse=True)
        flat = index[:-1]
    area = np.bincount(flat, minlength=1)
    area[0] = 0
    ids = np.flatnonzero(area)
    number = np.cumsum(area > 0, dtype=np.int32)
    number[0] = 0
    return ids if given is None else given[ids], number[flat].reshape(labels.shape), area[ids]
