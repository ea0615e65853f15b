"""Staining scores of nuclei whose stains are known by construction."""

import numpy as np

from histolib.ensemble import Nuclei
from histolib.ensemble.staining import allred_score, dab_density, nuclear_density, stain_vectors, staining_scores
from histolib.imaging import STAIN_VECTORS, Patch, rgb_from_density

HEMATOXYLIN, DAB = STAIN_VECTORS["hematoxylin"], STAIN_VECTORS["dab"]


def test_density_is_the_mean_inside_the_outline_or_in_a_disc_of_three_microns():
    density = np.zeros((60, 80, 3))
    density[10:20, 10:30] = 0.5 * HEMATOXYLIN
    rows, columns = np.indices((60, 80))
    density[np.hypot(columns - 60, rows - 40) <= 6.5] = 0.8 * DAB  # 3.25 microns
    patch = Patch(rgb_from_density(density), 0.5)
    square = np.array([[10, 10], [29, 10], [29, 19], [10, 19]])
    nuclei = Nuclei(np.array([[20.0, 15.0], [60.0, 40.0]]), np.ones(2), contours=(square, np.zeros((0, 2))))
    found, glass, between = nuclear_density(patch, nuclei)
    np.testing.assert_allclose(found, [0.5 * HEMATOXYLIN, 0.8 * DAB], atol=0.01)
    np.testing.assert_array_equal([glass, between], np.zeros((2, 3)))
    dab = dab_density(found, between, np.stack([HEMATOXYLIN, DAB]))
    np.testing.assert_allclose(dab, [0, 0.8], atol=0.01)
    nothing, *_ = nuclear_density(patch, Nuclei(np.zeros((0, 2)), np.zeros(0)))
    assert nothing.shape == (0, 3)


def test_hematoxylin_is_that_of_the_bluest_nuclei_unless_these_are_few_or_brown():
    own = np.array([0.6, 0.6, 0.5]) / np.linalg.norm([0.6, 0.6, 0.5])
    slide = np.concatenate([np.tile(0.5 * own, (30, 1)), np.tile(0.3 * own + 0.6 * DAB, (70, 1))])
    np.testing.assert_allclose(stain_vectors(slide), [own, DAB], atol=1e-6)
    for few in (slide[:19], slide[30:], slide[:0]):
        np.testing.assert_array_equal(stain_vectors(few), [HEMATOXYLIN, DAB])


def test_scores_of_known_counts_and_their_intervals():
    scores = staining_scores(np.array([[[50, 20, 20, 10]], [[0, 0, 0, 0]]]))
    assert (scores["n"], scores["counts"]) == (100, [50, 20, 20, 10])
    assert (scores["positivity"], scores["h_score"], scores["allred"]) == (50.0, 90.0, 4 + 2)
    assert np.isnan(scores["positivity_ci95"]).all(), "one tile with nuclei gives no interval"
    same = staining_scores([[5, 5, 0, 0]] * 8)
    assert same["positivity_ci95"] == [50.0, 50.0]
    low, high = staining_scores([[10, 0, 0, 0], [0, 0, 0, 10]] * 10)["h_score_ci95"]
    assert 60 < low < 120 < 180 < high < 240
    nothing = staining_scores(np.zeros((0, 4)))
    assert (nothing["n"], nothing["allred"]) == (0, 0)
    assert np.isnan(nothing["positivity"])


def test_allred_adds_the_share_and_the_mean_intensity():
    counts = np.array([(9, 0, 0, 0), (999, 1, 0, 0), (99, 0, 0, 1), (70, 30, 0, 0), (30, 0, 70, 0), (0, 0, 0, 9)])
    assert list(map(allred_score, counts)) == [0, 2, 5, 4, 7, 8]
