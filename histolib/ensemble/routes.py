"""Routes from an IHC patch to nucleus centroids: adding one is one function and one line in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..imaging import MARKERS, Patch
from ..nuclei import HoVerNet, detect_log, find_nuclei
from .models import FUSION, HOVERNET, SELFTRAINED, SUPERVISED, SYNTHETIC, Models
from .nuclei import Nuclei
from .translations import TRANSLATIONS

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

    >>> from histolib.data import phantom
    >>> tile = phantom.draw(seed=0, size_px=200, mpp=0.5)
    >>> nuclei = ROUTES["log"](tile.ihc, marker="nuclear")
    >>> nuclei.xy.shape == (len(nuclei), 2), nuclei.type  # the Laplacian knows no types
    (True, None)
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


def find_on_he(patch: Patch, models: Models) -> Nuclei:
    """Nuclei that HoVer-Net finds on H&E, or on what passes for it."""
    return _find(patch, *models.hovernet)


def _find(patch: Patch, net: HoVerNet, card: Mapping[str, Any]) -> Nuclei:
    table = find_nuclei(patch, net, mpp=card["mpp"], thresholds=card.get("thresholds"))
    names = np.array(["unknown", *card["types"]], dtype=object)
    return Nuclei(
        xy=table[["x", "y"]].to_numpy(np.float64).reshape(-1, 2),
        score=table["score"].to_numpy(np.float64),
        type=names[table["type"].to_numpy(int)] if "type" in table else None,
        area_um2=table["area_um2"].to_numpy(np.float64),
        contours=tuple(table["contour"]),
    )


def _after(translation: str, about: str = "") -> Route:
    """HoVer-Net on what a translation makes of the patch."""
    chosen = TRANSLATIONS[translation]
    return Route(
        about or chosen.about,
        lambda patch, marker, models: find_on_he(chosen(patch, marker, models), models),
        (HOVERNET, *chosen.needs),
    )


def _on_ihc(network: str, about: str) -> Route:
    """A HoVer-Net of its own on the IHC as it is."""
    return Route(about, lambda patch, marker, models: _find(patch, *models.network(network)), (network,))


def _ensemble(patch: Patch, marker: str, models: Models) -> Nuclei:
    fusion = models.fusion
    for name in fusion.weights:
        models.require(ROUTES[name].needs, f"route {name}, a part of ensemble")
    return fusion({name: ROUTES[name].run(patch, marker, models) for name in fusion.weights}, patch.mpp)


ROUTES: dict[str, Route] = {
    "log": Route("Laplacian of Gaussian on optical density: no learning at all", _log),
    "direct": _after("identity", "HoVer-Net on the IHC as it is"),
    **{name: _after(name) for name in ("od", "hed", "reinhard", "macenko")},
    "cyclegan": _after("cyclegan", "translated to H&E by the CycleGAN: the course's pipeline"),
    "synthetic": _on_ihc(SYNTHETIC, "HoVer-Net that learnt from H&E translated to IHC, on the IHC as it is"),
    "selftrained": _on_ihc(SELFTRAINED, "the same, gone on learning from what `cyclegan` found on unlabelled IHC"),
    "ensemble": Route("what several of the other routes see, merged by votes", _ensemble, (FUSION,)),
    "supervised": _on_ihc(SUPERVISED, "HoVer-Net that learnt from labels of IHC: a reference, not a rival"),
}
