"""Keypoints as outlines: discs around the points, so that what learns from outlines can learn from points."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from histolib.data.endonuke import EndoNuke
from histolib.data.samples import InstanceReader, InstanceSample

__all__ = ["PointDiscs", "draw_discs"]

RADIUS_UM = 3.0  # of a disc: about a small nucleus


class PointDiscs(InstanceReader):
    """EndoNuke's tiles with a disc for every keypoint; groups are tile ids.

    Args:
        tiles: the tiles.
        radius_um: of the discs, in microns; discs that meet share the space by the nearest centre.
    """

    def __init__(self, tiles: EndoNuke, radius_um: float = RADIUS_UM) -> None:
        self.tiles, self.radius_um = tiles, radius_um

    @property
    def groups(self) -> tuple[str, ...]:
        """Tile id of each sample."""
        return tuple(str(tile) for tile in self.tiles.ids)

    def __len__(self) -> int:
        return len(self.tiles)

    def _read(self, index: int) -> InstanceSample:
        sample = self.tiles[index]
        discs, kept = draw_discs(sample.xy, sample.patch.image.shape[:2], self.radius_um / sample.patch.mpp)
        return InstanceSample(sample.patch, discs, sample.types[kept] + 1, "", self.groups[index])


def draw_discs(xy: np.ndarray, shape: tuple[int, int], radius_px: float) -> tuple[np.ndarray, np.ndarray]:
    """A label map with a disc around every point, each pixel given to the nearest one.

    Args:
        xy: points in pixels, (K, 2).
        shape: (H, W) of the map.
        radius_px: of the discs.

    Returns:
        int32 (H, W) of ids 1..M without a gap, and which point each of them is, (M,): one without a pixel of its own
        (outside, or upon another) is left out.
    """
    labels = np.zeros(shape, np.int64)
    if len(xy):
        rows, columns = np.indices(shape)
        distance, nearest = cKDTree(xy).query(np.stack([columns, rows], axis=-1), distance_upper_bound=radius_px)
        labels = np.where(np.isfinite(distance), nearest + 1, 0)
    known = np.unique(labels)
    known = known[known > 0]
    return np.where(labels > 0, np.searchsorted(known, labels) + 1, 0).astype(np.int32), known - 1
