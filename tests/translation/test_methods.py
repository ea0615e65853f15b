"""Every translation preserves size, scale and name, and loads exactly the roles that it declares."""

from dataclasses import replace

import numpy as np
import pytest

from histolib.ensemble import Models
from histolib.imaging import MARKERS, optical_density, rgb_from_density
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
    assert (patch.mpp, patch.name) == (brown.mpp, brown.name)
    assert loaded == set(TRANSLATIONS[name].needs)
    assert (patch is brown) == (name == "identity")
    np.testing.assert_array_equal(brown.image, before)


def test_od_halves_the_density_for_a_reference_of_half_the_density(brown):
    pale = replace(brown, image=rgb_from_density(optical_density(brown.image) / 2))
    roles = {"ihc_reference": StainReference.fit([brown], "ihc"), "he_reference": StainReference.fit([pale], "he")}
    halved = TRANSLATIONS["od"].run(brown, "nuclear", roles.__getitem__)
    before, after = (optical_density(patch.image).mean() for patch in (brown, halved))
    assert after == pytest.approx(before / 2, rel=0.05)
