"""Outlines from a teacher: every nucleus that it finds, and the nuclear pixels around annotated points."""

import numpy as np
import pytest

from histolib.data.samples import KeypointSample
from histolib.imaging import Patch
from histolib.nuclei.pseudo_labels import label_by_teachers, outline_points


@pytest.fixture
def seen(discs, oracle):
    """Two nuclei 60 x 80 px apart in a patch, and a teacher that sees exactly these."""
    truth = discs((60, 80), (20, 20, 8), (60, 40, 8))
    return Patch(np.full((60, 80, 3), 200, np.uint8), 0.25, "tile"), truth, oracle(truth)


def test_the_nuclei_of_the_teacher_become_labels(seen):
    patch, truth, teacher = seen
    sample = label_by_teachers(patch, [(patch, teacher, 1.0)], "a")
    assert (sample.group, sample.types.tolist()) == ("a", [1, 1])
    assert ((sample.instances > 0) == (truth > 0)).mean() > 0.97


@pytest.mark.parametrize(("weight", "agreed"), [(1.0, [1]), (0.2, [1, 1])])
def test_teachers_are_averaged_by_weight(seen, oracle, weight, agreed):
    patch, truth, teacher = seen
    doubtful = oracle(np.where(truth == 1, 1, 0))  # the second teacher sees one of the two nuclei
    sample = label_by_teachers(patch, [(patch, teacher, 1.0), (patch, doubtful, weight)])
    assert sample.types.tolist() == agreed


def test_points_get_the_outline_of_their_nucleus_and_others_a_small_disc(seen):
    patch, truth, teacher = seen
    xy = np.array([[20.0, 20.0], [70.0, 10.0]])  # the second is where the teacher sees nothing
    sample = outline_points(KeypointSample(patch, xy, np.array([0, 0])), np.array([2, 3]), teacher)
    assert sample.types.tolist() == [2, 3]
    assert (sample.instances == 1).sum() == pytest.approx((truth == 1).sum(), rel=0.1)
    assert (sample.instances == 2).sum() == pytest.approx(np.pi * 8**2, rel=0.1)  # 2 microns
    assert not sample.instances[truth == 2].any(), "a nucleus without a point is background"


def test_a_patch_without_points_has_no_nuclei(seen):
    patch, _, teacher = seen
    none = KeypointSample(patch, np.zeros((0, 2)), np.zeros(0, int))
    assert not outline_points(none, np.zeros(0, int), teacher).instances.any()
