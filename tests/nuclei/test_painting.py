from dataclasses import replace

import numpy as np
import pytest

from histolib.data import InstanceSample
from histolib.imaging import Patch, summed_density
from histolib.nuclei import HoverSettings
from histolib.nuclei.augment import augment
from histolib.nuclei.painting import paint_ihc, paint_samples, recolour_by_density


@pytest.fixture
def crop(discs):
    ids = discs((90, 90), (30, 40, 12), (62, 45, 9), (45, 75, 6))
    return np.where(ids[..., None] > 0, (120, 60, 140), (240, 215, 225)).astype(np.uint8), ids


def test_painted_nuclei_are_where_they_were_and_darker_than_what_surrounds_them(crop):
    image, ids = crop
    for seed in range(20):
        density = summed_density(paint_ihc(image, ids, 0.5, np.random.default_rng(seed)))
        means = [density[ids == nucleus].mean() for nucleus in (1, 2, 3)]
        assert np.median(means) > density[ids == 0].mean()


def test_some_painted_nuclei_are_brown_and_some_are_blue(crop):
    image, ids = crop
    hue = []
    for seed in range(40):
        painted = paint_ihc(image, ids, 0.5, np.random.default_rng(seed)).astype(float)
        hue += [(painted[ids == nucleus] @ (1, 0, -1)).mean() for nucleus in (1, 2, 3)]  # red over blue
    assert 0.3 < np.mean(np.array(hue) > 0) < 0.9


@pytest.mark.parametrize("mpp", [0.25, 0.5])
@pytest.mark.parametrize("side", [1, 7, 130])
def test_any_size_and_no_nucleus(mpp, side):
    image = np.full((side, side, 3), 230, np.uint8)
    for seed in range(8):
        painted = paint_ihc(image, np.zeros((side, side), int), mpp, np.random.default_rng(seed))
        assert (painted.shape, painted.dtype) == (image.shape, np.uint8)
        assert recolour_by_density(image, np.random.default_rng(seed)).shape == image.shape


def test_a_density_decides_the_colour(crop):
    image, ids = crop
    for seed in range(5):
        changed = recolour_by_density(image, np.random.default_rng(seed))
        for part in (ids > 0, ids == 0):
            assert (changed[part] == changed[part][0]).all()
        assert changed[ids > 0].sum() / (ids > 0).sum() < changed[ids == 0].sum() / (ids == 0).sum()


def test_shares_say_how_many_crops_are_shown_in_another_stain(crop):
    image, ids = crop
    plain = HoverSettings(affine=0, jitter=0)
    for settings, expected in ((plain, 0), (replace(plain, painted=0.5), 0.5), (replace(plain, recoloured=1.0), 1)):
        changed = [
            not np.isin(augment(image, ids, settings, np.random.default_rng(seed))[0], image).all()
            for seed in range(60)
        ]
        assert np.mean(changed) == pytest.approx(expected, abs=0.15)


def test_shares_beyond_all_crops_are_refused():
    for shares in ({"painted": 0.7, "recoloured": 0.4}, {"painted": -0.1}):
        with pytest.raises(ValueError, match="together at most 1"):
            HoverSettings(**shares)


def test_painted_samples_keep_their_outlines_and_come_out_the_same_twice(crop):
    image, ids = crop
    sample = InstanceSample(Patch(image, 0.5, "a"), ids.astype(np.int32), np.ones(3, np.int64), "", "g")
    one, two = (paint_samples([sample, sample], seed=3) for _ in range(2))
    assert np.array_equal(one[0].patch.image, two[0].patch.image)
    assert not np.array_equal(one[0].patch.image, one[1].patch.image)
    assert one[0].instances is sample.instances
    assert one[0].patch.name == "a"
