"""Segmentation scores equal a brute-force version; typed quality equals the plain one on the map of each type."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histolib.metrics import segmentation_scores
from histolib.metrics.instances import compact_ids, pannuke_scores, typed_quality

NO_TYPES = np.zeros(0, int)
EMPTY, ONE = np.zeros((5, 5), np.int32), np.ones((5, 5), np.int32)
label_maps = arrays(np.int32, (9, 9), elements=st.sampled_from([0, 0, 1, 2, 5, 9]))


def brute_force(pred, true):
    """One mask per nucleus, each pair compared; ties ranked as in HoVer-Net's published code."""
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
    hits = iou[iou > 0.5]
    dq = len(hits) / (0.5 * (len(preds) + len(trues)))
    sq = hits.mean() if len(hits) else 0.0
    dice = 2 * ((pred > 0) & (true > 0)).sum() / ((pred > 0).sum() + (true > 0).sum())
    return {"dice": dice, "aji": jaccard(best), "dq": dq, "sq": sq, "pq": dq * sq}


@given(label_maps, label_maps)
def test_scores_equal_brute_force(pred, true):
    if pred.any() and true.any():
        assert segmentation_scores(pred, true) == pytest.approx(brute_force(pred, true), abs=1e-9)


@pytest.mark.parametrize(("factor", "dtype"), [(1, np.uint8), (1, np.int16), (1, np.uint64), (10**12, np.int64)])
def test_compact_ids_are_ascending_with_areas_for_any_dtype(factor, dtype):
    ids, compact, area = compact_ids(np.array([[7, 0, 3], [3, 0, 0]], dtype) * factor)
    assert (ids.tolist(), area.tolist()) == ([3 * factor, 7 * factor], [2, 1])
    assert (compact.tolist(), compact.dtype) == ([[2, 0, 1], [1, 0, 0]], np.int32)
    assert [len(each) for each in compact_ids(np.zeros((0, 4), int))] == [0, 0, 0]


def test_perfect_disjoint_empty_and_many_nuclei_have_known_scores():
    true = np.zeros((20, 20), np.int32)
    true[2:6, 2:6], true[10:15, 10:15] = 7, 3
    assert set(segmentation_scores(np.where(true, 20 - true, 0), true).values()) == {1.0}
    for pred, other in ((np.triu(ONE, 1), np.tril(ONE, -1)), (ONE, EMPTY), (EMPTY, ONE)):
        assert set(segmentation_scores(pred, other).values()) == {0.0}
    assert np.isnan(list(segmentation_scores(EMPTY, EMPTY).values())).all()
    true = np.array([[0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]])
    pred = np.array([[0, 0, 1, 1, 0, 2, 2, 2, 2, 2, 2, 0]])  # 2 of 6 and 3 of 9: the larger counts in AJI
    assert segmentation_scores(pred, true)["aji"] == pytest.approx(3 / (9 + 2))
    true = np.zeros((260, 261), int)
    true[:, :260] = np.kron(np.arange(1, 4226).reshape(65, 65), np.ones((4, 4), int))
    scores = segmentation_scores(np.roll(true, 1, axis=1), true)  # each shares 12 px with its own, 4 with a neighbour
    assert scores["pq"] == pytest.approx(12 / 20)


@given(label_maps, label_maps, st.integers(0, 4**8 - 1))
def test_each_type_scores_as_if_its_nuclei_were_alone(pred, true, code):
    kinds = np.array([code // 4**k % 4 for k in range(8)])
    ids = [np.unique(labels[labels > 0]) for labels in (pred, true)]
    types = kinds[: len(ids[0])], kinds[4 : 4 + len(ids[1])]
    quality = typed_quality(pred, types[0], true, types[1], 4)
    for kind in range(4):
        keep = [each if kind == 0 else each[of == kind] for each, of in zip(ids, types, strict=True)]
        some_pred, some_true = (np.where(np.isin(m, k), m, 0) for m, k in zip((pred, true), keep, strict=True))
        expected = segmentation_scores(some_pred, some_true)["pq"] if some_true.any() else np.nan
        assert quality[kind] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_typed_quality_and_its_averages_by_tissue_have_known_values():
    true = np.zeros((8, 8), int)
    true[:3, :4], true[5:, :4] = 1, 2
    quality = typed_quality(true, [1, 2], true, [1, 1], 4)
    np.testing.assert_allclose(quality, [1.0, 2 / 3, np.nan, np.nan])  # type 2 is predicted but not annotated
    assert np.isnan(typed_quality(EMPTY, NO_TYPES, EMPTY, NO_TYPES, 3)).all()
    assert np.isnan(typed_quality(ONE, [1], EMPTY, NO_TYPES, 3)).all()
    np.testing.assert_array_equal(typed_quality(EMPTY, NO_TYPES, ONE, [2], 3), [0.0, np.nan, 0.0])
    nan, quality = np.nan, np.full((5, 4), np.nan)  # the third image and the only one of liver have no nuclei
    quality[0], quality[1], quality[3] = [0.8, 0.4, nan, 0.8], [0.6, 0.2, nan, nan], [0.5, nan, nan, 0.0]
    scores = pannuke_scores(quality, ["Colon", "Colon", "Colon", "Skin", "Liver"])  # mPQ 0.6, 0.2 and 0.0
    assert (scores["mpq"], scores["bpq"]) == (pytest.approx((0.4 + 0.0) / 2), pytest.approx((0.7 + 0.5) / 2))
    np.testing.assert_allclose(scores["per_type"], [0.3, nan, 0.4])
    nothing = pannuke_scores(np.zeros((0, 6)), [])
    assert np.isnan([nothing["mpq"], nothing["bpq"], *nothing["per_type"]]).all()
