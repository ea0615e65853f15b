import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histolib.nuclei import hover_targets

maps = arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 4))


def by_pixel(instances):
    """The definition, for one nucleus and one direction at a time."""
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


def test_huge_ids_and_many_nuclei_are_handled():
    instances = np.zeros((1000, 1000), np.int64)
    instances[::10, ::10] = 10**12 + np.arange(10_000).reshape(100, 100)
    instances[1::10, ::10] = instances[::10, ::10]
    targets = hover_targets(instances)
    assert (targets[::10, ::10] == (0, -1)).all()
    assert (targets[1::10, ::10] == (0, 1)).all()
