"""Matching is optimal and one-to-one; counts, scores and average precision equal known values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from histolib.metrics import detection_scores, match_points, match_points_then_threshold
from histolib.metrics.points import (
    PointCounts,
    count_points,
    f1_from_counts,
    keypoint_average_precision,
    scores_from_counts,
)

NONE = np.zeros((0, 2))
CORNERS = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
clouds = st.integers(0, 12).flatmap(lambda k: arrays(np.float64, (k, 2), elements=st.integers(0, 20).map(float)))


def dense_match(pred, true, radius):
    """Number of pairs and total distance of the best matching, by a full distance matrix."""
    distance = np.linalg.norm(pred[:, None] - true[None], axis=-1)
    cost = np.where(distance <= radius, distance - 1e6, 0.0)
    rows, columns = linear_sum_assignment(cost)
    kept = distance[rows, columns] <= radius
    return int(kept.sum()), distance[rows, columns][kept].sum()


@given(clouds, clouds, st.floats(0.5, 8.0))
def test_matching_equals_the_dense_solution_and_beats_the_other_protocol(pred, true, radius):
    match = match_points(pred, true, radius)
    count, total = dense_match(pred, true, radius)
    assert (len(match.pred), match.distance.sum()) == (count, pytest.approx(total, abs=1e-6))
    assert len(set(match.pred)) == len(set(match.true)) == count
    np.testing.assert_allclose(np.linalg.norm(pred[match.pred] - true[match.true], axis=1), match.distance)
    assert (match.distance <= radius).all()
    assert len(match_points_then_threshold(pred, true, radius).pred) <= count


def test_many_points_chains_and_coincident_points_are_matched_exactly():
    true = np.random.default_rng(0).uniform(0, 5000, (100_000, 2))
    assert len(match_points(true + 0.001, true, 3.0).pred) == 100_000
    x = np.arange(5000.0)
    between = np.stack([np.append(x - 0.4, 4999.6), np.zeros(5001)], axis=1)
    match = match_points(between, np.stack([x, 0 * x], axis=1), 0.61)
    assert (len(match.pred), match.distance.sum()) == (5000, pytest.approx(5000 * 0.4))
    match = match_points(np.ones((40, 2)), np.ones((30, 2)), 1.0)
    assert (len(match.pred), match.distance.sum()) == (30, 0.0)


def test_scores_of_known_and_empty_sets():
    assert detection_scores([[0, 0]], [[3, 0]], 3.0)["tp"] == 1
    assert detection_scores([[0, 0]], [[3.0001, 0]], 3.0)["tp"] == 0
    neither = detection_scores(NONE, NONE, 3.0)
    assert np.isnan([neither[name] for name in ("precision", "recall", "f1", "loc_error")]).all()
    only_pred, only_true = detection_scores([[1, 1]], NONE, 3.0), detection_scores(NONE, [[1, 1]], 3.0)
    assert (only_pred["fp"], only_pred["f1"], only_pred["recall"]) == (1, 0.0, 0.0)
    assert (only_true["fn"], only_true["f1"], only_true["precision"]) == (1, 0.0, 0.0)
    far_pred, far_true = np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([[2.0, 0.0], [-9.0, 0.0]])
    assert count_points(far_pred, far_true, 3.0).counts == (1, 1, 1)
    assert count_points(far_pred, far_true, 3.0, match_points_then_threshold).counts == (0, 2, 2)
    pred, true = [[0, 0], [10, 0], [50, 50]], [[1, 0], [10, 2], [90, 0], [0, 90]]
    expected = {"tp": 2, "fp": 1, "fn": 2, "precision": 2 / 3, "recall": 1 / 2, "f1": 4 / 7, "loc_error": 1.5}
    assert detection_scores(pred, true, 3.0) == pytest.approx(expected)
    one, other = count_points(pred, true, 3.0), count_points([[0, 0]], [[0, 3]], 3.0)
    assert (one, one.counts) == (PointCounts(2, 1, 2, 3.0), (2, 1, 2))
    both = sum([one, other], PointCounts())
    assert both == PointCounts(3, 1, 2, 6.0)
    assert both.scores() == {**scores_from_counts(3, 1, 2), "loc_error": 2.0}
    counts = np.array([[3, 1, 2], [0, 4, 0], [0, 0, 0], [1.5, 0, 0.5]])
    found = f1_from_counts(counts)
    assert found[:2] == pytest.approx([scores_from_counts(*map(int, row))["f1"] for row in counts[:2]])
    assert np.isnan(found[2])
    assert found[3] == f1_from_counts(counts[3]) == pytest.approx(3 / 3.5)


@pytest.mark.parametrize(
    ("pred", "scores", "expected"),
    [
        (CORNERS, [0.1, 0.9, 0.4, 0.4], 1.0),
        ([*CORNERS, (50, 50)], [0.9, 0.8, 0.7, 0.6, 0.1], 1.0),  # the false point has the lowest confidence
        ([*CORNERS, (50, 50)], [0.9, 0.8, 0.7, 0.6, 1.0], 4 / 5),  # the highest: 1/2, 2/3, 3/4, 4/5 raised to 4/5
        ([(0, 0), (50, 50), (100, 0)], [0.9, 0.8, 0.7], (1 + 2 / 3) / 4),
        ([(0, 1), (0, 0)], [0.2, 0.9], 1 / 4),  # an annotation is taken once, by the most confident
        (NONE, [], 0.0),
    ],
)
def test_average_precision_equals_known_values(pred, scores, expected):
    pred, scores = np.asarray(pred, float), np.array(scores)
    assert keypoint_average_precision([pred], [scores], [CORNERS], 3.0) == pytest.approx(expected)


def test_average_precision_has_a_distance_threshold_pools_images_and_is_nan_without_annotations():
    reach = 2.98 * math.sqrt(2 * math.log(2))
    for offset, expected in ((reach - 1e-6, 1.0), (reach + 1e-6, 0.0)):
        pred = np.array([[offset, 0.0]])
        assert keypoint_average_precision([pred], [np.ones(1)], [CORNERS[:1]], 2.98) == expected
    assert keypoint_average_precision([CORNERS, NONE], [np.ones(4), []], [CORNERS, CORNERS], 3.0) == pytest.approx(0.5)
    assert math.isnan(keypoint_average_precision([CORNERS], [np.ones(4)], [NONE], 3.0))
    assert math.isnan(keypoint_average_precision([], [], [], 3.0))
