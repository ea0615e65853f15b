from dataclasses import replace

import numpy as np
import pytest

from histolib.config import profile
from histolib.imaging import summed_density
from histolib.nuclei import paint_samples
from histolib.nuclei.augmentation import augment, paint_ihc, recolour_by_density, restain

PLAIN = replace(profile("full").hovernet, affine=0.0, jitter=0.0)
ZOOM = replace(PLAIN, affine=0.2)
STRONG = replace(PLAIN, affine=0.2, jitter=0.2)


@pytest.fixture
def crop(discs):
    ids = discs((90, 90), (30, 40, 12), (62, 45, 9), (45, 75, 6))
    return np.where(ids[..., None] > 0, (120, 60, 140), (250, 240, 245)).astype(np.uint8), ids


def test_nuclei_move_with_the_image_and_the_zoom_covers_its_range(crop):
    image, ids = crop
    areas = []
    for seed in range(60):
        changed, moved = augment(image, ids, ZOOM, np.random.default_rng(seed))
        assert (changed.shape, changed.dtype, moved.shape) == (image.shape, np.uint8, ids.shape)
        assert ((changed.mean(axis=2) < 180) == (moved > 0)).mean() > 0.97
        areas.append((moved == 1).sum() / (ids == 1).sum())
    assert min(areas) < 0.9**2
    assert 1.1**2 < max(areas) < 1.25**2
    for seed in range(10):  # without strength pixels only move
        changed, moved = augment(image, ids, PLAIN, np.random.default_rng(seed))
        assert np.array_equal(np.sort(changed, axis=None), np.sort(image, axis=None))
        assert ((changed.mean(axis=2) < 180) == (moved > 0)).all()
    one, two, other = (augment(*crop, STRONG, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(map(np.array_equal, one, two))
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("side", [1, 7, 130])
def test_crops_of_any_size_without_nuclei(side):
    grey, none = np.full((side, side, 3), 200, np.uint8), np.zeros((side, side), int)
    image, ids = augment(grey, none, STRONG, np.random.default_rng(0))
    assert (image.shape, ids.any()) == (grey.shape, False)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        assert all(paint_ihc(grey, none, mpp, rng).shape == grey.shape for mpp in (0.25, 0.5))
        assert recolour_by_density(grey, rng).shape == grey.shape


def test_painted_nuclei_keep_their_place_and_colours_follow_the_density(crop):
    image, ids = crop
    red_over_blue, denser = [], []
    for seed in range(40):
        painted = paint_ihc(image, ids, 0.5, np.random.default_rng(seed))
        density = summed_density(painted)
        denser.append(np.median([density[ids == nucleus].mean() for nucleus in (1, 2, 3)]) > density[ids == 0].mean())
        red_over_blue += [(painted[ids == nucleus] @ np.array([1.0, 0, -1])).mean() for nucleus in (1, 2, 3)]
    assert np.mean(denser) > 0.8, "pale counterstain on dense tissue is rare"
    assert 0.3 < np.mean(np.array(red_over_blue) > 0) < 0.9
    for seed in range(5):
        changed = recolour_by_density(image, np.random.default_rng(seed))
        for part in (ids > 0, ids == 0):
            assert (changed[part] == changed[part][0]).all()
        assert changed[ids > 0].mean() < changed[ids == 0].mean()
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    means = [restain(image, 0.2, np.random.default_rng(seed)).mean(axis=(0, 1)) for seed in range(30)]
    assert (np.std(means, axis=0) > 2.5).all()
    assert np.abs(restain(image, 0.0, np.random.default_rng(0)).astype(int) - image).max() <= 2
    glass = np.full((8, 8, 3), 255, np.uint8)
    assert np.mean([restain(glass, 0.2, np.random.default_rng(seed)) for seed in range(20)]) > 235


@pytest.mark.parametrize(("share", "expected"), [({}, 0), ({"painted": 0.5}, 0.5), ({"recoloured": 1.0}, 1)])
def test_the_shares_set_how_many_crops_change_their_stain(crop, share, expected):
    settings = replace(PLAIN, **share)
    drawn = (augment(*crop, settings, np.random.default_rng(seed))[0] for seed in range(60))
    assert np.mean([not np.isin(image, crop[0]).all() for image in drawn]) == pytest.approx(expected, abs=0.15)


def test_painted_samples_are_reproducible_and_keep_their_outlines(crop, sample):
    tile = sample(crop[1], name="a")
    one, two = (paint_samples([tile, tile], seed=3) for _ in range(2))
    assert np.array_equal(one[0].patch.image, two[0].patch.image)
    assert not np.array_equal(one[0].patch.image, one[1].patch.image)
    assert one[0].instances is tile.instances
    assert one[0].patch.name == "a"
