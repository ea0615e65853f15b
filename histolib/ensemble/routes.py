"""Routes from an IHC patch to nuclei; a new route is one function and one line in `ROUTES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data.splits import leaked_groups
from ..imaging import MARKERS, Patch
from ..nuclei import HoVerNet, detect_log, find_nuclei
from ..nuclei.watershed_detector import detect_watershed
from ..translation import TRANSLATIONS
from .models import Models, pretrained_models
from .nuclei import Nuclei

SMALLEST_PX = 8
SMALLEST_UM = 4.0  # diameter of a small lymphocyte nucleus


@dataclass(frozen=True, slots=True)
class Route:
    """A method that finds the nuclei of an IHC patch.

    Attributes:
        about: one sentence for tables and help texts.
        run: function of (patch, marker, models).
        needs: roles that it loads from `Models`.

    >>> from histolib.data import phantom
    >>> tile = phantom.draw(seed=0, size_px=200, mpp=0.5)
    >>> nuclei = ROUTES["log"](tile.ihc, marker="nuclear")
    >>> nuclei.xy.shape == (len(nuclei), 2), nuclei.type  # the Laplacian of Gaussian knows no types
    (True, None)
    """

    about: str
    run: Callable[[Patch, str, Models], Nuclei]
    needs: tuple[str, ...] = ()

    def __call__(self, patch: Patch, marker: str = "nuclear", models: Models | None = None) -> Nuclei:
        """Find the nuclei of the patch, in its pixels.

        Args:
            patch: IHC image with its scale.
            marker: what DAB stains: nuclear (ER, PR, Ki-67), membrane (HER2) or cytoplasm.
            models: weights; default: the pretrained ones, read once per process.

        Raises:
            ValueError: the marker is unknown, or the patch is smaller than a nucleus.
            FileNotFoundError: weights are missing; the message says how to get them.
        """
        if marker not in MARKERS:
            raise ValueError(f"marker: expected one of {', '.join(MARKERS)}, found {marker!r}")
        height, width = patch.image.shape[:2]
        if min(height, width) < SMALLEST_PX or min(patch.size_um) < SMALLEST_UM:
            raise ValueError(
                f"{patch.name or 'patch'}: expected sides of at least {SMALLEST_PX} px and {SMALLEST_UM:g} microns, "
                f"found {width} x {height} px at {patch.mpp:g} microns per pixel"
            )
        return self.run(patch, marker, models or pretrained_models())


def roles_of(route: str, models: Models) -> set[str]:
    """Roles of all weights that a route uses, including those of the routes that a fusion merges."""
    roles = set(ROUTES[route].needs)
    if "fusion" in roles:
        roles = roles.union(*(ROUTES[member].needs for member in models.load("fusion").weights))
    return roles


def leaks_of(route: str, models: Models, scored: list[str]) -> list[str] | None:
    """Scored groups that training or checkpoint selection of the route's networks saw; None if a network is silent."""
    loaded = (models.load(role) for role in roles_of(route, models))
    checked = [leaked_groups(scored, model.provenance.groups) for model in loaded if hasattr(model, "provenance")]
    return None if None in checked else sorted({group for groups in checked for group in groups or ()})


def _from_table(table: pd.DataFrame, types: Sequence[str] = ()) -> Nuclei:
    """Nuclei from a table of `find_nuclei` or `detect_watershed`; a type is a number from 1 on, 0 is unknown."""
    names = np.array(["unknown", *types], dtype=object)
    return Nuclei(
        xy=table[["x", "y"]].to_numpy(np.float64).reshape(-1, 2),
        score=table["score"].to_numpy(np.float64),
        type=names[table["type"].to_numpy(int)] if "type" in table else None,
        area_um2=table["area_um2"].to_numpy(np.float64),
        contours=tuple(table["contour"]),
    )


def _detect(patch: Patch, net: HoVerNet) -> Nuclei:
    return _from_table(find_nuclei(patch, net), net.types)


def _translated(name: str, about: str) -> Route:
    """The HoVer-Net for H&E on the translated patch."""
    translation = TRANSLATIONS[name]

    def run(patch: Patch, marker: str, models: Models) -> Nuclei:
        return _detect(translation.run(patch, marker, models.load), models.load("hovernet"))

    return Route(about, run, ("hovernet", *translation.needs))


def _on_ihc(role: str, about: str) -> Route:
    """A HoVer-Net on the untranslated patch."""
    return Route(about, lambda patch, marker, models: _detect(patch, models.load(role)), (role,))


def _ensemble(patch: Patch, marker: str, models: Models) -> Nuclei:
    fusion = models.load("fusion")
    for name in fusion.weights:
        models.require(ROUTES[name].needs, f"route {name}, a member of ensemble")
    return fusion({name: ROUTES[name].run(patch, marker, models) for name in fusion.weights}, patch.mpp)


ROUTES: dict[str, Route] = {
    "log": Route(
        "Laplacian of Gaussian on optical density, no learning",
        lambda patch, marker, models: Nuclei(*detect_log(patch, marker=marker)),
    ),
    "watershed": Route(
        "classical cell detection of slide viewers, with outlines, no learning",
        lambda patch, marker, models: _from_table(detect_watershed(patch)),
    ),
    "direct": _on_ihc("hovernet", "HoVer-Net for H&E on the untranslated IHC"),
    **{name: _translated(name, TRANSLATIONS[name].about) for name in ("od", "hed", "reinhard", "macenko")},
    "cyclegan": _translated("cyclegan", "HoVer-Net after translation to H&E by the CycleGAN (the course's pipeline)"),
    "synthetic": _on_ihc("synthetic", "HoVer-Net trained on H&E painted as IHC"),
    "selftrained": _on_ihc("selftrained", "`synthetic`, then trained on confident detections on unlabelled IHC"),
    "ensemble": Route("confidence-weighted vote of several other routes", _ensemble, ("fusion",)),
    "supervised": _on_ihc("supervised", "HoVer-Net trained on labelled IHC, as a reference"),
}

# For a nuclear marker the route of one network, trained without IHC labels, with the best worst F1 over the
# laboratories of data/results/laboratories.json; for the others by visual inspection of
# skimage.data.immunohistochemistry(), because annotated tiles are missing.
DEFAULT_ROUTES = {"nuclear": "selftrained", "membrane": "od", "cytoplasm": "od"}
