"""Translations from IHC to H&E, learnt and classical, and their ways back: the table of rivals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..imaging import Patch
from ..translation import StainReference, macenko, recolour_hed, recolour_od, reinhard, translate
from .models import HE_REFERENCE, HE_TO_IHC, IHC_REFERENCE, IHC_TO_HE, Models

__all__ = ["TRANSLATIONS", "Translation", "Translator"]

Run = Callable[..., Patch]  # of (patch, marker, models)


@dataclass(frozen=True, slots=True)
class Translation:
    """A way to show an IHC patch as H&E.

    Attributes:
        about: one sentence for tables and help texts.
        run: function of (patch, marker, models), IHC to H&E.
        needs: weight files that it asks `Models` for.
        back: the same from H&E to IHC; None where there is no way back.
        back_needs: weight files of the way back.
        restains: False where the picture stays as it is, so that its densities are still those of its own stain.
    """

    about: str
    run: Run
    needs: tuple[str, ...] = ()
    back: Run | None = None
    back_needs: tuple[str, ...] = ()
    restains: bool = True

    def __call__(self, patch: Patch, marker: str = "nuclear", models: Models | None = None) -> Patch:
        """The patch as H&E, of the same size, scale and name.

        Args:
            patch: IHC image with its scale.
            marker: what the brown stains: nuclear (ER, PR, Ki-67), membrane (HER2) or cytoplasm.
            models: weights; default those that ship.

        Raises:
            FileNotFoundError: weights are missing; the message says how to get them.
        """
        return self.run(patch, marker, models or Models())

    def bind(self, marker: str, models: Models) -> Translator:
        """The translation with its weights, and its way back where the weights of that are there."""
        back = None if self.back is None or models.missing(self.back_needs) else self.back
        return Translator(
            partial(self.run, marker=marker, models=models),
            back and partial(back, marker=marker, models=models),
            self.restains,
        )


@dataclass(frozen=True, slots=True)
class Translator:
    """A translation ready to run on patches.

    Attributes:
        to_he: IHC to H&E.
        to_ihc: the way back, if there is one.
        restains: as of `Translation`.
    """

    to_he: Callable[[Patch], Patch]
    to_ihc: Callable[[Patch], Patch] | None = None
    restains: bool = True


def _identity(patch: Patch, marker: str, models: Models) -> Patch:
    return patch


def _od(patch: Patch, marker: str, models: Models) -> Patch:
    he, ihc = models.he_reference, models.ihc_reference
    return recolour_od(patch, he, he.gain(ihc, marker), marker)


def _od_back(patch: Patch, marker: str, models: Models) -> Patch:
    he, ihc = models.he_reference, models.ihc_reference
    return recolour_od(patch, ihc, ihc.gain(he, marker), marker)


def _hed(patch: Patch, marker: str, models: Models) -> Patch:
    he, ihc = models.he_reference, models.ihc_reference
    return recolour_hed(patch, he, he.gain(ihc, marker), marker)


def _towards(recolour: Callable[[Patch, StainReference], Patch], domain: str) -> Run:
    """A recolouring that needs no more than the statistics of the stain to imitate."""
    return lambda patch, marker, models: recolour(patch, getattr(models, f"{domain}_reference"))


def _cyclegan(patch: Patch, marker: str, models: Models) -> Patch:
    return translate(patch, models.ihc_to_he[0])


def _cyclegan_back(patch: Patch, marker: str, models: Models) -> Patch:
    return translate(patch, models.he_to_ihc[0])


BOTH = (HE_REFERENCE, IHC_REFERENCE)
TRANSLATIONS: dict[str, Translation] = {
    "identity": Translation("the IHC as it is", _identity, back=_identity, restains=False),
    "od": Translation("every pixel gets the mean H&E colour of its optical density", _od, BOTH, _od_back, BOTH),
    "hed": Translation("colour deconvolution, stained anew as H&E", _hed, BOTH),
    "reinhard": Translation(
        "colour statistics of H&E in LAB space",
        _towards(reinhard, "he"),
        (HE_REFERENCE,),
        _towards(reinhard, "ihc"),
        (IHC_REFERENCE,),
    ),
    "macenko": Translation(
        "stain vectors of H&E, amounts kept",
        _towards(macenko, "he"),
        (HE_REFERENCE,),
        _towards(macenko, "ihc"),
        (IHC_REFERENCE,),
    ),
    "cyclegan": Translation("translated to H&E by the CycleGAN", _cyclegan, (IHC_TO_HE,), _cyclegan_back, (HE_TO_IHC,)),
}
