import subprocess
import sys

import numpy as np
import pytest

from histolib.nuclei import HoverSettings
from histolib.nuclei.augment import augment, restain


def strength(affine, jitter):
    return HoverSettings(affine=affine, jitter=jitter)


@pytest.fixture
def crop(discs):
    ids = discs((90, 90), (30, 40, 12), (62, 45, 9), (45, 75, 6))
    return np.where(ids[..., None] > 0, (120, 60, 140), 245).astype(np.uint8), ids


@pytest.mark.parametrize("affine", [0.0, 0.2])
def test_nuclei_move_with_the_image(crop, affine):
    image, ids = crop
    for seed in range(12):
        changed, moved = augment(image, ids, strength(affine, 0.0), np.random.default_rng(seed))
        assert (changed.shape, changed.dtype, moved.shape) == (image.shape, np.uint8, ids.shape)
        assert set(np.unique(moved)) <= {0, 1, 2, 3}
        assert ((changed.mean(axis=2) < 180) == (moved > 0)).mean() > 0.97


def test_chance_is_the_generator_alone(crop):
    one, two, other = (augment(*crop, strength(0.2, 0.2), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert not np.array_equal(one[0], other[0])


def test_without_strength_pixels_are_only_moved(crop):
    image, ids = crop
    for seed in range(10):
        changed, moved = augment(image, ids, strength(0.0, 0.0), np.random.default_rng(seed))
        assert np.array_equal(np.sort(changed, axis=None), np.sort(image, axis=None))
        assert np.array_equal(np.bincount(moved.astype(int).ravel()), np.bincount(ids.ravel()))


def test_zoom_reaches_as_far_as_it_is_told(crop):
    image, ids = crop
    areas = [(augment(image, ids, strength(0.2, 0.0), np.random.default_rng(seed))[1] == 1).sum() for seed in range(60)]
    ratio = np.array(areas) / (ids == 1).sum()
    assert ratio.max() < 1.25**2
    assert ratio.max() > 1.1**2
    assert ratio.min() < 0.9**2


def test_stains_change_with_the_jitter_and_not_without(crop):
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    means = [restain(image, 0.2, np.random.default_rng(seed)).mean(axis=(0, 1)) for seed in range(30)]
    assert (np.std(means, axis=0) > 2.5).all()
    assert np.abs(restain(image, 0.0, np.random.default_rng(0)).astype(int) - image).max() <= 2


def test_white_glass_keeps_white_when_stains_change():
    glass = np.full((8, 8, 3), 255, np.uint8)
    means = [restain(glass, 0.2, np.random.default_rng(seed)).mean() for seed in range(20)]
    assert np.mean(means) > 235


@pytest.mark.parametrize("side", [1, 7, 200])
def test_crops_of_any_size_without_a_nucleus(side):
    grey, none = np.full((side, side, 3), 200, np.uint8), np.zeros((side, side), int)
    image, ids = augment(grey, none, strength(0.2, 0.2), np.random.default_rng(0))
    assert image.shape == (side, side, 3)
    assert not ids.any()


def test_the_unmaintained_library_is_loaded_when_a_crop_is_drawn_and_not_before():
    code = "import sys, histolib.nuclei, histolib.recipes; sys.exit('albumentations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
