"""Table of translation methods from IHC to H&E: none, classical recolourings, and the CycleGAN."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..imaging import Patch
from .inference import translate
from .stain_transfer import StainReference, macenko, recolour_hed, recolour_od, reinhard


@dataclass(frozen=True, slots=True)
class Translation:
    """A method that renders an IHC patch as H&E.

    Attributes:
        about: one sentence for tables and help texts.
        function: called with a patch, the structure that the brown stains, and the models of `needs`. The result has
            the size, scale and name of the patch.
        needs: roles of its generator ("ihc_to_he") or stain references ("he_reference", "ihc_reference").
    """

    about: str
    function: Callable[..., Patch]
    needs: tuple[str, ...] = ()

    def run(self, patch: Patch, marker: str, load: Callable[[str], Any]) -> Patch:
        """Translate a patch; `load` returns the model of a role."""
        return self.function(patch, marker, *map(load, self.needs))


def _with_gain(recolour: Callable[..., Patch]) -> Callable[..., Patch]:
    """A recolouring that first scales the stain amount of the IHC, or of the patch's own slide, to that of the H&E."""

    def run(patch: Patch, marker: str, he: StainReference, ihc: StainReference) -> Patch:
        source = ihc if patch.sample is None else ihc.at_levels_of(patch.sample)
        return recolour(patch, he, he.gain(source, marker), marker)

    return run


HE, BOTH = ("he_reference",), ("he_reference", "ihc_reference")
TRANSLATIONS = {
    "identity": Translation("the IHC without translation", lambda p, _: p),
    "od": Translation("mean H&E colour of each pixel's optical density", _with_gain(recolour_od), BOTH),
    "hed": Translation("colour deconvolution, recoloured as H&E", _with_gain(recolour_hed), BOTH),
    "reinhard": Translation("colour statistics of H&E in LAB space", lambda p, _, he: reinhard(p, he), HE),
    "macenko": Translation("stain vectors of H&E, stain amounts unchanged", lambda p, _, he: macenko(p, he), HE),
    "cyclegan": Translation("translation by the CycleGAN", lambda p, _, net: translate(p, net), ("ihc_to_he",)),
}
