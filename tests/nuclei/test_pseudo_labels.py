"""Labels from teachers: a disc for every nucleus that they find, and the nuclear pixels around annotated points."""

import numpy as np
import pytest

from histolib.data.samples import KeypointSample
from histolib.imaging import Patch
from histolib.nuclei.pseudo_labels import label_by_teachers, outline_points


@pytest.fixture
def seen(discs, oracle):
    """Two nuclei 60 x 80 px apart in a patch, and a teacher that sees exactly these."""
    truth = discs((60, 80), (20, 20, 8), (60, 40, 8))
    return Patch(np.full((60, 80, 3), 200, np.uint8), 0.25, "tile"), truth, oracle(truth, types=[1, 1])


def test_the_nuclei_of_the_teachers_become_discs_of_3_microns_by_their_weights(seen, oracle):
    patch, truth, teacher = seen
    sample = label_by_teachers(patch, [(patch, teacher, 1.0)], "a")
    assert (sample.group, sample.types.tolist()) == ("a", [1, 1])
    np.testing.assert_allclose(sample.xy, [[20, 20], [60, 40]], atol=1)
    assert (sample.instances == 1).sum() == pytest.approx(np.pi * 12**2, rel=0.05)
    doubtful = oracle(np.where(truth == 1, 1, 0))  # the second teacher sees one of the two nuclei
    for weight, agreed in ((1.0, [1]), (0.2, [1, 1])):
        sample = label_by_teachers(patch, [(patch, teacher, 1.0), (patch, doubtful, weight)])
        assert sample.types.tolist() == agreed


def test_points_get_the_outline_of_their_nucleus_or_a_small_disc_and_sure_nuclei_are_kept(seen, oracle):
    patch, truth, teacher = seen
    xy = np.array([[20.0, 20.0], [70.0, 10.0]])  # the second is where the teacher sees nothing
    sample = outline_points(KeypointSample(patch, xy, np.array([0, 0])), np.array([2, 3]), teacher)
    assert sample.types.tolist() == [2, 3, 1], "the third has no point; its type is the teacher's"
    for number in (1, 2):
        assert (sample.instances == {1: 1, 2: 3}[number]).sum() == pytest.approx((truth == number).sum(), rel=0.1)
    assert (sample.instances == 2).sum() == pytest.approx(np.pi * 8**2, rel=0.1)  # 2 microns
    none, blind = KeypointSample(patch, np.zeros((0, 2)), np.zeros(0, int)), oracle(truth * 0, types=[])
    assert not outline_points(none, np.zeros(0, int), blind).instances.any()
