"""The interval must hold the estimate, grow with how blocks differ, and say when there is nothing to tell."""

import numpy as np
import pytest

from histolib.metrics import bootstrap_f1, bootstrap_f1_difference, bootstrap_mean


def test_the_percentiles_are_those_of_blocks_drawn_by_hand():
    counts = np.array([[9, 1, 1], [1, 9, 9], [5, 0, 3]])
    rng = np.random.default_rng(7)
    sums = counts[rng.integers(0, 3, (200_000, 3))].sum(axis=1)
    by_hand = np.percentile(2 * sums[:, 0] / (2 * sums[:, 0] + sums[:, 1] + sums[:, 2]), [2.5, 97.5])
    assert bootstrap_f1(counts, 0, draws=20_000) == pytest.approx(by_hand, abs=0.02)


def test_blocks_that_are_alike_or_alone_leave_no_width():
    assert bootstrap_f1([[6, 2, 2]]) == pytest.approx((0.75, 0.75))
    assert bootstrap_f1([[6, 2, 2]] * 50) == pytest.approx((0.75, 0.75))


def test_empty_blocks_are_left_out_and_nothing_at_all_is_nan():
    low, high = bootstrap_f1([[6, 2, 2], [0, 0, 0]])
    assert (low, high) == pytest.approx((0.75, 0.75))
    assert np.isnan(bootstrap_f1([[0, 0, 0]] * 3)).all()


@pytest.mark.parametrize("counts", [np.zeros((0, 3)), np.zeros((4, 2)), np.zeros(3)])
def test_other_shapes_are_refused(counts):
    with pytest.raises(ValueError, match=r"of at least one block, \(B, 3\), found"):
        bootstrap_f1(counts)


def test_the_interval_of_a_mean_is_that_of_groups_drawn_by_hand():
    values, groups = np.array([1.0, 3.0, 10.0, np.nan]), ["a", "a", "b", "c"]
    rng = np.random.default_rng(7)
    drawn = np.array([[4.0, 2], [10.0, 1]])[rng.integers(0, 2, (100_000, 2))].sum(axis=1)
    by_hand = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    assert bootstrap_mean(values, groups, draws=20_000) == pytest.approx(by_hand)


def test_the_mean_of_one_is_certain_and_of_none_unknown():
    assert bootstrap_mean([5.0], ["a"]) == (5.0, 5.0)
    assert np.isnan(bootstrap_mean([], [])).all()
    assert np.isnan(bootstrap_mean([np.nan], ["a"])).all()


def test_a_difference_is_paired_block_by_block():
    rng = np.random.default_rng(0)
    hits = rng.integers(10, 100, 12)
    reference = np.stack([hits, 100 - hits, 100 - hits], axis=1)
    better = np.stack([hits + 5, 95 - hits, 95 - hits], axis=1)
    low, high = bootstrap_f1_difference(better, reference)
    assert low == pytest.approx(0.05)  # every block gains the same, however much blocks differ
    assert high == pytest.approx(0.05)
    assert bootstrap_f1_difference(reference, better) == pytest.approx((-high, -low))


def test_a_difference_of_other_blocks_is_refused():
    with pytest.raises(ValueError, match="of the same blocks"):
        bootstrap_f1_difference(np.ones((3, 3)), np.ones((2, 3)))
