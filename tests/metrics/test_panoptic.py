"""Typed quality must equal the plain one on each type's map alone, and PanNuke's means must skip what is absent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histolib.metrics import pannuke_scores, segmentation_scores, typed_quality

NONE = np.zeros(0, int)
label_maps = arrays(np.int32, (9, 9), elements=st.sampled_from([0, 0, 1, 2, 5, 9]))


def ids(labels):
    return np.unique(labels[labels > 0])


@settings(max_examples=200)
@given(label_maps, label_maps, st.integers(0, 4**8 - 1))
def test_each_type_scores_as_if_its_nuclei_were_alone(pred, true, code):
    kinds = np.array([code // 4**k % 4 for k in range(8)])
    pred_types, true_types = kinds[: len(ids(pred))], kinds[4 : 4 + len(ids(true))]
    quality = typed_quality(pred, pred_types, true, true_types, 4)
    for kind in range(4):
        some_pred = pred if kind == 0 else np.where(np.isin(pred, ids(pred)[pred_types == kind]), pred, 0)
        some_true = true if kind == 0 else np.where(np.isin(true, ids(true)[true_types == kind]), true, 0)
        expected = segmentation_scores(some_pred, some_true)["pq"] if some_true.any() else np.nan
        assert quality[kind] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_a_nucleus_of_the_wrong_type_counts_for_all_nuclei_but_for_neither_type():
    true = np.zeros((8, 8), int)
    true[:3, :4], true[5:, :4] = 1, 2
    quality = typed_quality(true, [1, 2], true, [1, 1], 4)
    np.testing.assert_allclose(quality, [1.0, 2 / 3, np.nan, np.nan])  # type 2 is predicted but not annotated


def test_images_without_nuclei_have_no_score_and_without_predictions_score_zero():
    empty, one = np.zeros((4, 4), int), np.ones((4, 4), int)
    assert np.isnan(typed_quality(empty, NONE, empty, NONE, 3)).all()
    assert np.isnan(typed_quality(one, [1], empty, NONE, 3)).all()
    np.testing.assert_array_equal(typed_quality(empty, NONE, one, [2], 3), [0.0, np.nan, 0.0])


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ([1], "pred_types: expected the types of 2 nuclei, found shape"),
        ([1, 3], "pred_types: expected types from 0 to 2, found int64 1 to 3"),
        ([1, 0.5], "pred_types: expected types from 0 to 2, found float64"),
    ],
)
def test_types_that_do_not_fit_are_named(types, message):
    labels = np.array([[1, 0, 2]])
    with pytest.raises(ValueError, match=message):
        typed_quality(labels, types, labels, [1, 1], 3)


def test_means_go_over_types_then_images_then_tissues():
    nan = np.nan
    quality = np.array(
        [
            [0.8, 0.4, nan, 0.8],  # colon, mPQ 0.6
            [0.6, 0.2, nan, nan],  # colon, mPQ 0.2
            [nan, nan, nan, nan],  # colon, no nuclei: counts nowhere
            [0.5, nan, nan, 0.0],  # skin, mPQ 0.0
            [nan, nan, nan, nan],  # liver: a tissue without nuclei
        ]
    )
    scores = pannuke_scores(quality, ["Colon", "Colon", "Colon", "Skin", "Liver"])
    assert scores["mpq"] == pytest.approx((0.4 + 0.0) / 2)
    assert scores["bpq"] == pytest.approx((0.7 + 0.5) / 2)
    assert list(scores["per_tissue"]) == ["Colon", "Liver", "Skin"]
    assert scores["per_tissue"]["Colon"] == pytest.approx({"mpq": 0.4, "bpq": 0.7, "images": 3})
    assert np.isnan(scores["per_tissue"]["Liver"]["mpq"])
    np.testing.assert_allclose(scores["per_type"], [0.3, nan, 0.4])


def test_no_image_has_no_score_and_tissues_must_be_as_many():
    scores = pannuke_scores(np.zeros((0, 6)), [])
    assert np.isnan([scores["mpq"], scores["bpq"], *scores["per_type"]]).all()
    assert scores["per_tissue"] == {}
    with pytest.raises(ValueError, match=r"found \(2, 6\) and \(1,\)"):
        pannuke_scores(np.zeros((2, 6)), ["Skin"])
