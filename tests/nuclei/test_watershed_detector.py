import numpy as np
import pytest

from histolib.imaging import Patch, rgb_from_density
from histolib.nuclei.watershed_detector import detect_watershed


def discs(centres_um, radius_um=3.0, mpp=0.5, size_um=(80, 60), density=(0.4, 0.4, 0.4)):
    """Discs on glass; centres and size (x, y) in microns from the corner of the image."""
    y, x = (np.indices((round(size_um[1] / mpp), round(size_um[0] / mpp))) + 0.5) * mpp
    image = np.zeros((*x.shape, 3))
    for cx, cy in centres_um:
        image[np.hypot(x - cx, y - cy) <= radius_um] = density
    return Patch(rgb_from_density(image), mpp)


def in_um(table, mpp):
    """Centroids in microns from the corner of the image, sorted by x."""
    xy = (table[["x", "y"]].to_numpy() + 0.5) * mpp
    return xy[np.argsort(xy[:, 0])]


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (400, 3), (300, 300)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_images_of_any_size_have_no_nuclei(shape, value):
    table = detect_watershed(Patch(np.full((*shape, 3), value, np.uint8), 0.5), tile_px=192)
    assert sorted(table.columns) == ["area", "area_um2", "contour", "id", "score", "x", "y"]
    assert len(table) == 0


@pytest.mark.parametrize("mpp", [0.25, 0.31, 0.5])
def test_a_disc_is_found_with_its_centre_area_and_outline_at_any_scale(mpp):
    patch = discs([(30, 20)], radius_um=4, mpp=mpp)
    table = detect_watershed(patch)
    assert len(table) == 1
    np.testing.assert_allclose(in_um(table, mpp), [(30, 20)], atol=0.2)
    assert table["area_um2"][0] == pytest.approx(np.pi * 16, rel=0.25)
    assert table["area"][0] * mpp**2 == pytest.approx(table["area_um2"][0])
    distance = np.hypot(*((table["contour"][0] + 0.5) * mpp - (30, 20)).T)
    assert (abs(distance - 4) < 1).all()
    assert table["score"][0] == pytest.approx(1 - 10**-0.4, abs=0.1)  # density 0.4 per channel


def test_touching_discs_are_split_and_one_long_nucleus_is_not():
    touching = [(25, 30), (33, 30)]
    np.testing.assert_allclose(in_um(detect_watershed(discs(touching, radius_um=4.2)), 0.5), touching, atol=0.5)
    long = discs([(x, 30) for x in np.linspace(25, 33, 33)], radius_um=4)
    assert len(detect_watershed(long)) == 1


def test_background_and_stain_do_not_matter():
    centres = [(20, 20), (50, 40)]
    for stain in ((0.5, 0.2, 0.1), (0.1, 0.3, 0.5)):
        patch = discs(centres, density=stain)
        tinted = Patch(rgb_from_density(-np.log10(np.maximum(patch.image, 1) / 255) + 0.2), 0.5)
        for table in (detect_watershed(patch), detect_watershed(tinted)):
            np.testing.assert_allclose(in_um(table, 0.5), centres, atol=0.3)


def test_nuclei_that_are_pale_small_or_large_are_dropped():
    for centres, radius_um, density, count in (
        ([(20, 20)], 3, 0.06, 1), ([(20, 20)], 3, 0.02, 0), ([(0, 20)], 2.5, 0.4, 1), ([(0, 0)], 2.5, 0.4, 0),
        ([(x, 30) for x in range(20, 50)], 4, 0.4, 1), ([(x, 30) for x in range(10, 70)], 4, 0.4, 0),
    ):  # fmt: skip
        assert len(detect_watershed(discs(centres, radius_um, density=density))) == count, (radius_um, density)


def test_a_hole_in_a_nucleus_is_filled():
    ring = discs([(30, 20)], radius_um=5)
    ring.image[38:42, 58:62] = 255
    table = detect_watershed(ring)
    np.testing.assert_allclose(in_um(table, 0.5), [(30, 20)], atol=0.3)
    assert table["area_um2"][0] == pytest.approx(np.pi * 25, rel=0.25)


def test_tiles_give_the_result_of_the_image_in_one_piece():
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(8, 150, 12.0), np.arange(8, 120, 12.0))
    centres = np.stack([x.ravel(), y.ravel()], axis=1) + rng.uniform(-1, 1, (x.size, 2))
    patch = discs(centres, size_um=(151.5, 123.5))
    whole, tiled = detect_watershed(patch), detect_watershed(patch, tile_px=96)
    assert len(whole) == len(centres)
    assert tiled["id"].tolist() == whole["id"].tolist()
    one, other = (table.iloc[np.lexsort(table[["x", "y"]].round(6).to_numpy().T)] for table in (whole, tiled))
    np.testing.assert_allclose(*(table[["x", "y", "area", "score"]] for table in (other, one)), atol=1e-6)
    for contours in zip(other["contour"], one["contour"], strict=True):
        np.testing.assert_array_equal(*contours)
