"""Typed detection equals hand counts by each convention, adds up over images, and handles absent types."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histolib.metrics import Match, type_scores, type_table
from histolib.metrics.types import type_counts

# annotated: 1 1 1 2 2 3, predicted: 1 2 1 2 1 1 0; two predictions and one annotation stay unmatched
TRUE, PRED = np.array([1, 1, 1, 2, 2, 3]), np.array([1, 2, 1, 2, 1, 1, 0])
PAIRS = [(0, 0), (1, 1), (3, 3), (4, 4), (6, 2)]  # (pred, true): 1-1, 2-1, 2-2, 1-2, 0-1


def match(pairs):
    pred, true = np.array(pairs, int).reshape(-1, 2).T
    return Match(pred, true, np.zeros(len(pred)))


def test_tables_of_known_cases_and_of_absent_and_spurious_types():
    table = type_table(match(PAIRS), PRED, TRUE, 4)
    assert table.tolist() == [
        [0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0],  # annotated as 1: one predicted untyped, one as 1, one as 2
        [0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1],  # the one of type 3 is missed
        [0, 2, 0, 0, 0],  # two spurious predictions of type 1
    ]
    counts = type_counts(table)
    # type 1: TP 1, FPc 1, FNc 2, FPd 2, FNd 0; type 2: TP 1, FPc 1, FNc 1; type 3: FNd 1; correct in total: 2
    assert counts["plain"].tolist() == [[5, 2, 1], [1, 3, 2], [1, 1, 1], [0, 0, 1]]
    assert counts["weighted"].tolist() == [[5, 2, 1], [1, 4, 4], [1, 2, 2], [0, 0, 1]]
    assert counts["equation"].tolist() == [[5, 2, 1], [2, 4, 5], [2, 4, 3], [2, 2, 1]]
    scores = type_scores(table)
    np.testing.assert_allclose(scores["weighted"]["f1"], [10 / 13, 2 / 10, 2 / 6, 0])
    np.testing.assert_allclose(scores["weighted"]["recall"], [5 / 6, 1 / 5, 1 / 3, 0])
    np.testing.assert_allclose(scores["plain"]["f1"], [10 / 13, 2 / 7, 2 / 4, 0])
    np.testing.assert_allclose(scores["equation"]["f1"], [10 / 13, 4 / 13, 4 / 11, 4 / 7])
    scores = type_scores(type_table(match([(0, 0)]), np.array([1, 3]), np.array([1]), 5))
    for name in ("plain", "weighted"):
        np.testing.assert_array_equal(scores[name]["f1"], [2 / 3, 1.0, np.nan, 0.0, np.nan])
    assert np.isnan(scores["equation"]["f1"][[2, 4]]).all()
    nothing = type_scores(type_table(match([]), np.zeros(0, int), np.zeros(0, int), 3))
    assert all(np.isnan(values).all() for each in nothing.values() for values in each.values())


kinds = st.lists(st.integers(0, 3), max_size=8)


@given(kinds, kinds, st.randoms())
def test_every_nucleus_counts_once_and_tables_add_up(pred_types, true_types, random):
    def pairs(pred, true):
        count = random.randint(0, min(len(pred), len(true)))
        return list(zip(random.sample(range(len(pred)), count), random.sample(range(len(true)), count), strict=True))

    first, second = pairs(pred_types, true_types), pairs(true_types, pred_types)
    a = type_table(match(first), np.array(pred_types, int), np.array(true_types, int), 4)
    b = type_table(match(second), np.array(true_types, int), np.array(pred_types, int), 4)
    np.testing.assert_array_equal(a[:-1].sum(axis=1), np.bincount(true_types, minlength=4))
    np.testing.assert_array_equal(a[:, :-1].sum(axis=0), np.bincount(pred_types, minlength=4))
    shifted = [(i + len(pred_types), j + len(true_types)) for i, j in second]
    both = [np.array([*x, *y], int) for x, y in ((pred_types, true_types), (true_types, pred_types))]
    np.testing.assert_array_equal(type_table(match(first + shifted), *both, 4), a + b)
    counts = type_counts(a)
    assert (counts["weighted"][:, 1:] >= counts["plain"][:, 1:]).all()
    assert counts["plain"][1:, 0].sum() + counts["plain"][1:, 2].sum() == sum(kind > 0 for kind in true_types)
