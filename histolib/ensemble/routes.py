"""Routes from an IHC patch to nucleus centroids: adding one is one function and one line in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..config import MARKERS
from ..imaging import Patch
from ..nuclei import detect_log, find_nuclei
from ..translation import macenko, recolour_hed, recolour_od, reinhard, translate
from .models import HE_REFERENCE, HOVERNET, IHC_REFERENCE, IHC_TO_HE, Models
from .nuclei import Nuclei

__all__ = ["ROUTES", "Route"]

SMALLEST_PX = 8
SMALLEST_UM = 4.0  # a small lymphocyte nucleus


@dataclass(frozen=True, slots=True)
class Route:
    """A way from an IHC patch to its nuclei.

    Attributes:
        about: one sentence for tables and help texts.
        run: function of (patch, marker, models).
        needs: weight files that it asks `Models` for.
    """

    about: str
    run: Callable[[Patch, str, Models], Nuclei]
    needs: tuple[str, ...] = ()

    def __call__(self, patch: Patch, marker: str = "nuclear", models: Models | None = None) -> Nuclei:
        """Nuclei of the patch, in its pixels.

        Args:
            patch: IHC image with its scale.
            marker: what the brown stains: nuclear (ER, PR, Ki-67), membrane (HER2) or cytoplasm.
            models: weights; default those that ship.

        Raises:
            ValueError: the marker is unknown, or the patch is smaller than a nucleus.
            FileNotFoundError: weights are missing; the message says how to get them.
        """
        if marker not in MARKERS:
            raise ValueError(f"marker: expected one of {', '.join(MARKERS)}, found {marker!r}")
        height, width = patch.image.shape[:2]
        if min(height, width) < SMALLEST_PX or min(patch.size_um) < SMALLEST_UM:
            raise ValueError(
                f"{patch.name or 'patch'}: expected at least {SMALLEST_PX} px and {SMALLEST_UM:g} microns a side, "
                f"found {width} x {height} px at {patch.mpp:g} microns per pixel"
            )
        return self.run(patch, marker, models or Models())


def _log(patch: Patch, marker: str, models: Models) -> Nuclei:
    xy, score = detect_log(patch, marker=marker)
    return Nuclei(xy, score)


def _find_on_he(patch: Patch, models: Models) -> Nuclei:
    net, card = models.hovernet
    table = find_nuclei(patch, net, mpp=card["mpp"], thresholds=card.get("thresholds"))
    names = np.array(["unknown", *card["types"]], dtype=object)
    return Nuclei(
        xy=table[["x", "y"]].to_numpy(np.float64).reshape(-1, 2),
        score=table["score"].to_numpy(np.float64),
        type=names[table["type"].to_numpy(int)] if "type" in table else None,
        area_um2=table["area_um2"].to_numpy(np.float64),
        contours=tuple(table["contour"]),
    )


def _direct(patch: Patch, marker: str, models: Models) -> Nuclei:
    return _find_on_he(patch, models)


def _od(patch: Patch, marker: str, models: Models) -> Nuclei:
    gain = models.he_reference.gain(models.ihc_reference, marker)
    return _find_on_he(recolour_od(patch, models.he_reference, gain, marker), models)


def _hed(patch: Patch, marker: str, models: Models) -> Nuclei:
    gain = models.he_reference.gain(models.ihc_reference, marker)
    return _find_on_he(recolour_hed(patch, models.he_reference, gain, marker), models)


def _reinhard(patch: Patch, marker: str, models: Models) -> Nuclei:
    return _find_on_he(reinhard(patch, models.he_reference), models)


def _macenko(patch: Patch, marker: str, models: Models) -> Nuclei:
    return _find_on_he(macenko(patch, models.he_reference), models)


def _cyclegan(patch: Patch, marker: str, models: Models) -> Nuclei:
    generator, _ = models.ihc_to_he
    return _find_on_he(translate(patch, generator), models)


ROUTES: dict[str, Route] = {
    "log": Route("Laplacian of Gaussian on optical density: no learning at all", _log),
    "direct": Route("HoVer-Net on the IHC as it is", _direct, (HOVERNET,)),
    "od": Route(
        "every pixel gets the mean H&E colour of its optical density", _od, (HOVERNET, HE_REFERENCE, IHC_REFERENCE)
    ),
    "hed": Route("colour deconvolution, stained anew as H&E", _hed, (HOVERNET, HE_REFERENCE, IHC_REFERENCE)),
    "reinhard": Route("colour statistics of H&E in LAB space", _reinhard, (HOVERNET, HE_REFERENCE)),
    "macenko": Route("stain vectors of H&E, amounts kept", _macenko, (HOVERNET, HE_REFERENCE)),
    "cyclegan": Route("translated to H&E by the CycleGAN: the course's pipeline", _cyclegan, (HOVERNET, IHC_TO_HE)),
}
