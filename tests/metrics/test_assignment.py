"""The sparse assignment must be worth as much as the dense one, however the pairs hang together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from histolib.metrics import points
from histolib.metrics.points import best_assignment

tables = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 5)), max_size=40, unique_by=lambda pair: pair[:2]
)


@given(tables, st.sampled_from([1, 3, 2048]))
def test_it_is_worth_as_much_as_the_dense_solution(pairs, at_once):
    row, column, worth = np.array(pairs, int).reshape(-1, 3).T
    dense = np.zeros((10, 10))
    dense[row, column] = worth
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "PAIRS_PER_SOLVE", at_once)
        chosen = best_assignment(row, column, worth.astype(float))
    assert worth[chosen].sum() == dense[linear_sum_assignment(dense, maximize=True)].sum()
    assert len(set(row[chosen])) == len(set(column[chosen])) == len(chosen)


def test_a_pair_worth_little_gives_way_to_one_worth_more_than_two():
    row, column = np.array([0, 0, 1]), np.array([0, 1, 0])
    assert list(best_assignment(row, column, np.array([5.0, 1.0, 1.0]))) == [0]
    assert sorted(best_assignment(row, column, np.array([5.0, 3.0, 3.0]))) == [1, 2]
