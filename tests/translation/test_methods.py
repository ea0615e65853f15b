from dataclasses import replace

import numpy as np
import pytest
import torch

from histolib.imaging import MARKERS, Patch, optical_density, rgb_from_density
from histolib.translation import TRANSLATIONS, Generator, StainReference, translate


@pytest.fixture(scope="module")
def ihc() -> Patch:
    density = np.random.default_rng(0).uniform(0, 0.8, (48, 40, 2)) @ [[0.65, 0.70, 0.29], [0.27, 0.57, 0.78]]
    return Patch(rgb_from_density(density), 0.5, "tile")


@pytest.fixture(scope="module")
def weights(ihc) -> dict:
    """References of the tile and of an H&E that is half as dense, and an untrained generator."""
    torch.manual_seed(0)
    pale = replace(ihc, image=rgb_from_density(optical_density(ihc.image) / 2))
    return {
        "ihc_reference": StainReference.fit([ihc], "ihc"),
        "he_reference": StainReference.fit([pale], "he"),
        "ihc_to_he": Generator(4, 1).eval(),
    }


def test_the_methods_are_those_of_the_course_in_order():
    assert list(TRANSLATIONS) == ["identity", "od", "hed", "reinhard", "macenko", "cyclegan"]
    assert all(method.about for method in TRANSLATIONS.values())


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("name", list(TRANSLATIONS))
def test_a_method_keeps_size_scale_and_name_and_loads_what_it_needs(name, marker, ihc, weights):
    loaded = []

    def load(role: str):
        loaded.append(role)
        return weights[role]

    he = TRANSLATIONS[name].run(ihc, marker, load)
    assert (he.image.shape, he.image.dtype, he.mpp, he.name) == (ihc.image.shape, np.uint8, ihc.mpp, ihc.name)
    assert sorted(loaded) == sorted(TRANSLATIONS[name].needs)


def test_identity_changes_nothing_and_cyclegan_applies_the_generator(ihc, weights):
    assert TRANSLATIONS["identity"].run(ihc, "nuclear", weights.get) is ihc
    he = TRANSLATIONS["cyclegan"].run(ihc, "nuclear", weights.get)
    np.testing.assert_array_equal(he.image, translate(ihc, weights["ihc_to_he"]).image)


@pytest.mark.parametrize("name", ["od", "hed"])
def test_a_recolouring_matches_the_density_of_the_reference(name, ihc, weights):
    he = TRANSLATIONS[name].run(ihc, "nuclear", weights.get)
    before, after = (np.percentile(optical_density(patch.image).sum(axis=-1), 99) for patch in (ihc, he))
    assert after == pytest.approx(before / 2, rel=0.1 if name == "od" else 0.3)
