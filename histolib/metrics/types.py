"""Scores of typed nuclei: one table of counts per image, summed over images, read by three conventions."""

import numpy as np

from .instances import check_types
from .points import Match, scores_from_counts


def type_table(match: Match, pred_types: np.ndarray, true_types: np.ndarray, num_types: int) -> np.ndarray:
    """Confusion table of matched, missed and spurious nuclei by type. Add the tables of several images, then score.

    Args:
        match: matched nuclei, from `match_points` or `match_points_then_threshold` (the protocol of HoVer-Net's and
            PanNuke's published scores, with a radius of 12 px at 0.25 µm/px).
        pred_types: type of each predicted nucleus, int (P,), 0 <= type < num_types.
        true_types: type of each annotated nucleus, int (T,), same range.
        num_types: number of types including the background: 6 for PanNuke.

    Returns:
        int64 (num_types + 1, num_types + 1): pairs by annotated type (row) and predicted type (column). The last column
        counts missed annotations, the last row spurious predictions.

    Raises:
        ValueError: the types are invalid.
    """
    pred_types = check_types(pred_types, len(pred_types), num_types, "pred_types")
    true_types = check_types(true_types, len(true_types), num_types, "true_types")
    table = np.zeros((num_types + 1, num_types + 1), np.int64)
    np.add.at(table, (true_types[match.true], pred_types[match.pred]), 1)
    table[:-1, -1] = np.bincount(np.delete(true_types, match.true), minlength=num_types)
    table[-1, :-1] = np.bincount(np.delete(pred_types, match.pred), minlength=num_types)
    return table


def type_counts(table: np.ndarray) -> dict[str, np.ndarray]:
    """True positives, false positives and false negatives of each type by three conventions.

    For type t, TP counts pairs where both nuclei are t, FPc pairs where only the prediction is t, FNc pairs where only
    the annotation is t, TN pairs that agree on another type. FPd and FNd count unmatched nuclei of type t.

    Args:
        table: `type_table` of one image, or the sum of several.

    Returns:
        int64 (num_types, 3) for each convention; index t is type t, index 0 is detection regardless of type:

        plain: TP, FPc + FPd, FNc + FNd. A nucleus counts as correct if it is matched and has the correct type.

        weighted: TP, 2 FPc + FPd, 2 FNc + FNd, so that a wrong type costs twice as much as an unmatched nucleus. This
        is the F1 per type in HoVer-Net's published code (Graham et al. 2019, doi 10.1016/j.media.2019.101563), which
        PanNuke's public evaluation names for its table of precision, recall and F1 (Gamper et al. 2020,
        arXiv:2003.10778) and which CellViT uses (Hörst et al. 2024, doi 10.1016/j.media.2024.103143). That code adds a
        nucleus of type 0 at the origin to an empty image; this function does not.

        equation: TP + TN, 2 FPc + FPd, 2 FNc + FNd, with FPd and FNd of all types: the equation in the HoVer-Net paper.
        The published code keeps only pairs with t on either side, where TN is 0, and unmatched nuclei of t. Rare types
        score far higher by the equation, so do not compare it with published scores.
    """
    found, missed, spurious = table[:-1, :-1], table[:-1, -1], table[-1, :-1]
    tp = np.diag(found)
    fpc, fnc = found.sum(axis=0) - tp, found.sum(axis=1) - tp
    columns = {
        "plain": (tp, fpc + spurious, fnc + missed),
        "weighted": (tp, 2 * fpc + spurious, 2 * fnc + missed),
        "equation": (np.full_like(tp, tp.sum()), 2 * fpc + spurious.sum(), 2 * fnc + missed.sum()),
    }
    present = np.sum(columns["plain"], axis=0) > 0
    counts = {name: np.stack(rows, axis=1) * present[:, None] for name, rows in columns.items()}
    for each in counts.values():
        each[0] = found.sum(), spurious.sum(), missed.sum()
    return counts


def type_scores(table: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Precision, recall and F1 of each type from pooled counts, by the three conventions of `type_counts`.

    A type that is neither annotated nor predicted scores NaN; a type that is only predicted or only annotated scores 0.
    (The published code lists annotated types only.)

    Args:
        table: `type_table` of one image, or the sum of several.

    Returns:
        {"plain" | "weighted" | "equation": {"precision" | "recall" | "f1": float (num_types,)}}; index t is type t,
        index 0 is detection regardless of type.

    >>> from histolib.metrics import match_points
    >>> points = np.array([[0, 0], [9, 0], [18, 0]])
    >>> table = type_table(match_points(points, points, 1), np.array([1, 1, 2]), np.array([1, 2, 2]), num_types=3)
    >>> type_scores(table)["plain"]["f1"].round(2).tolist()  # detection, type 1, type 2
    [1.0, 0.67, 0.67]
    """
    scores = {}
    for name, counts in type_counts(table).items():
        rows = [scores_from_counts(*map(int, row)) for row in counts]
        scores[name] = {key: np.array([row[key] for row in rows]) for key in ("precision", "recall", "f1")}
    return scores
