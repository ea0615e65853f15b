"""Matching must be exact, one-to-one and blind to order, for none, one and very many points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from histolib.metrics import (
    detection_scores,
    f1_from_counts,
    match_points,
    match_points_then_threshold,
    points,
    scores_from_counts,
)

NONE = np.zeros((0, 2))
clouds = st.integers(0, 12).flatmap(lambda k: arrays(np.float64, (k, 2), elements=st.integers(0, 20).map(float)))


def dense_match(pred, true, radius):
    """Number of pairs and total distance of the best matching, by a full distance matrix."""
    distance = np.linalg.norm(pred[:, None] - true[None], axis=-1)
    cost = np.where(distance <= radius, distance - 1e6, 0.0)
    rows, columns = linear_sum_assignment(cost)
    kept = distance[rows, columns] <= radius
    return int(kept.sum()), distance[rows, columns][kept].sum()


@given(clouds, clouds, st.floats(0.5, 8.0))
def test_equals_the_dense_solution(pred, true, radius):
    match = match_points(pred, true, radius)
    count, total = dense_match(pred, true, radius)
    assert len(match.pred) == count
    assert match.distance.sum() == pytest.approx(total, abs=1e-6)
    assert len(set(match.pred)) == len(set(match.true)) == count
    np.testing.assert_allclose(np.linalg.norm(pred[match.pred] - true[match.true], axis=1), match.distance)
    assert (match.distance <= radius).all()


@given(clouds, clouds, st.floats(0.5, 8.0))
def test_the_other_protocol_never_finds_more(pred, true, radius):
    assert len(match_points_then_threshold(pred, true, radius).pred) <= len(match_points(pred, true, radius).pred)


def test_no_hit_is_traded_for_a_far_pair():
    pred, true = np.array([[0.0, 0.0], [4.0, 0.0]]), np.array([[3.0, 0.0], [-3.0, 0.0]])
    both = match_points(pred, true, 3.0)
    assert list(zip(both.pred, both.true, strict=True)) == [(0, 1), (1, 0)]
    far_pred, far_true = np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([[2.0, 0.0], [-9.0, 0.0]])
    assert len(match_points(far_pred, far_true, 3.0).pred) == 1
    assert len(match_points_then_threshold(far_pred, far_true, 3.0).pred) == 0


def test_a_pair_at_the_radius_is_a_hit_and_beyond_is_none():
    assert detection_scores([[0, 0]], [[3, 0]], 3.0)["tp"] == 1
    assert detection_scores([[0, 0]], [[3.0001, 0]], 3.0)["tp"] == 0


def test_empty_sets_score_zero_or_nan():
    assert np.isnan(detection_scores(NONE, NONE, 3.0)["f1"])
    only_pred, only_true = detection_scores([[1, 1]], NONE, 3.0), detection_scores(NONE, [[1, 1]], 3.0)
    assert (only_pred["fp"], only_pred["f1"], only_pred["recall"]) == (1, 0.0, 0.0)
    assert (only_true["fn"], only_true["f1"], only_true["precision"]) == (1, 0.0, 0.0)


def test_scores_of_a_known_case():
    scores = detection_scores([[0, 0], [10, 0], [50, 50]], [[1, 0], [10, 2], [90, 0], [0, 90]], 3.0)
    assert (scores["tp"], scores["fp"], scores["fn"]) == (2, 1, 2)
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == pytest.approx(1 / 2)
    assert scores["f1"] == pytest.approx(4 / 7)
    assert scores["loc_error"] == pytest.approx(1.5)


def test_a_hundred_thousand_shifted_points_all_match():
    true = np.random.default_rng(0).uniform(0, 5000, (100_000, 2))
    match = match_points(true + 0.001, true, 3.0)
    assert len(match.pred) == 100_000


def test_a_crowd_in_which_all_points_reach_each_other_is_solved_exactly():
    rng = np.random.default_rng(0)
    pred, true = rng.uniform(0, 2, (150, 2)), rng.uniform(0, 2, (200, 2))
    match = match_points(pred, true, 3.0)
    count, total = dense_match(pred, true, 3.0)
    assert len(match.pred) == count == 150
    assert match.distance.sum() == pytest.approx(total, abs=1e-6)


def test_a_chain_of_thousands_that_hang_together_is_solved_exactly():
    x = np.arange(5000.0)
    true = np.stack([x, 0 * x], axis=1)
    between = np.stack([np.append(x - 0.4, 4999.6), np.zeros(5001)], axis=1)
    match = match_points(between, true, 0.61)
    assert len(match.pred) == 5000
    assert match.distance.sum() == pytest.approx(5000 * 0.4)


def test_points_at_one_place_all_match_at_no_distance():
    match = match_points(np.ones((40, 2)), np.ones((30, 2)), 1.0)
    assert (len(match.pred), match.distance.sum()) == (30, 0.0)


def test_what_would_need_too_much_memory_is_refused_with_the_counts(monkeypatch):
    many = np.zeros((30_000, 2))
    with pytest.raises(ValueError, match=r"within 3, found 900,000,000 between 30,000 predicted and 30,000 annotated"):
        match_points(many, many, 3.0)
    with pytest.raises(ValueError, match=r"found 30,000 predicted x 30,000 annotated points"):
        match_points_then_threshold(many, many, 3.0)
    monkeypatch.setattr(points, "MOST_NEAR_PAIRS", 4)
    assert len(match_points(many[:2], many[:2], 1.0).pred) == 2, "as many as allowed are no error"


@pytest.mark.parametrize(
    ("pred", "radius", "message"),
    [
        (np.zeros((3, 3)), 3.0, r"pred_xy: expected points of shape \(K, 2\), found \(3, 3\)"),
        ([[np.nan, 0]], 3.0, "pred_xy: expected finite"),
        ([[0, 0]], 0.0, "radius > 0"),
        ([[0, 0]], float("nan"), "radius > 0"),
    ],
)
def test_bad_input_is_named(pred, radius, message):
    with pytest.raises(ValueError, match=message):
        match_points(np.asarray(pred), np.array([[0.0, 0.0]]), radius)
    with pytest.raises(ValueError, match=message):
        match_points_then_threshold(np.asarray(pred), np.array([[0.0, 0.0]]), radius)


def test_f1_of_many_counts_is_that_of_each():
    counts = np.array([[3, 1, 2], [0, 4, 0], [0, 0, 0], [1.5, 0, 0.5]])
    found = f1_from_counts(counts)
    assert found[:2] == pytest.approx([scores_from_counts(*map(int, row))["f1"] for row in counts[:2]])
    assert np.isnan(found[2])
    assert found[3] == pytest.approx(3 / 3.5)
    assert f1_from_counts(counts[0]) == found[0]
