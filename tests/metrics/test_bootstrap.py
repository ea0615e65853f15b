"""Bootstrap intervals equal resampling by hand, collapse where blocks are equal, and are NaN without data."""

import numpy as np
import pytest

from histolib.metrics.bootstrap import block_sums, bootstrap_f1, bootstrap_f1_difference, bootstrap_mean


def test_blocks_are_summed_in_order_and_equal_ones_give_no_width():
    counts = [(1, 2, 3), (10, 20, 30), (4, 5, 6)]
    assert block_sums(counts, ["b", "a", "b"]).tolist() == [[10, 20, 30], [5, 7, 9]]
    assert block_sums(counts, [10, 9, 10]).tolist() == [[10, 20, 30], [5, 7, 9]]
    for counts in ([[6, 2, 2]], [[6, 2, 2]] * 50, [[6, 2, 2], [0, 0, 0]]):
        assert bootstrap_f1(counts) == pytest.approx((0.75, 0.75))
    assert np.isnan(bootstrap_f1([[0, 0, 0]] * 3)).all()


def test_intervals_equal_resampling_by_hand_and_differences_are_paired_by_block():
    counts = np.array([[9, 1, 1], [1, 9, 9], [5, 0, 3]])
    rng = np.random.default_rng(7)
    sums = counts[rng.integers(0, 3, (200_000, 3))].sum(axis=1)
    by_hand = np.percentile(2 * sums[:, 0] / (2 * sums[:, 0] + sums[:, 1] + sums[:, 2]), [2.5, 97.5])
    assert bootstrap_f1(counts) == pytest.approx(by_hand, abs=0.02)
    values, groups = np.array([1.0, 3.0, 10.0, np.nan]), ["a", "a", "b", "c"]
    rng = np.random.default_rng(7)
    drawn = np.array([[4.0, 2], [10.0, 1]])[rng.integers(0, 2, (100_000, 2))].sum(axis=1)
    by_hand = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    assert bootstrap_mean(values, groups) == pytest.approx(by_hand)
    assert bootstrap_mean([5.0], ["a"]) == (5.0, 5.0)
    assert np.isnan(bootstrap_mean([], [])).all()
    assert np.isnan(bootstrap_mean([np.nan], ["a"])).all()
    rng = np.random.default_rng(0)
    hits = rng.integers(10, 100, 12)
    reference = np.stack([hits, 100 - hits, 100 - hits], axis=1)
    better = np.stack([hits + 5, 95 - hits, 95 - hits], axis=1)
    low, high = bootstrap_f1_difference(better, reference)
    assert (low, high) == pytest.approx((0.05, 0.05))  # every block gains the same, however much blocks differ
    assert bootstrap_f1_difference(reference, better) == pytest.approx((-high, -low))
