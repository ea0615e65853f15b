"""Every translation preserves size, scale and name, and loads exactly the roles that it declares."""

from dataclasses import replace

import numpy as np
import pytest

from histolib.data import phantom
from histolib.ensemble import Models
from histolib.imaging import MARKERS, Patch, optical_density, rgb_from_density
from histolib.translation import TRANSLATIONS, StainReference


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("name", list(TRANSLATIONS))
def test_size_scale_and_name_are_preserved_with_the_declared_roles(name, marker, brown, weights):
    before, models, loaded = brown.image.copy(), Models(weights), set()

    def load(role):
        loaded.add(role)
        return models.load(role)

    patch = TRANSLATIONS[name].run(brown, marker, load)
    assert (patch.image.shape, patch.image.dtype) == (before.shape, np.uint8)
    assert (patch.mpp, patch.name, loaded) == (brown.mpp, brown.name, set(TRANSLATIONS[name].needs))
    assert (patch is brown) == (name == "identity")
    np.testing.assert_array_equal(brown.image, before)


def test_od_halves_the_density_for_a_reference_of_half_the_density(brown):
    pale = replace(brown, image=rgb_from_density(optical_density(brown.image) / 2))
    roles = {"ihc_reference": StainReference.fit([brown], "ihc"), "he_reference": StainReference.fit([pale], "he")}
    halved = TRANSLATIONS["od"].run(brown, "nuclear", roles.__getitem__)
    before, after = (optical_density(patch.image).mean() for patch in (brown, halved))
    assert after == pytest.approx(before / 2, rel=0.05)


def test_the_stain_statistics_of_a_tile_are_those_of_its_slide():
    """A pale and a dark tile of one slide keep their difference, which each for itself would lose."""
    slide = phantom.draw(0, 256, 0.5, slide=1).ihc.image
    he, ihc = (
        StainReference.fit([getattr(phantom.draw(0, 256, 0.5, slide=7), stain)], stain) for stain in ("he", "ihc")
    )
    models = {"he_reference": he, "ihc_reference": ihc}
    tile = Patch(slide[:96, :96].copy(), 0.5)
    for name in ("od", "hed", "reinhard", "macenko"):
        whole = TRANSLATIONS[name].run(Patch(slide, 0.5, sample=slide), "nuclear", models.get).image
        part = TRANSLATIONS[name].run(replace(tile, sample=slide), "nuclear", models.get).image
        np.testing.assert_array_equal(part, whole[:96, :96])
        assert not np.array_equal(part, TRANSLATIONS[name].run(tile, "nuclear", models.get).image)
