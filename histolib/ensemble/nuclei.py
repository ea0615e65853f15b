"""Nuclei of one patch: the result of every route."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Nuclei of one patch; an attribute that the route does not provide is None.

    Attributes:
        xy: centroids in pixels of the patch, float (K, 2).
        score: confidence, float (K,), higher is more confident; comparable within one route only.
        type: name of each nucleus' type, shape (K,).
        area_um2: areas in square microns, float (K,).
        contours: outline of each nucleus, (V, 2) in pixels of the patch.
        dab_od: density of DAB above the surroundings, float (K,).
        intensity: staining 0, 1, 2 or 3, (K,); only for nuclear markers.

    >>> nuclei = Nuclei(xy=np.array([[10.0, 20.0]]), score=np.array([0.9]))
    >>> print(nuclei.table(mpp=0.5)[["x_px", "x_um", "score"]].to_string(index=False))
     x_px  x_um  score
     10.0   5.0    0.9
    """

    xy: np.ndarray
    score: np.ndarray
    type: np.ndarray | None = None
    area_um2: np.ndarray | None = None
    contours: tuple[np.ndarray, ...] | None = None
    dab_od: np.ndarray | None = None
    intensity: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.xy)

    def table(self, mpp: float) -> pd.DataFrame:
        """One row per nucleus: x_px, y_px, x_um, y_um, type, score, area_um2; unknown values are empty.

        With `dab_od` also dab_od and intensity.
        The origin of both units is the centre of the first pixel: x_um = x_px * mpp.
        """
        xy = np.asarray(self.xy, np.float64).reshape(-1, 2)
        unknown = [None] * len(xy)
        table = pd.DataFrame(np.hstack([xy, xy * mpp]), columns=["x_px", "y_px", "x_um", "y_um"])
        table["type"] = unknown if self.type is None else self.type
        table["score"] = self.score
        table["area_um2"] = unknown if self.area_um2 is None else self.area_um2
        if self.dab_od is not None:
            table["dab_od"] = self.dab_od
            table["intensity"] = unknown if self.intensity is None else self.intensity
        return table
