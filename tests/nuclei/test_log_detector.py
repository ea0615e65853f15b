import numpy as np
import pytest

from histolib.data import EndoNuke
from histolib.imaging import STAIN_VECTORS, Patch, rgb_from_density
from histolib.metrics.points import PointCounts, count_points
from histolib.nuclei import detect_log

CENTRES = np.array([(30.0, 40.0), (75.0, 40.0), (52.0, 90.0)])


def discs(mpp, stain):
    """Stained discs of 3 microns at `CENTRES`, in half microns, on glass."""
    side = round(60 / mpp)
    y, x = (np.indices((side, side)) + 0.5) * mpp
    density = np.zeros((side, side, 3))
    for cx, cy in (CENTRES + 0.5) * 0.5:
        density[(x - cx) ** 2 + (y - cy) ** 2 <= 9] = 0.8 * STAIN_VECTORS[stain]
    return Patch(rgb_from_density(density), mpp)


def assert_found(xy, mpp):
    assert len(xy) == len(CENTRES)
    for point in (CENTRES + 0.5) * 0.5 / mpp - 0.5:
        assert np.hypot(*(xy - point).T).min() * mpp < 0.4


@pytest.mark.parametrize("mpp", [0.25, 0.31, 0.5, 0.8])
@pytest.mark.parametrize("stain", ["hematoxylin", "dab"])
def test_discs_are_found_at_their_centres_at_any_scale(mpp, stain):
    xy, score = detect_log(discs(mpp, stain))
    assert_found(xy, mpp)
    assert (score > 0.25).tolist() == [True] * 3


@pytest.mark.parametrize("marker", ["membrane", "cytoplasm"])
def test_brown_is_no_nucleus_for_other_markers(marker):
    patch = discs(0.5, "hematoxylin")
    xy, score = detect_log(patch, marker=marker)
    assert_found(xy, 0.5)
    np.testing.assert_allclose(score, detect_log(patch)[1], rtol=0.02)
    assert len(detect_log(discs(0.5, "dab"), marker=marker)[0]) == 0


def test_a_flat_maximum_is_one_point():
    # An even number of pixels at the working scale: the maximum is shared by neighbours.
    image = np.full((60, 60, 3), 255, np.uint8)
    image[26:34, 24:34] = 90
    xy, _ = detect_log(Patch(image, 0.5))
    np.testing.assert_allclose(xy, [(28.5, 29.5)], atol=1e-6)


@pytest.mark.parametrize(("shape", "value"), [((1, 1), 0), ((1, 50), 255), ((400, 3), 0), ((2202, 2202), 255)])
def test_blank_images_of_any_size_have_no_nuclei(shape, value):
    xy, score = detect_log(Patch(np.full((*shape, 3), value, np.uint8), 0.5))
    assert (xy.shape, score.shape) == ((0, 2), (0,))


def test_the_f1_on_real_tiles_does_not_fall(real_data):
    tiles = EndoNuke(real_data / "endonuke")
    counts = (count_points(detect_log(tile.patch)[0], tile.xy, 3.0 / tile.patch.mpp) for tile in tiles)
    assert sum(counts, PointCounts()).scores()["f1"] >= 0.77
