"""Segmentation scores must equal a brute-force version, and known values on hand-made maps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from histolib.metrics import instances, segmentation_scores

label_maps = arrays(np.int32, (9, 9), elements=st.sampled_from([0, 0, 1, 2, 5, 9]))


def brute_force(pred, true):
    """A mask for each nucleus and a look at each pair; ties ranked as in HoVer-Net's published code."""
    preds = [pred == k for k in np.unique(pred) if k]
    trues = [true == k for k in np.unique(true) if k]
    inter = np.array([[(p & t).sum() for p in preds] for t in trues])
    union = np.array([[(p | t).sum() for p in preds] for t in trues])
    iou, rank = inter / union, inter / (union + 1e-6)

    def jaccard(pairs):
        whole = sum(union[pair] for pair in pairs)
        whole += sum(t.sum() for i, t in enumerate(trues) if i not in {a for a, _ in pairs})
        whole += sum(p.sum() for j, p in enumerate(preds) if j not in {b for _, b in pairs})
        return sum(inter[pair] for pair in pairs) / whole

    best = [(i, int(rank[i].argmax())) for i in range(len(trues)) if rank[i].max() > 0]
    one_to_one = [(i, j) for i, j in zip(*linear_sum_assignment(-rank), strict=True) if rank[i, j] > 0]
    hits = iou[iou > 0.5]
    dq = len(hits) / (0.5 * (len(preds) + len(trues)))
    sq = hits.mean() if len(hits) else 0.0
    dice = 2 * ((pred > 0) & (true > 0)).sum() / ((pred > 0).sum() + (true > 0).sum())
    return {
        "dice": dice,
        "aji": jaccard(best),
        "aji_plus": jaccard(one_to_one),
        "dq": dq,
        "sq": sq,
        "pq": dq * sq,
    }


@settings(max_examples=200)
@given(label_maps, label_maps)
def test_equals_brute_force(pred, true):
    if not pred.any() or not true.any():
        return
    scores, expected = segmentation_scores(pred, true), brute_force(pred, true)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-9), name


def test_of_two_predictions_of_equal_iou_aji_takes_the_larger_as_published():
    pred, true = np.zeros((1, 12), int), np.zeros((1, 12), int)
    true[0, 2:8] = 1
    pred[0, 2:4] = 1  # 2 of 6
    pred[0, 5:11] = 2  # 3 of 9
    assert segmentation_scores(pred, true)["aji"] == pytest.approx(3 / (9 + 2))


def test_the_sparse_assignment_of_huge_maps_is_as_good_as_the_dense_one(monkeypatch):
    rng = np.random.default_rng(0)
    true = np.kron(np.arange(1, 101).reshape(10, 10), np.ones((8, 8), np.int32)) * (rng.random((80, 80)) < 0.9)
    pred = np.roll(true, (3, 4), (0, 1)) * (rng.random((80, 80)) < 0.9)
    dense = segmentation_scores(pred, true)
    monkeypatch.setattr(instances, "MOST_DENSE", 0)
    assert segmentation_scores(pred, true) == pytest.approx(dense, abs=1e-12)


def test_ids_may_be_huge_and_of_any_width():
    true, pred = np.zeros((6, 6), np.int64), np.zeros((6, 6), np.int64)
    true[:3, :3], true[4:, 4:], pred[:3, :4], pred[4:, 4:] = 7, 5, 2, 9
    expected = segmentation_scores(pred, true)
    assert segmentation_scores(pred * 10**15, true * 10**12) == expected
    assert segmentation_scores(pred.astype(np.uint8), true.astype(np.uint16)) == expected
    assert segmentation_scores(pred.astype(np.uint64), true.astype(np.int8)) == expected


def test_one_to_one_assignment_on_a_large_random_map():
    rng = np.random.default_rng(0)
    true = np.kron(np.arange(1, 101).reshape(10, 10), np.ones((8, 8), np.int32)) * (rng.random((80, 80)) < 0.9)
    pred = np.roll(true, (1, 2), (0, 1)) * (rng.random((80, 80)) < 0.9)
    scores, expected = segmentation_scores(pred, true), brute_force(pred, true)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-9), name


def test_a_perfect_prediction_scores_one_whatever_its_ids():
    true = np.zeros((20, 20), np.int32)
    true[2:6, 2:6], true[10:15, 10:15] = 7, 3
    assert set(segmentation_scores(np.where(true, 20 - true, 0), true).values()) == {1.0}


def test_a_nucleus_found_twice_counts_in_aji_as_published():
    true, pred = np.zeros((4, 10), int), np.zeros((4, 10), int)
    true[:, :10] = 1
    pred[:, :6], pred[:, 6:] = 1, 2
    scores = segmentation_scores(pred, true)
    assert scores["aji"] == pytest.approx(24 / (40 + 16))
    assert scores["dq"] == pytest.approx(2 / 3)
    assert scores["sq"] == pytest.approx(0.6)


def test_empty_maps_follow_the_rule():
    empty, one = np.zeros((5, 5), np.int32), np.ones((5, 5), np.int32)
    assert all(np.isnan(value) for value in segmentation_scores(empty, empty).values())
    assert set(segmentation_scores(one, empty).values()) == {0.0}
    assert set(segmentation_scores(empty, one).values()) == {0.0}


def test_nuclei_that_never_overlap_score_zero():
    pred, true = np.zeros((6, 6), int), np.zeros((6, 6), int)
    pred[:2], true[4:] = 1, 1
    assert set(segmentation_scores(pred, true).values()) == {0.0}


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        (np.zeros((3, 4), int), "one shape"),
        (np.zeros((3, 3)), "pred: expected an int label map"),
        (-np.ones((3, 3), int), "pred: expected ids >= 0"),
    ],
)
def test_bad_maps_are_named(pred, message):
    with pytest.raises(ValueError, match=message):
        segmentation_scores(pred, np.zeros((3, 3), int))
