"""Which nuclei a translation lost, and which it invented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..imaging import Patch
from ..metrics import match_points
from ..nuclei import detect_log
from ..nuclei.log_detector import THRESHOLDS

__all__ = ["NucleiChanges", "nuclei_changes"]


@dataclass(frozen=True, slots=True)
class NucleiChanges:
    """Nuclei before and after a translation, in pixels of the patch.

    Attributes:
        kept: found before and found again, where they were before, shape (K, 2).
        lost: found before alone, shape (L, 2).
        new: found after alone, shape (N, 2).
    """

    kept: np.ndarray
    lost: np.ndarray
    new: np.ndarray


def nuclei_changes(
    before: Patch, after: Patch, gain: float, marker: str = "nuclear", radius_um: float = 3.0
) -> NucleiChanges:
    """What the Laplacian of Gaussian finds before and after, paired, as `evaluate_translations` counts "nuclei".

    Args:
        before: IHC patch.
        after: its translation to H&E, of the same size and scale.
        gain: density of the densest H&E over that of the densest IHC (`StainReference.gain`); scales the threshold.
        marker: what the brown of the IHC stains.
        radius_um: largest distance of a nucleus found again, in microns.
    """
    there, _ = detect_log(before, marker=marker)
    here, _ = detect_log(after, marker=marker, threshold=THRESHOLDS[marker] * gain)
    pairs = match_points(here, there, radius_um / before.mpp)
    return NucleiChanges(there[pairs.true], np.delete(there, pairs.true, axis=0), np.delete(here, pairs.pred, axis=0))
