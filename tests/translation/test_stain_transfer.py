from dataclasses import fields

import numpy as np
import pytest
from skimage import color

from histolib.imaging import STAIN_VECTORS, Patch, separate_stains, summed_density
from histolib.io import save_weights
from histolib.translation import StainReference, recolour_od
from histolib.translation.stain_transfer import macenko, recolour_hed, reinhard, save_stain_reference

ROUTES = [recolour_od, recolour_hed, reinhard, macenko]
GLASS = Patch(np.full((30, 40, 3), 243, np.uint8), 0.5, "glass")


@pytest.fixture(scope="module")
def reference(tissue: Patch) -> StainReference:
    return StainReference.fit([tissue])


def flat(*colours: tuple[int, int, int]) -> Patch:
    """Stripes of a few colours."""
    return Patch(np.repeat(np.array(colours, np.uint8)[:, None], 40, axis=1).repeat(4, axis=0), 0.5)


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_keeps_size_scale_and_name_and_leaves_the_input_alone(route, reference, brown):
    before = brown.image.copy()
    out = route(brown, reference)
    assert out.image.shape == brown.image.shape
    assert (out.image.dtype, out.mpp, out.name) == (np.uint8, brown.mpp, brown.name)
    np.testing.assert_array_equal(brown.image, before)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "image",
    [GLASS.image, GLASS.image[:1, :1], np.zeros((9, 9, 3), np.uint8), np.full((20, 20, 3), (120, 60, 40), np.uint8)],
    ids=["glass", "one pixel", "black", "one colour"],
)
def test_images_without_tissue_or_contrast_keep_their_shape(route, image, reference):
    assert route(Patch(image, 0.5), reference).image.shape == image.shape


def test_od_maps_each_density_to_the_mean_colour_of_that_density():
    # Two H&E colours of the same summed density (equal product of the channels), and one of another density.
    he = flat((200, 100, 160), (100, 200, 160), (60, 40, 90))
    reference = StainReference.fit([he])
    ihc = flat((160, 200, 100), (40, 90, 60), (90, 60, 40))
    out = recolour_od(ihc, reference).image
    np.testing.assert_array_equal(np.unique(out[:4].reshape(-1, 3), axis=0), [[150, 150, 160]])
    np.testing.assert_array_equal(np.unique(out[4:].reshape(-1, 3), axis=0), [[60, 40, 90]])


def test_od_gain_multiplies_the_density():
    reference = StainReference.fit([flat((255, 255, 255), (60, 40, 90), (128, 90, 140), (220, 120, 180))])
    thin = np.rint(255 * (np.array([60, 40, 90]) / 255) ** 0.5).astype(int)
    out = recolour_od(flat(tuple(thin)), reference, gain=2.0).image
    assert abs(out.reshape(-1, 3).astype(int) - [60, 40, 90]).max() <= 3


def test_colour_tables_have_no_gaps_and_darken_monotonically_beyond_the_data(reference, tissue):
    for table in (reference.density_colours, reference.hematoxylin_colours):
        assert np.isfinite(table).all()
        assert table.min() >= 0
        assert table.max() <= 255
    density = summed_density(reference.density_colours[None])[0]
    seen = summed_density(tissue.image).max()
    assert (np.diff(density[int(seen / 0.02) + 1 :]) >= 0).all()
    assert density[0] < 0.05


def test_the_gain_brings_the_densest_stain_to_that_of_the_reference(reference, tissue):
    faint = Patch(np.rint(255 * (tissue.image / 255) ** 0.5).astype(np.uint8), 0.5)
    gain = reference.gain(StainReference.fit([faint], "ihc"))
    assert gain == pytest.approx(2, rel=0.03)
    recoloured = summed_density(recolour_od(faint, reference, gain).image)
    assert abs(recoloured - summed_density(tissue.image))[summed_density(tissue.image) > 0.2].mean() < 0.1


def test_od_for_a_membrane_marker_ignores_brown(reference):
    blue, brown = ((255 * 10 ** -(0.6 * STAIN_VECTORS[s])).astype(int) for s in ("hematoxylin", "dab"))
    patch = flat(tuple(blue), tuple(brown), (255, 255, 255))
    nuclear, membrane = (recolour_od(patch, reference, marker=m).image.astype(int) for m in ("nuclear", "membrane"))
    assert nuclear[4].sum() < nuclear[8].sum() - 150, "brown marks nuclei"
    assert abs(membrane[4] - membrane[8]).max() < 30, "brown is ignored"
    assert membrane[0].sum() < membrane[8].sum() - 100, "blue marks nuclei"


def test_hed_paints_brown_as_hematoxylin_if_nuclear_and_not_otherwise(reference):
    brown = flat(tuple((255 * 10 ** -(0.9 * STAIN_VECTORS["dab"])).astype(int)))
    nuclear, membrane = (
        separate_stains(recolour_hed(brown, reference, marker=marker).image, "hematoxylin", "eosin")[..., 0].mean()
        for marker in ("nuclear", "membrane")
    )
    assert nuclear == pytest.approx(min(0.9, reference.hematoxylin_level), abs=0.03)
    assert membrane == pytest.approx(0, abs=0.03)


def test_reinhard_moves_the_tissue_to_the_statistics_of_the_reference(tissue, brown):
    he, ihc = (Patch(patch.image // 3 + 150, 0.5) for patch in (tissue, brown))  # pale: no colour is clipped
    reference = StainReference.fit([he])
    lab = color.rgb2lab(reinhard(ihc, reference).image)[summed_density(ihc.image) > 0.2]
    np.testing.assert_allclose(lab.mean(axis=0), reference.lab_mean, atol=0.5)
    np.testing.assert_allclose(lab.std(axis=0), reference.lab_std, atol=0.5)


def test_macenko_recovers_a_known_mixture(painted):
    patch, hematoxylin, eosin = painted("eosin", size=160)
    reference = StainReference.fit([patch])
    for found, name in zip(reference.stain_vectors, ("hematoxylin", "eosin"), strict=True):
        assert found @ STAIN_VECTORS[name] > 0.99, name
    expected = [np.percentile(amount[hematoxylin + eosin > 0], 99) for amount in (hematoxylin, eosin)]
    np.testing.assert_allclose(reference.stain_levels, expected, rtol=0.1)


def test_macenko_turns_brown_into_the_second_stain_of_the_reference(brown, reference):
    out = macenko(brown, reference).image
    dark = summed_density(brown.image) > 0.2
    eosin = separate_stains(out, "hematoxylin", "eosin", "dab")[dark]
    assert eosin[:, 2].mean() < 0.1 * separate_stains(brown.image, "hematoxylin", "eosin", "dab")[dark][:, 2].mean()


def test_a_reference_survives_a_file(tmp_path, tissue, reference):
    save_stain_reference([tissue], "he", tmp_path / "he.safetensors")
    again = StainReference.load(tmp_path / "he.safetensors")
    for field in fields(StainReference):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(reference, field.name))


@pytest.mark.parametrize(
    ("card", "found"), [({"kind": "Other"}, "found Other"), ({"config": {}}, "found weights of a network")]
)
def test_other_weights_are_refused(tmp_path, card, found):
    save_weights(tmp_path / "x.safetensors", {}, card)
    with pytest.raises(ValueError, match=rf"x\.safetensors: expected a StainReference, {found}"):
        StainReference.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("patches", [[], [GLASS]])
def test_patches_without_tissue_are_refused(patches):
    with pytest.raises(ValueError, match=f"expected tissue, found 0 tissue pixels in {len(patches)} patches"):
        StainReference.fit(patches)
