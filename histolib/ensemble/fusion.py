"""Fusion of several routes: greedy clustering of their points and a confidence-weighted vote."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, compress, product
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ..io import write_json
from ..metrics.points import count_points, f1_from_counts
from .nuclei import Nuclei

LOG_HALF = 0.25  # response of the Laplacian of Gaussian that maps to a confidence of one half
THRESHOLDS = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)  # candidates of `choose_fusion`


@dataclass(frozen=True, slots=True)
class Fusion:
    """Weighted boxes fusion (Solovyev et al. 2021, arXiv:1910.13302) with points instead of boxes.

    Attributes:
        weights: vote of each route.
        threshold: smallest score of a nucleus, a share of all votes in [0, 1].
        radius_um: points of different routes within this distance are one nucleus.
        chosen_on: data on which weights and threshold were chosen, in words.

    >>> od = Nuclei(np.array([[10.0, 10.0], [40.0, 40.0]]), np.array([0.9, 0.3]))
    >>> macenko = Nuclei(np.array([[12.0, 10.0]]), np.array([0.9]))
    >>> both = Fusion({"od": 1.0, "macenko": 1.0}, threshold=0.5)({"od": od, "macenko": macenko}, mpp=0.5)
    >>> both.xy.round(1).tolist(), both.score.round(1).tolist()  # one route with low confidence is not enough
    ([[11.0, 10.0]], [0.9])
    """

    weights: Mapping[str, float]
    threshold: float
    radius_um: float = 3.0
    chosen_on: str = ""

    def __call__(self, found: Mapping[str, Nuclei], mpp: float) -> Nuclei:
        """Merge the nuclei of one patch.

        Args:
            found: nuclei of every route with a vote.
            mpp: microns per pixel of the patch.

        Returns:
            centroids averaged by vote and confidence; score: the mean confidence, weighted by the votes of all routes,
            in [0, 1]; type, area and outline of the most confident member that has an outline.
        """
        names = [name for name, weight in self.weights.items() if weight > 0]
        sets = [found[name] for name in names]
        route = np.repeat(np.arange(len(names)), [len(nuclei) for nuclei in sets])
        xy = np.concatenate([np.asarray(nuclei.xy, float).reshape(-1, 2) for nuclei in sets])
        votes = [self.weights[name] * _confidence(name, nuclei.score) for name, nuclei in zip(names, sets, strict=True)]
        vote, total = np.concatenate(votes), sum(self.weights[name] for name in names)
        types, areas, outlines = zip(*map(_columns, sets), strict=True)
        contours = list(chain(*outlines))
        clusters = [(c, vote[c].sum() / total) for c in _clusters(xy * mpp, route, vote, self.radius_um)]
        kept = [(cluster, score) for cluster, score in clusters if score >= self.threshold]
        shape_of = np.array([next((i for i in c if len(contours[i])), c[0]) for c, _ in kept], int)
        return Nuclei(
            xy=np.array([np.average(xy[c], axis=0, weights=vote[c]) for c, _ in kept]).reshape(-1, 2),
            score=np.array([score for _, score in kept]),
            type=np.concatenate(types)[shape_of],
            area_um2=np.concatenate(areas)[shape_of],
            contours=tuple(contours[i] for i in shape_of),
        )

    def save(self, path: str | Path) -> None:
        """Write the fusion as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> "Fusion":
        """Read a fusion written by `save`.

        Raises:
            ValueError: the file holds something else.
        """
        try:
            return cls(**json.loads(Path(path).read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: expected a fusion (weights, threshold, radius_um), found {error}") from None


def choose_fusion(
    found: Sequence[Mapping[str, Nuclei]], true_xy: Sequence[np.ndarray], mpp: Sequence[float], routes: Sequence[str],
    radius_um: float = 3.0, chosen_on: str = "",
) -> Fusion:  # fmt: skip
    """Choose the routes and the threshold with the best pooled F1 on annotated tiles; all votes are equal.

    Args:
        found: nuclei of each route, for each tile.
        true_xy: annotated points of each tile in its pixels, (T_i, 2).
        mpp: microns per pixel of each tile.
        routes: candidates; every subset is tried, and fewer routes win a tie.
        radius_um: radius of merging and matching.
        chosen_on: description of the tiles.

    >>> truth = np.array([[10.0, 10.0], [30.0, 10.0]])
    >>> good, noise = Nuclei(truth + 1, np.array([0.9, 0.9])), Nuclei(truth + 100, np.array([0.9, 0.9]))
    >>> choose_fusion([{"od": good, "direct": noise}], [truth], [0.5], ["od", "direct"]).weights
    {'od': 1.0}
    """
    best, best_f1 = Fusion({routes[0]: 1.0}, THRESHOLDS[0], radius_um, chosen_on), -1.0
    for subset in sorted(product((False, True), repeat=len(routes)), key=sum)[1:]:
        weights = dict.fromkeys(compress(routes, subset), 1.0)
        counts = np.zeros((len(THRESHOLDS), 3), int)
        for nuclei, truth, scale in zip(found, true_xy, mpp, strict=True):
            merged = Fusion(weights, 0.0, radius_um)(nuclei, scale)
            for row, threshold in enumerate(THRESHOLDS):
                tile = count_points(merged.xy[merged.score >= threshold] * scale, truth * scale, radius_um)
                counts[row] += tile.counts
        f1 = np.nan_to_num(f1_from_counts(counts))
        if f1.max() > best_f1 + 1e-9:
            best, best_f1 = Fusion(weights, THRESHOLDS[int(f1.argmax())], radius_um, chosen_on), float(f1.max())
    return best


def _confidence(route: str, score: np.ndarray) -> np.ndarray:
    """Scores as confidences in [0, 1]; those of networks are probabilities already."""
    score = np.asarray(score, np.float64)
    return score / (score + LOG_HALF) if route == "log" else score


def _clusters(xy_um: np.ndarray, route: np.ndarray, vote: np.ndarray, radius_um: float) -> list[np.ndarray]:
    """Greedy clustering by decreasing vote: each point joins the nearest seed without its route, or becomes a seed."""
    near = cKDTree(xy_um).query_ball_point(xy_um, radius_um)
    members: dict[int, list[int]] = {}
    for i in np.argsort(-vote, kind="stable").tolist():
        seeds = [j for j in near[i] if j in members and route[i] not in route[members[j]]]
        if seeds:
            distance = np.linalg.norm(xy_um[seeds] - xy_um[i], axis=1)
            members[seeds[int(distance.argmin())]].append(i)
        else:
            members[i] = [i]
    return [np.array(cluster) for cluster in members.values()]


def _columns(nuclei: Nuclei) -> tuple[np.ndarray, np.ndarray, Sequence[np.ndarray]]:
    """Type, area and outline of every nucleus; "", NaN and no points where the route has none."""
    count = len(nuclei)
    types = np.array([""] * count if nuclei.type is None else nuclei.type, dtype=object)
    areas = np.full(count, np.nan) if nuclei.area_um2 is None else np.asarray(nuclei.area_um2, float)
    return types, areas, [np.zeros((0, 2))] * count if nuclei.contours is None else nuclei.contours
