import numpy as np
import pytest

from histolib.synthesis.evaluation import classification_scores, nearest, pooled, precision_recall

TYPES = ("a", "b", "c")


def sure(called, confidence=1.0):
    """Probabilities (N, 3) that call these types."""
    table = np.full((len(called), 3), (1 - confidence) / 2)
    table[np.arange(len(called)), called] = confidence
    return table


def test_scores_equal_values_by_hand_and_leave_out_a_type_that_is_not_annotated():
    labels, called = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    scores = classification_scores(sure(called, 0.85), labels, ["x"] * 4, TYPES)
    assert scores["confusion"].tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert scores["balanced_accuracy"] == pytest.approx(((2 / 3 + 1) / 2,) * 3), "one block has no spread"
    assert scores["macro_f1"][0] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores["calibration_error"][0] == pytest.approx(0.85 - 3 / 4)
    assert scores["recall of a"][0] == pytest.approx(2 / 3)
    assert np.isnan(scores["recall of c"]).all()
    assert scores["n"] == {"a": 3, "b": 1, "c": 0}


def test_perfect_and_always_wrong_are_the_ends_of_the_scale_and_one_nucleus_is_enough():
    labels = np.array([0, 1, 2])
    assert classification_scores(sure(labels), labels, [0, 1, 2], TYPES)["macro_f1"] == (1, 1, 1)
    wrong = classification_scores(sure((labels + 1) % 3), labels, [0, 1, 2], TYPES)
    assert (wrong["macro_f1"][0], wrong["calibration_error"][0]) == (0, 1)
    assert classification_scores(sure([1]), np.array([1]), ["x"], TYPES)["balanced_accuracy"][0] == 1


def test_intervals_resample_blocks_and_a_difference_pairs_them():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    called = np.where(rng.random(300) < 0.7, labels, 0)
    pairs = classification_scores(sure(called), labels, np.arange(300) // 2, TYPES)
    few = classification_scores(sure(called), labels, np.arange(300) // 60, TYPES)
    value, low, high = pairs["macro_f1"]
    assert low < value < high
    assert few["macro_f1"][0] == value
    assert pooled([pairs], "macro_f1") == pytest.approx(pairs["macro_f1"])
    assert pooled([pairs, pairs], "macro_f1", [pairs, pairs]) == (0, 0, 0)
    better = classification_scores(sure(labels), labels, np.arange(300) // 2, TYPES)
    assert pooled([better], "macro_f1", [pairs])[1] > 0


def test_unusable_predictions_are_refused():
    for arguments in ((sure([]), [], []), (sure([0])[:, :2], [0], ["x"]), (sure([0]), [0], [])):
        with pytest.raises(ValueError, match=r"expected probabilities \(N, 3\), N >= 1"):
            classification_scores(arguments[0], np.array(arguments[1], int), arguments[2], TYPES)
    with pytest.raises(ValueError, match="expected labels 0 to 2, found 3 to 3"):
        classification_scores(sure([0]), np.array([3]), ["x"], TYPES)


def test_precision_and_recall_tell_a_wrong_set_from_a_narrow_one():
    real = np.random.default_rng(0).normal(size=(60, 3))
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + 50) == (0, 0)
    narrow = real[:1] + 1e-6 * np.random.default_rng(1).normal(size=(60, 3))
    precision, recall = precision_recall(real, narrow)
    assert precision == 1
    assert recall < 0.1
    with pytest.raises(ValueError, match="more than 3 features"):
        precision_recall(real[:3], real)


def test_a_copied_crop_is_found_in_any_orientation(two_colours):
    crops = two_colours(5, 5).images
    copied = np.stack([np.rot90(crops[7], 3), np.rot90(crops[2][:, ::-1])])
    position, difference = nearest(copied, crops)
    assert position.tolist() == [7, 2]
    assert difference == pytest.approx([0, 0], abs=0.05)
    assert nearest(crops[:1], crops[1:2])[1] > 5
    assert len(nearest(crops[:0], crops)[0]) == 0
    with pytest.raises(ValueError, match="images to compare with"):
        nearest(crops, crops[:0])
