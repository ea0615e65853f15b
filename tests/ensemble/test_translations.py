"""Every translation keeps what a patch is, needs what it says, and a route is a translation before HoVer-Net."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histolib.ensemble import HE_REFERENCE, HOVERNET, IHC_REFERENCE, ROUTES, TRANSLATIONS, Models, Nuclei, routes
from histolib.imaging import Patch, optical_density, rgb_from_density
from histolib.translation import Generator, StainReference

CLASSICAL = ("od", "hed", "reinhard", "macenko")


@pytest.fixture(scope="module")
def ihc():
    rng = np.random.default_rng(0)
    density = rng.uniform(0, 0.8, (48, 40, 2)) @ [[0.65, 0.70, 0.29], [0.27, 0.57, 0.78]]
    return Patch(rgb_from_density(density), 0.5, "tile")


@pytest.fixture(scope="module")
def models(ihc):
    """References of the tile, and of an H&E that is half as dense; generators fresh from the dice."""
    pale = rgb_from_density(optical_density(ihc.image) / 2)
    torch.manual_seed(0)
    models = Models()
    models.__dict__ |= {
        "ihc_reference": StainReference.fit([ihc], "ihc"),
        "he_reference": StainReference.fit([replace(ihc, image=pale)], "he"),
        "ihc_to_he": (Generator(4, 1).eval(), {}),
        "he_to_ihc": (Generator(4, 1).eval(), {}),
    }
    return models


def test_the_rivals_are_those_of_the_course_in_order():
    assert list(TRANSLATIONS) == ["identity", "od", "hed", "reinhard", "macenko", "cyclegan"]
    assert [name for name, translation in TRANSLATIONS.items() if translation.back is None] == ["hed"]
    assert [name for name, translation in TRANSLATIONS.items() if not translation.restains] == ["identity"]


@pytest.mark.parametrize("marker", ["nuclear", "membrane", "cytoplasm"])
@pytest.mark.parametrize("name", list(TRANSLATIONS))
def test_size_scale_and_name_survive_there_and_back(name, marker, ihc, models):
    there = TRANSLATIONS[name](ihc, marker, models)
    back = (TRANSLATIONS[name].back or (lambda patch, *_: patch))(there, marker, models)
    for patch in (there, back):
        assert (patch.image.shape, patch.image.dtype) == (ihc.image.shape, np.uint8)
        assert (patch.mpp, patch.name) == (ihc.mpp, ihc.name)


def test_identity_changes_nothing_and_needs_nothing(ihc, tmp_path):
    assert TRANSLATIONS["identity"](ihc, "nuclear", Models(tmp_path)) is ihc
    assert TRANSLATIONS["identity"].needs == TRANSLATIONS["identity"].back_needs == ()


def test_od_halves_the_density_where_the_reference_is_half_as_dense_and_doubles_it_back(ihc, models):
    there = TRANSLATIONS["od"](ihc, "nuclear", models)
    back = TRANSLATIONS["od"].back(there, "nuclear", models)
    before, halved, doubled = (optical_density(p.image).sum(axis=-1).mean() for p in (ihc, there, back))
    assert halved == pytest.approx(before / 2, rel=0.05)
    assert doubled == pytest.approx(before, rel=0.05)


@pytest.mark.parametrize("name", [name for name in TRANSLATIONS if name != "identity"])
def test_without_its_weights_a_translation_says_how_to_get_them(name, ihc, tmp_path):
    empty = Models(tmp_path)
    assert empty.missing(TRANSLATIONS[name].needs) == list(TRANSLATIONS[name].needs)
    with pytest.raises(FileNotFoundError, match="histolib run --only 02,03"):
        TRANSLATIONS[name](ihc, "nuclear", empty)
    with pytest.raises(FileNotFoundError, match=f"translation {name}: expected {TRANSLATIONS[name].needs[0]}"):
        empty.require(TRANSLATIONS[name].needs, f"translation {name}")


@pytest.mark.parametrize("name", ["identity", *CLASSICAL, "cyclegan"])
def test_a_route_finds_nuclei_on_what_the_translation_shows(name, ihc, models, monkeypatch):
    seen = []
    monkeypatch.setattr(routes, "find_on_he", lambda patch, _: seen.append(patch) or Nuclei(np.zeros((0, 2)), []))
    route = ROUTES["direct" if name == "identity" else name]
    route(ihc, "nuclear", models)
    np.testing.assert_array_equal(seen[0].image, TRANSLATIONS[name](ihc, "nuclear", models).image)
    assert route.needs == (HOVERNET, *TRANSLATIONS[name].needs)


def test_needs_are_the_files_that_are_read():
    assert TRANSLATIONS["reinhard"].needs == TRANSLATIONS["macenko"].needs == (HE_REFERENCE,)
    assert TRANSLATIONS["od"].needs == TRANSLATIONS["hed"].needs == (HE_REFERENCE, IHC_REFERENCE)


def test_a_bound_translation_has_a_way_back_where_its_weights_are(ihc, models, tmp_path):
    models.folders = (tmp_path,)
    bound = TRANSLATIONS["od"].bind("nuclear", models)
    np.testing.assert_array_equal(bound.to_he(ihc).image, TRANSLATIONS["od"](ihc, "nuclear", models).image)
    assert bound.to_ihc is None, "the files of these references are nowhere"
    models.ihc_reference.save(tmp_path / IHC_REFERENCE)
    assert TRANSLATIONS["reinhard"].bind("nuclear", Models(tmp_path)).to_ihc(ihc).image.shape == ihc.image.shape
    assert TRANSLATIONS["hed"].bind("nuclear", Models(tmp_path)).to_ihc is None
