import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histolib.nuclei import hover_targets

maps = arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 4))


def by_pixel(instances):
    """The definition, a nucleus and a direction at a time."""
    targets = np.zeros((*instances.shape, 2))
    for number in set(instances[instances != 0].tolist()):
        rows, columns = np.nonzero(instances == number)
        for channel, position in enumerate((columns, rows)):
            distance = position - position.mean()
            for row, column, value in zip(rows, columns, distance, strict=True):
                side = [abs(other) for other in distance if other * value > 0]
                targets[row, column, channel] = value / max(side) if side else 0
    return targets


@settings(max_examples=60, deadline=None)
@given(maps)
def test_targets_follow_the_definition(instances):
    found = hover_targets(instances)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_pixel(instances), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(maps)
def test_mirroring_mirrors_the_horizontal_and_turning_exchanges_both(instances):
    found = hover_targets(instances)
    np.testing.assert_allclose(hover_targets(instances[:, ::-1]), found[:, ::-1] * (-1, 1), atol=1e-6)
    np.testing.assert_allclose(hover_targets(instances.T), found.transpose(1, 0, 2)[..., ::-1], atol=1e-6)


def test_both_sides_reach_one_and_touching_nuclei_jump(discs):
    instances = discs((40, 60), (18, 20, 10), (39, 20, 10))
    targets = hover_targets(instances)
    for number in (1, 2):
        inside = targets[instances == number]
        np.testing.assert_array_equal(inside.min(axis=0), [-1, -1])
        np.testing.assert_array_equal(inside.max(axis=0), [1, 1])
    assert targets[20, 28, 0] == 1
    assert targets[20, 29, 0] == -1
    assert not targets[instances == 0].any()


def test_a_lopsided_nucleus_is_scaled_on_each_side_by_itself():
    instances = np.zeros((3, 9), np.int32)
    instances[:, :2] = 1
    instances[1, :9] = 1  # centre of mass left of the middle
    centre = np.nonzero(instances)[1].mean()
    row = hover_targets(instances)[1, :, 0]
    np.testing.assert_allclose(
        row, [(x - centre) / (centre if x < centre else 8 - centre) for x in range(9)], atol=1e-6
    )


def test_no_nucleus_one_pixel_and_the_whole_image_have_targets():
    assert not hover_targets(np.zeros((5, 7), np.int32)).any()
    assert hover_targets(np.ones((1, 1), np.int32)).tolist() == [[[0.0, 0.0]]]
    whole = hover_targets(np.full((3, 5), 9))
    np.testing.assert_allclose(whole[0, :, 0], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(whole[:, 0, 1], [-1, 0, 1])


def test_huge_ids_and_many_nuclei_cost_no_more_than_their_pixels():
    instances = np.zeros((1000, 1000), np.int64)
    instances[::10, ::10] = 10**12 + np.arange(10_000).reshape(100, 100)
    instances[1::10, ::10] = instances[::10, ::10]
    targets = hover_targets(instances)
    assert (targets[::10, ::10] == (0, -1)).all()
    assert (targets[1::10, ::10] == (0, 1)).all()
