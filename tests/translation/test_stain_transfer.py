from dataclasses import fields

import numpy as np
import pytest
from skimage import color

from histolib.imaging import STAIN_VECTORS, Patch, read_patch, separate_stains, summed_density
from histolib.io import save_weights
from histolib.translation import StainReference, recolour_od
from histolib.translation.stain_transfer import macenko, recolour_hed, reinhard

from .conftest import paint

ROUTES = [recolour_od, recolour_hed, reinhard, macenko]
GLASS = Patch(np.full((30, 40, 3), 243, np.uint8), 0.5, "glass")


@pytest.fixture(scope="module")
def reference(tissue: Patch) -> StainReference:
    return StainReference.fit([tissue])


def flat(*colours: tuple[int, int, int]) -> Patch:
    """Stripes of a few colours."""
    return Patch(np.repeat(np.array(colours, np.uint8)[:, None], 40, axis=1).repeat(4, axis=0), 0.5)


@pytest.mark.parametrize("route", ROUTES)
def test_images_without_tissue_or_contrast_survive_and_glass_stays_bright(route, reference):
    black, one_colour = np.zeros((9, 9, 3), np.uint8), np.full((20, 20, 3), (120, 60, 40), np.uint8)
    for image in (GLASS.image[:1, :1], black, one_colour):
        assert route(Patch(image, 0.5), reference).image.shape == image.shape
    assert route(GLASS, reference).image.min() > 210


def test_od_gives_each_density_its_mean_colour_and_macenko_recovers_a_mixture():
    he = flat((200, 100, 160), (100, 200, 160), (60, 40, 90))
    reference = StainReference.fit([he])
    ihc = flat((160, 200, 100), (40, 90, 60), (90, 60, 40))
    out = recolour_od(ihc, reference).image
    np.testing.assert_array_equal(np.unique(out[:4].reshape(-1, 3), axis=0), [[150, 150, 160]])
    np.testing.assert_array_equal(np.unique(out[4:].reshape(-1, 3), axis=0), [[60, 40, 90]])
    patch, hematoxylin, eosin = paint("eosin", size=160, amounts=True)
    reference = StainReference.fit([patch])
    for found, name in zip(reference.stain_vectors, ("hematoxylin", "eosin"), strict=True):
        assert found @ STAIN_VECTORS[name] > 0.99, name
    expected = [np.percentile(amount[hematoxylin + eosin > 0], 99) for amount in (hematoxylin, eosin)]
    np.testing.assert_allclose(reference.stain_levels, expected, rtol=0.1)


def test_colour_tables_have_no_gaps_and_the_gain_reaches_the_densest_stain(reference, tissue):
    for table in (reference.density_colours, reference.hematoxylin_colours):
        assert ((table >= 0) & (table <= 255)).all()
    density = summed_density(reference.density_colours[None])[0]
    seen = summed_density(paint("eosin").image).max()
    assert (np.diff(density[int(seen / 0.02) + 1 :]) >= 0).all()
    assert density[0] < 0.05
    faint = Patch(np.rint(255 * (tissue.image / 255) ** 0.5).astype(np.uint8), 0.5)
    gain = reference.gain(StainReference.fit([faint], "ihc"))
    assert gain == pytest.approx(2, rel=0.03)
    recoloured = summed_density(recolour_od(faint, reference, gain).image)
    assert abs(recoloured - summed_density(tissue.image))[summed_density(tissue.image) > 0.2].mean() < 0.1


def test_brown_is_nucleus_only_for_a_nuclear_marker(reference):
    blue, brown = ((255 * 10 ** -(0.6 * STAIN_VECTORS[s])).astype(int) for s in ("hematoxylin", "dab"))
    patch = flat(tuple(blue), tuple(brown), (255, 255, 255))
    nuclear, membrane = (recolour_od(patch, reference, marker=m).image.astype(int) for m in ("nuclear", "membrane"))
    assert nuclear[4].sum() < nuclear[8].sum() - 150, "brown is nucleus"
    assert abs(membrane[4] - membrane[8]).max() < 30, "brown is as good as nothing"
    assert membrane[0].sum() < membrane[8].sum() - 100, "blue is nucleus"
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


def test_macenko_turns_brown_into_the_second_stain_of_the_reference_and_keeps_the_reference(brown, tissue, reference):
    assert abs(macenko(tissue, reference).image.astype(int) - tissue.image).mean() < 3
    dark = summed_density(brown.image) > 0.2
    before, after = (
        separate_stains(image, "hematoxylin", "eosin", "dab")[dark][:, 2].mean()
        for image in (brown.image, macenko(brown, reference).image)
    )
    assert after < 0.1 * before


def test_a_reference_survives_a_file_and_other_weights_and_glass_are_no_reference(tmp_path, reference):
    path = tmp_path / "x.safetensors"
    reference.save(path)
    again = StainReference.load(path)
    for field in fields(StainReference):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(reference, field.name))
    save_weights(path, {}, {"kind": "Generator"})
    with pytest.raises(ValueError, match=r"x\.safetensors.*StainReference.*Generator"):
        StainReference.load(path)
    for patches in ([], [GLASS]):
        with pytest.raises(ValueError, match=f"0 tissue pixels in {len(patches)} patches"):
            StainReference.fit(patches)


def test_real_tiles_keep_where_their_stain_is(real_data):
    he = [read_patch(path, 0.25) for path in sorted(real_data.glob("consep_tiles/**/train_*.jpg"))[::60]]
    ihc = [read_patch(path, 0.5) for path in sorted(real_data.glob("endonuke/dataset/images/*.png"))[::30]]
    reference = StainReference.fit(he)
    gain = reference.gain(StainReference.fit(ihc, "ihc"))
    assert 0.3 < gain < 0.8, "EndoNuke is stained about twice as densely as CoNSeP"
    for patch in ihc:
        before = summed_density(patch.image)
        for out in (recolour_od(patch, reference, gain), recolour_hed(patch, reference, gain)):
            assert np.corrcoef(before.ravel(), summed_density(out.image).ravel())[0, 1] > 0.9
