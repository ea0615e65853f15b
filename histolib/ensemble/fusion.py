"""Detections of several routes merged into one set: what more of them see, and see more surely, stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ..metrics import f1_from_counts
from ..results import write_results
from .evaluation import count_points
from .nuclei import Nuclei

__all__ = ["Fusion", "choose_fusion"]

LOG_HALF = 0.25  # response of the Laplacian that counts as much as a probability of one half
SHARES = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)  # thresholds to choose from


@dataclass(frozen=True, slots=True)
class Fusion:
    """How to merge: after Solovyev et al. 2021 (weighted boxes fusion, arXiv:1910.13302), with points for boxes.

    Attributes:
        weights: route to its vote.
        threshold: smallest share of all votes, each times its confidence, that a nucleus needs.
        radius_um: points of different routes nearer than this are one nucleus.
        chosen_on: what weights and threshold were chosen on, in words.

    >>> od = Nuclei(np.array([[10.0, 10.0], [40.0, 40.0]]), np.array([0.9, 0.3]))
    >>> macenko = Nuclei(np.array([[12.0, 10.0]]), np.array([0.9]))
    >>> both = Fusion({"od": 1.0, "macenko": 1.0}, threshold=0.5)({"od": od, "macenko": macenko}, mpp=0.5)
    >>> both.xy.round(1).tolist(), both.score.round(1).tolist()  # what one saw, and not surely, is gone
    ([[11.0, 10.0]], [0.9])
    """

    weights: Mapping[str, float]
    threshold: float
    radius_um: float = 3.0
    chosen_on: str = ""

    def __call__(self, found: Mapping[str, Nuclei], mpp: float) -> Nuclei:
        """Merge the nuclei of one patch.

        Args:
            found: route to its nuclei, of every route that has a vote.
            mpp: microns per pixel.

        Returns:
            positions are means weighted by vote and confidence; the score is the share of all votes, in [0, 1]; type,
            area and outline are those of the surest member that has them.
        """
        merged = self.merge(found, mpp)
        return _take(merged, np.flatnonzero(merged.score >= self.threshold))

    def merge(self, found: Mapping[str, Nuclei], mpp: float) -> Nuclei:
        """All that any route sees, with its score, before the threshold."""
        names = [name for name, weight in self.weights.items() if weight > 0]
        sets = [found[name] for name in names]
        if not sum(map(len, sets)):
            return Nuclei(np.zeros((0, 2)), np.zeros(0))
        route = np.repeat(np.arange(len(names)), [len(nuclei) for nuclei in sets])
        xy = np.concatenate([np.asarray(nuclei.xy, float).reshape(-1, 2) for nuclei in sets])
        votes = [self.weights[name] * _confidence(name, nuclei.score) for name, nuclei in zip(names, sets, strict=True)]
        vote, total = np.concatenate(votes), sum(self.weights[name] for name in names)
        types, areas, contours = (list(chain(*columns)) for columns in zip(*map(_described, sets), strict=True))
        groups = list(_groups(xy * mpp, route, vote, self.radius_um))
        # The surest member that has an outline tells what the nucleus is like.
        like = [next((i for i in group if len(contours[i])), group[0]) for group in groups]
        return Nuclei(
            xy=np.stack([np.average(xy[group], axis=0, weights=vote[group]) for group in groups]),
            score=np.array([vote[group].sum() / total for group in groups]),
            type=np.array([types[i] for i in like], dtype=object),
            area_um2=np.array([areas[i] for i in like]),
            contours=tuple(contours[i] for i in like),
        )

    def save(self, path: str | Path) -> None:
        """Write the fusion as JSON."""
        write_results(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> Fusion:
        """Read a fusion written by `save`.

        Raises:
            ValueError: the file holds something else.
        """
        try:
            return cls(**json.loads(Path(path).read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: expected a fusion (weights, threshold, radius_um), found {error}") from None


def choose_fusion(
    found: Sequence[Mapping[str, Nuclei]],
    true_xy: Sequence[np.ndarray],
    mpp: Sequence[float],
    routes: Sequence[str],
    radius_um: float = 3.0,
    chosen_on: str = "",
) -> Fusion:
    """Which of the routes vote, and with what threshold, by pooled F1 on some annotated tiles; votes are equal.

    Args:
        found: route to its nuclei, of each tile.
        true_xy: annotated points of each tile in its pixels, (T_i, 2).
        mpp: microns per pixel of each tile.
        routes: to choose from; every subset is tried, the fewer routes win a tie.
        radius_um: of merging and matching.
        chosen_on: the tiles in words.

    >>> truth = np.array([[10.0, 10.0], [30.0, 10.0]])
    >>> good, noise = Nuclei(truth + 1, np.array([0.9, 0.9])), Nuclei(truth + 100, np.array([0.9, 0.9]))
    >>> choose_fusion([{"od": good, "direct": noise}], [truth], [0.5], ["od", "direct"]).weights
    {'od': 1.0}
    """
    best, best_f1 = Fusion({routes[0]: 1.0}, SHARES[0], radius_um, chosen_on), -1.0
    subsets = sorted((tuple(s) for s in product((0.0, 1.0), repeat=len(routes)) if any(s)), key=sum)
    for subset in subsets:
        weights = {name: weight for name, weight in zip(routes, subset, strict=True) if weight}
        counts = np.zeros((len(SHARES), 3), int)
        for nuclei, truth, scale in zip(found, true_xy, mpp, strict=True):
            merged = Fusion(weights, 0.0, radius_um).merge(nuclei, scale)
            for row, share in enumerate(SHARES):
                counts[row] += count_points(merged.xy[merged.score >= share], truth, scale, radius_um).counts
        f1 = np.nan_to_num(f1_from_counts(counts))
        if f1.max() > best_f1 + 1e-9:
            best, best_f1 = Fusion(weights, SHARES[int(f1.argmax())], radius_um, chosen_on), float(f1.max())
    return best


def _confidence(route: str, score: np.ndarray) -> np.ndarray:
    """A route's score in [0, 1]: a network's is a probability, the Laplacian's response is made one."""
    score = np.asarray(score, np.float64)
    return score / (score + LOG_HALF) if route == "log" else score


def _groups(xy_um: np.ndarray, route: np.ndarray, vote: np.ndarray, radius_um: float) -> Iterator[np.ndarray]:
    """Points that are one nucleus, the surest first: each founds one or joins the nearest that lacks its route."""
    if not len(xy_um):
        return
    near = cKDTree(xy_um).query_ball_point(xy_um, radius_um)
    founder_of: dict[int, list[int]] = {}
    for i in np.argsort(-vote, kind="stable").tolist():
        open_to = [j for j in near[i] if j in founder_of and route[i] not in route[founder_of[j]]]
        if open_to:
            distance = np.linalg.norm(xy_um[open_to] - xy_um[i], axis=1)
            founder_of[open_to[int(distance.argmin())]].append(i)
        else:
            founder_of[i] = [i]
    yield from (np.array(group) for group in founder_of.values())


def _described(nuclei: Nuclei) -> tuple[Any, Any, Any]:
    """Type, area and outline of every nucleus, with "", NaN and no points where a route does not know."""
    count = len(nuclei)
    return (
        [""] * count if nuclei.type is None else nuclei.type,
        [np.nan] * count if nuclei.area_um2 is None else nuclei.area_um2,
        [np.zeros((0, 2))] * count if nuclei.contours is None else nuclei.contours,
    )


def _take(nuclei: Nuclei, kept: np.ndarray) -> Nuclei:
    """Some of the merged nuclei."""
    types, areas, contours = _described(nuclei)
    return Nuclei(
        nuclei.xy[kept],
        nuclei.score[kept],
        np.asarray(types, dtype=object)[kept],
        np.asarray(areas, float)[kept],
        tuple(contours[i] for i in kept),
    )
