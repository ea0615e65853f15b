"""Phantom tiles are reproducible, their ground truth is consistent, and their stains show it."""

import numpy as np
import pytest
from scipy import ndimage

from histolib.data import phantom
from histolib.imaging import map_points, separate_stains, summed_density


@pytest.fixture(scope="module")
def nuclear():
    return [phantom.draw(3, 256, 0.25, slide=i, tissue="Uterus") for i in range(3)]


@pytest.fixture(scope="module")
def membrane():
    return [phantom.draw(3, 256, 0.25, "membrane", slide=i, tissue="Breast", level=3) for i in range(3)]


def test_arguments_decide_every_byte():
    base = {"seed": 7, "slide": 2, "tile": 5, "size_px": 96}
    one, same = phantom.draw(**base), phantom.draw(**base)
    for a, b in ((one.he.image, same.he.image), (one.ihc.image, same.ihc.image), (one.instances, same.instances)):
        assert np.array_equal(a, b)
    for name in ("types", "xy", "grade"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    for change in ({"seed": 8}, {"slide": 3}, {"tile": 6}):
        assert not np.array_equal(one.he.image, phantom.draw(**base | change).he.image)


def test_the_marker_changes_the_ihc_alone_and_one_tissue_is_seen_at_every_scale():
    nuclear, membrane = (phantom.draw(2, 128, marker=marker, slide=1) for marker in ("nuclear", "membrane"))
    assert np.array_equal(nuclear.he.image, membrane.he.image)
    assert np.array_equal(nuclear.instances, membrane.instances)
    assert not np.array_equal(nuclear.ihc.image, membrane.ihc.image)
    coarse, fine = phantom.draw(5, 128, 0.5, slide=1), phantom.draw(5, 256, 0.25, slide=1)
    nearest = np.abs(map_points(coarse.xy, 2.0)[:, None] - fine.xy[None]).max(-1).min(1)
    assert len(coarse.xy) > 10
    assert np.mean(nearest < 2) > 0.9


@pytest.mark.parametrize(
    ("marker", "size_px", "mpp"),
    [("nuclear", 8, 0.25), ("nuclear", 200, 0.5), ("membrane", 100, 1.0), ("membrane", 256, 0.25)],
)
def test_truth_agrees_with_itself(marker, size_px, mpp):
    for slide in range(2):
        sample = phantom.draw(5, size_px, mpp, marker, slide)
        count = len(sample.types)
        assert sample.he.image.shape == sample.ihc.image.shape == (size_px, size_px, 3)
        assert sample.he.mpp == sample.ihc.mpp == mpp
        assert sample.instances.dtype == np.int32
        assert np.array_equal(np.unique(sample.instances[sample.instances > 0]), np.arange(1, count + 1))
        assert sample.types.shape == sample.grade.shape == (count,)
        assert sample.xy.shape == (count, 2)
        assert np.isin(sample.types, [1, 2, 3, 4, 5]).all()
        assert np.isin(sample.grade, [0, 1, 2, 3]).all()
        for label, (x, y) in enumerate(sample.xy, 1):
            piece, pieces = ndimage.label(sample.instances == label)
            assert pieces == 1
            assert np.allclose((y, x), np.argwhere(piece).mean(0))


def test_stains_show_nuclei_in_both_images_and_brown_follows_the_marker(nuclear, membrane):
    for sample in nuclear:
        for patch in (sample.he, sample.ihc):
            density, inside = summed_density(patch.image), sample.instances > 0
            assert density[inside].mean() > 1.5 * density[~inside].mean()
    for sample in membrane:
        inside = sample.instances > 0
        blue, dab = separate_stains(sample.ihc.image, "hematoxylin", "dab").transpose(2, 0, 1)
        assert blue[inside].mean() > 1.4 * blue[~inside].mean()
        cells = np.isin(np.r_[0, sample.grade][sample.instances], [2, 3])
        around = ndimage.binary_dilation(cells, iterations=8) & (sample.instances == 0)
        assert cells.any()
        assert np.percentile(dab[around], 90) > 3 * np.percentile(dab[ndimage.binary_erosion(cells, iterations=4)], 75)
        assert not sample.grade[np.isin(sample.types, [2, 3, 4])].any()


def test_brown_follows_the_grade_of_the_nucleus_and_the_level(nuclear):
    brown, grade = [], []
    for sample in nuclear:
        dab = separate_stains(sample.ihc.image, "hematoxylin", "dab")[..., 1]
        brown.append(ndimage.mean(dab, sample.instances, np.arange(1, len(sample.grade) + 1)))
        grade.append(sample.grade)
    means = [np.concatenate(brown)[np.concatenate(grade) == g].mean() for g in range(4)]
    assert np.all(np.diff(means) > 0.05)
    brown = []
    for level in range(4):
        tiles = [phantom.draw(4, 128, 0.46, "membrane", slide, 0, "Breast", level).ihc.image for slide in range(3)]
        brown.append(np.mean([np.percentile(separate_stains(t, "hematoxylin", "dab")[..., 1], 90) for t in tiles]))
    assert np.all(np.diff(brown) > 0)
