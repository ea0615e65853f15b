"""One-to-one assignment along the few pairs that may be assigned, in memory that grows with those pairs alone."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

__all__ = ["best_assignment"]

PAIRS_PER_SOLVE = 2048  # the solver passes over all its rows again and again, so it is given few at a time


def best_assignment(row: np.ndarray, column: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Indices of the pairs of an assignment of largest total worth; a row or column may stay alone.

    Groups of pairs that share no row and no column are solved side by side by the sparse Jonker-Volgenant algorithm
    (Jonker and Volgenant 1987, doi 10.1007/BF02278710). Each row is also offered a column of its own, worth nothing,
    so that a full matching exists and a row stays alone where that is best.

    Args:
        row: row of each pair, int (E,).
        column: column of each pair, int (E,); no pair is given twice.
        worth: what each pair is worth, > 0, shape (E,).
    """
    if not len(row):
        return np.zeros(0, np.int64)
    rows = int(row.max()) + 1
    nodes = rows + int(column.max()) + 1
    graph = coo_array((np.ones(len(row), bool), (row, column + rows)), shape=(nodes, nodes))
    group = connected_components(graph, directed=False)[1][row]
    alone = np.bincount(group)[group] == 1
    rest = np.flatnonzero(~alone)
    rest = rest[np.argsort(group[rest], kind="stable")]
    starts = np.flatnonzero(np.diff(group[rest], prepend=-1))
    cuts = starts[np.flatnonzero(np.diff(starts // PAIRS_PER_SOLVE, prepend=0))]
    solved = [edges[_solve(row[edges], column[edges], worth[edges])] for edges in np.split(rest, cuts) if len(edges)]
    return np.concatenate([np.flatnonzero(alone), *solved])


def _solve(row: np.ndarray, column: np.ndarray, worth: np.ndarray) -> np.ndarray:
    rows, row = np.unique(row, return_inverse=True)
    columns, column = np.unique(column, return_inverse=True)
    own = np.arange(len(rows))
    top = worth.max()
    cost = np.concatenate([2.0 * top - worth, np.full(len(rows), 2.0 * top)])  # > 0: the solver drops zeros
    # SciPy 1.13 solves for 32-bit indices alone.
    indices = np.concatenate([row, own]).astype(np.int32), np.concatenate([column, len(columns) + own]).astype(np.int32)
    taken = min_weight_full_bipartite_matching(csr_array((cost, indices), (len(rows), len(columns) + len(rows))))[1]
    return np.flatnonzero(taken[row] == column)
