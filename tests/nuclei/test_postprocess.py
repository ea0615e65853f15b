import cv2
import numpy as np
import pytest
from skimage.measure import regionprops

from histolib.nuclei import describe_instances, hover_targets, postprocess, watershed_steps
from histolib.nuclei.postprocess import published_thresholds

from .published import published_watershed


def crowd(rng, shape, count, discs):
    """Overlapping discs, some cut by the border, and noisy maps of them."""
    circles = np.column_stack([rng.uniform((0, 0), shape[::-1], (count, 2)), rng.uniform(3, 14, count)])
    instances = discs(shape, *circles)
    probability = np.clip((instances > 0) * 0.8 + 0.1 + rng.normal(0, 0.15, shape), 0, 1).astype(np.float32)
    return instances, probability, (hover_targets(instances) + rng.normal(0, 0.1, (*shape, 2))).astype(np.float32)


@pytest.mark.parametrize(
    ("seed", "shape", "count"), [(0, (120, 150), 25), (1, (64, 200), 60), (2, (30, 25), 3), (3, (90, 90), 0)]
)
def test_the_label_map_is_that_of_the_published_procedure(seed, shape, count, discs):
    _, probability, hv = crowd(np.random.default_rng(seed), shape, count, discs)
    found = postprocess(probability, hv)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, published_watershed(probability, hv))
    assert bool(found.any()) == bool(count)


def test_the_steps_are_consistent_and_thresholds_follow_the_scale(discs):
    _, probability, hv = crowd(np.random.default_rng(5), (90, 120), 30, discs)
    steps = watershed_steps(probability, hv)
    np.testing.assert_array_equal(steps.instances, postprocess(probability, hv))
    assert (probability[steps.nuclear] >= 0.5).all()
    assert not steps.edges[~steps.nuclear].any()
    assert -1 <= steps.basins.min() < steps.basins.max() <= 0
    seeded = (steps.markers > 0) & steps.nuclear  # holes between nuclei are filled too
    assert (steps.instances[seeded] == steps.markers[seeded]).all()
    strict = watershed_steps(probability, hv, edge_threshold=0.2)
    assert (strict.markers > 0).sum() < (steps.markers > 0).sum()
    instances = discs((40, 40), (10, 10, 1), (28, 28, 8))
    maps = (instances > 0) * np.float32(0.6), hover_targets(instances)
    assert len(np.unique(postprocess(*maps))) == 2
    assert not postprocess(*maps, np_threshold=0.7).any()
    assert not postprocess(*maps, min_area_px=500).any()
    with pytest.raises(ValueError, match=r"found \(4, 5\) and \(5, 4, 2\)"):
        postprocess(np.zeros((4, 5)), np.zeros((5, 4, 2)))
    with pytest.raises(ValueError, match=r"\(4, 5\), found \(5, 4\)"):
        describe_instances(np.zeros((4, 5), int), np.zeros((5, 4), int))
    assert published_thresholds(0.25) == {"min_area_px": 10, "sobel_px": 21, "opening_px": 5}
    assert published_thresholds(0.5) == {"min_area_px": 3, "sobel_px": 11, "opening_px": 3}
    for mpp in (0.05, 0.1, 1.0, 2.0):
        sides = published_thresholds(mpp)
        assert sides["sobel_px"] % 2 == sides["opening_px"] % 2 == 1
        assert 3 <= sides["sobel_px"] <= 31


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (50, 60)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_blank_and_flat_maps_of_any_shape_are_accepted(shape, value):
    found = postprocess(np.full(shape, value, np.float32), np.zeros((*shape, 2), np.float32))
    assert found.shape == shape
    assert found.any() <= bool(value)
    if not value:
        assert describe_instances(found, found).empty


def test_the_table_agrees_with_an_independent_measurement_and_contours_enclose_their_nucleus(discs):
    instances = discs((90, 110), (50, 20, 12), (3, 45, 6), (90, 60, 14), (80, 55, 9))
    instances[instances > 0] += 1000 * (instances[instances > 0] % 3)  # ids with gaps
    instances[89, 2] = 65_535  # of one pixel
    for labels in (instances, np.ones((7, 9), np.int64)):
        table, regions = describe_instances(labels, np.zeros(labels.shape, np.uint8)), regionprops(labels)
        assert table["id"].tolist() == [region.label for region in regions]
        assert table["area"].tolist() == [region.area for region in regions]
        assert {*table["type"], *table["type_prob"]} == {0, 1.0}
        np.testing.assert_allclose(table[["y", "x"]], [region.centroid for region in regions])
        for row in table.itertuples():
            filled = cv2.fillPoly(np.zeros(labels.shape, np.uint8), [row.contour.astype(np.int32)], 1)
            np.testing.assert_array_equal(filled > 0, labels == row.id)


def test_the_type_is_the_most_frequent_one_that_is_not_background():
    instances = np.repeat([[1, 2, 3, 4]], 10, axis=0).astype(np.int32)
    types = np.zeros_like(instances)
    types[:, 0] = [0] * 6 + [2] * 3 + [5]  # background leads: the second is taken
    types[:, 1] = [3] * 5 + [1] * 5  # equals: the smaller
    types[:, 3] = 4
    table = describe_instances(instances, types)
    assert table["type"].tolist() == [2, 1, 0, 4]
    np.testing.assert_allclose(table["type_prob"], [0.3, 0.5, 1.0, 1.0])
