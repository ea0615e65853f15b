"""Table of translation methods from IHC to H&E: none, classical recolourings, and the CycleGAN."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..imaging import Patch
from .inference import translate
from .stain_transfer import macenko, recolour_hed, recolour_od, reinhard

Load = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Translation:
    """A method that renders an IHC patch as H&E.

    Attributes:
        about: one sentence for tables and help texts.
        run: function of (patch, marker, load). `marker` is the structure that the brown stains; `load` returns the
            generator ("ihc_to_he") or stain reference ("he_reference", "ihc_reference") of a role. The result has the
            size, scale and name of the patch.
        needs: roles that `run` loads.
    """

    about: str
    run: Callable[[Patch, str, Load], Patch]
    needs: tuple[str, ...] = ()


def _with_gain(recolour: Callable[..., Patch]) -> Callable[[Patch, str, Load], Patch]:
    """A recolouring that first scales the stain amount of the IHC to that of the H&E."""

    def run(patch: Patch, marker: str, load: Load) -> Patch:
        reference = load("he_reference")
        return recolour(patch, reference, reference.gain(load("ihc_reference"), marker), marker)

    return run


def _with(function: Callable[[Patch, Any], Patch], role: str) -> Callable[[Patch, str, Load], Patch]:
    return lambda patch, marker, load: function(patch, load(role))


BOTH, HE = ("he_reference", "ihc_reference"), "he_reference"
TRANSLATIONS: dict[str, Translation] = {
    "identity": Translation("the IHC without translation", lambda patch, marker, load: patch),
    "od": Translation("mean H&E colour of each pixel's optical density", _with_gain(recolour_od), BOTH),
    "hed": Translation("colour deconvolution, recoloured as H&E", _with_gain(recolour_hed), BOTH),
    "reinhard": Translation("colour statistics of H&E in LAB space", _with(reinhard, HE), (HE,)),
    "macenko": Translation("stain vectors of H&E, stain amounts unchanged", _with(macenko, HE), (HE,)),
    "cyclegan": Translation("translation by the CycleGAN", _with(translate, "ihc_to_he"), ("ihc_to_he",)),
}
