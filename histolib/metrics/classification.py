"""Scores of nuclei that must be found and named: one table of counts that adds up over images, and three readings."""

from __future__ import annotations

import numpy as np

from .panoptic import check_types
from .points import Match, scores_from_counts

__all__ = ["type_counts", "type_scores", "type_table"]


def type_table(match: Match, pred_types: np.ndarray, true_types: np.ndarray, num_types: int) -> np.ndarray:
    """Who was found as what. Tables of several images add up; scores come from the sum.

    Args:
        match: pairs of predicted and annotated nuclei, by `match_points` or `match_points_then_threshold` (the protocol
            of HoVer-Net's and PanNuke's published numbers, with a radius of 12 px at 0.25 µm/px).
        pred_types: type of each predicted nucleus, int (P,), 0 <= type < num_types.
        true_types: type of each annotated nucleus, likewise, (T,).
        num_types: number of types, counting the background: 6 for PanNuke.

    Returns:
        int64 (num_types + 1, num_types + 1): pairs by annotated type (row) and predicted type (column); the last column
        holds annotated nuclei that were missed, the last row predictions that hit none.

    Raises:
        ValueError: the types do not fit, or the match speaks of nuclei that have none.
    """
    pred_types = check_types(pred_types, len(pred_types), num_types, "pred_types")
    true_types = check_types(true_types, len(true_types), num_types, "true_types")
    if match.pred.max(initial=-1) >= len(pred_types) or match.true.max(initial=-1) >= len(true_types):
        raise ValueError(
            f"expected types for all matched nuclei, found {len(pred_types)} predicted and {len(true_types)} annotated"
        )
    table = np.zeros((num_types + 1, num_types + 1), np.int64)
    np.add.at(table, (true_types[match.true], pred_types[match.pred]), 1)
    table[:-1, -1] = np.bincount(np.delete(true_types, match.true), minlength=num_types)
    table[-1, :-1] = np.bincount(np.delete(pred_types, match.pred), minlength=num_types)
    return table


def type_counts(table: np.ndarray) -> dict[str, np.ndarray]:
    """True positives, false positives and false negatives of each type, as three conventions count them.

    Of type t, let TP be the pairs where both nuclei are t, FPc those where only the predicted one is, FNc those where
    only the annotated one is, TN the pairs of one other type; FPd and FNd the nuclei of type t without a partner.

    Args:
        table: `type_table` of an image, or a sum of them.

    Returns:
        int64 (num_types, 3) each; index t is type t, and index 0 is detection, where types do not matter:

        plain: TP, FPc + FPd, FNc + FNd. A nucleus is right if it is found and named right.

        weighted: TP, 2 FPc + FPd, 2 FNc + FNd, so that a wrong name costs twice a wrong nucleus. What HoVer-Net's
        published code computes as its F1 of a type (Graham et al. 2019, doi 10.1016/j.media.2019.101563). PanNuke's
        public evaluation names that same code for its table of precision, recall and F1 (Gamper et al. 2020,
        arXiv:2003.10778), and CellViT computes its own so (Hörst et al. 2024, doi 10.1016/j.media.2024.103143).
        (That code puts a nucleus of type 0 at the origin of an image that has none; here an empty image is empty.)

        equation: TP + TN, 2 FPc + FPd, 2 FNc + FNd, with FPd and FNd of all types: the equation of the HoVer-Net paper
        read word for word. The code keeps the pairs that have t on either side, where TN is 0, and the unpaired nuclei
        of t; rare types score far higher here. Compare no published number with it.
    """
    found, missed, spurious = table[:-1, :-1], table[:-1, -1], table[-1, :-1]
    tp = np.diag(found)
    false_name, wrong_name = found.sum(axis=0) - tp, found.sum(axis=1) - tp  # FPc, FNc
    right = tp.sum()
    counts = {
        "plain": (tp, false_name + spurious, wrong_name + missed),
        "weighted": (tp, 2 * false_name + spurious, 2 * wrong_name + missed),
        "equation": (np.full_like(tp, right), 2 * false_name + spurious.sum(), 2 * wrong_name + missed.sum()),
    }
    tables = {name: np.stack(columns, axis=1) for name, columns in counts.items()}
    for each in tables.values():
        each[0] = found.sum(), spurious.sum(), missed.sum()
        each[1:][tables["plain"][1:].sum(axis=1) == 0] = 0
    return tables


def type_scores(table: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Precision, recall and F1 of each type from pooled counts, by the three conventions of `type_counts`.

    A type that is neither annotated nor predicted has no score: NaN in all. One that is only predicted, or only
    annotated, scores 0. (The published code lists the types of the annotation only.)

    Args:
        table: `type_table` of an image, or a sum of them.

    Returns:
        {"plain" | "weighted" | "equation": {"precision" | "recall" | "f1": float (num_types,)}}; index t is type t,
        and index 0 is detection, where types do not matter.

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
