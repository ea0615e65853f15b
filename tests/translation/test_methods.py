"""Every translation preserves size, scale and name, and loads exactly the roles that it declares."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histolib.imaging import Patch, optical_density, rgb_from_density
from histolib.translation import TRANSLATIONS, Generator, StainReference


@pytest.fixture(scope="module")
def ihc():
    rng = np.random.default_rng(0)
    density = rng.uniform(0, 0.8, (48, 40, 2)) @ [[0.65, 0.70, 0.29], [0.27, 0.57, 0.78]]
    return Patch(rgb_from_density(density), 0.5, "tile")


@pytest.fixture(scope="module")
def models(ihc):
    """References of the tile and of H&E with half its density, and an untrained generator."""
    pale = rgb_from_density(optical_density(ihc.image) / 2)
    torch.manual_seed(0)
    return {
        "ihc_reference": StainReference.fit([ihc], "ihc"),
        "he_reference": StainReference.fit([replace(ihc, image=pale)], "he"),
        "ihc_to_he": Generator(4, 1).eval(),
    }


@pytest.mark.parametrize("marker", ["nuclear", "membrane", "cytoplasm"])
@pytest.mark.parametrize("name", list(TRANSLATIONS))
def test_size_scale_and_name_are_preserved_with_the_declared_roles(name, marker, ihc, models):
    loaded = set()

    def load(role):
        loaded.add(role)
        return models[role]

    patch = TRANSLATIONS[name].run(ihc, marker, load)
    assert (patch.image.shape, patch.image.dtype) == (ihc.image.shape, np.uint8)
    assert (patch.mpp, patch.name) == (ihc.mpp, ihc.name)
    assert loaded == set(TRANSLATIONS[name].needs)


def test_identity_changes_nothing_and_od_halves_the_density_for_a_reference_of_half_the_density(ihc, models):
    assert TRANSLATIONS["identity"].run(ihc, "nuclear", {}.__getitem__) is ihc
    halved = TRANSLATIONS["od"].run(ihc, "nuclear", models.__getitem__)
    before, after = (optical_density(patch.image).sum(axis=-1).mean() for patch in (ihc, halved))
    assert after == pytest.approx(before / 2, rel=0.05)
