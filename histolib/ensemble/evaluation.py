"""Detection scores of routes on annotated tiles: pooled over points, with a bootstrap over blocks of tiles."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy.ndimage import convolve

from ..data import id_runs
from ..data.samples import KeypointSample
from ..imaging import Patch, separate_stains
from ..io import plain
from ..metrics import match_points, match_points_then_threshold
from ..metrics.bootstrap import block_sums, bootstrap_f1_difference, pooled_scores
from ..metrics.points import Arrays, PointCounts, count_points, keypoint_average_precision
from .nuclei import Nuclei

TILES_PER_BLOCK = 10
SIMILARITY_SIGMA_UM = 2.98  # keypoint similarity of EndoNet (Ushakov et al. 2023, arXiv:2308.11562)
LIMITS = 1.96  # standard deviations of the limits of agreement (Bland & Altman 1986)
STAIN_UM = 1.5  # radius around a point in which its stain is measured
REFERENCES = ("log", "watershed", "od")  # routes that the others are compared with


def evaluate(
    samples: Sequence[KeypointSample], predictions: Mapping[str, Sequence[Nuclei]], *, radius_um: float = 3.0,
    blocks: Sequence[str] | None = None, seed: int = 0, details: bool = False, classes: Mapping[int, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score the nuclei that each route found on all samples.

    Args:
        samples: annotated tiles.
        predictions: route name to the nuclei of each sample, in order.
        radius_um: largest distance of a hit, in microns.
        blocks: bootstrap block of each sample (neighbouring tiles share cells, see `tile_blocks`); default: every
            sample is its own block.
        seed: random seed of the bootstrap.
        details: add the numbers of a comparison of routes, see below.
        classes: names of the annotated classes, for the details.

    Returns:
        JSON values, None where a number is undefined: {"routes": {name: scores}, "protocol": {...}} with precision,
        recall, f1, f1_ci95, loc_error_um, count_bias, n_true and n_pred. The details are: difference {reference: {f1,
        ci95}} to the routes `REFERENCES`; recall_by_class and recall_by_stain {name: {recall, n}}; count_limits (mean
        difference of counts per tile between its limits of agreement); f1_then_threshold; average_precision;
        tiles {id: [tp, fp, fn]}.

    Raises:
        ValueError: there is no sample, or a route lacks predictions.
    """
    if not len(samples):
        raise ValueError("evaluate: expected at least one annotated tile, found none")
    blocks = blocks or [str(i) for i in range(len(samples))]
    truth = [sample.xy * sample.patch.mpp for sample in samples]
    routes: dict[str, dict[str, Any]] = {}
    sums: dict[str, np.ndarray] = {}
    for name, nuclei in predictions.items():
        xy = [each.xy.reshape(-1, 2) * sample.patch.mpp for each, sample in zip(nuclei, samples, strict=True)]
        tiles = _count(xy, truth, radius_um)
        counts = np.array([tile.counts for tile in tiles])
        excess = counts[:, 1] - counts[:, 2]
        sums[name] = block_sums(counts, blocks)
        routes[name] = pooled_scores(tiles, blocks, seed) | {"count_bias": excess.mean()}
        routes[name]["loc_error_um"] = _pooled(tiles)["loc_error"]
        if details:
            hits = [match_points(*points, radius_um).true for points in zip(xy, truth, strict=True)]
            confidence, then = [each.score for each in nuclei], match_points_then_threshold
            spread = LIMITS * excess.std(ddof=1) if len(excess) > 1 else np.nan
            routes[name] |= {
                "difference": {},
                **_recalls(samples, hits, classes or {}),
                "count_limits": [excess.mean() - spread, excess.mean(), excess.mean() + spread],
                "f1_then_threshold": _pooled(_count(xy, truth, radius_um, then))["f1"],
                "average_precision": keypoint_average_precision(xy, confidence, truth, SIMILARITY_SIGMA_UM),
                "tiles": {s.patch.name: row for s, row in zip(samples, counts.tolist(), strict=True)},
            }
    for name, other in product(routes, REFERENCES) if details else ():
        if other in routes and other != name:
            interval = bootstrap_f1_difference(sums[name], sums[other], seed)
            routes[name]["difference"][other] = {"f1": routes[name]["f1"] - routes[other]["f1"], "ci95": interval}
    protocol = {
        "radius_um": radius_um,
        "matching": "one-to-one, pairs beyond the radius excluded before the assignment",
        "pooling": "counts pooled over all tiles",
        "interval": f"95 %, percentile bootstrap over {len(set(blocks))} blocks of tiles, 2000 draws, seed {seed}",
        "count_bias": "mean over tiles of predicted minus annotated nuclei",
        "tiles": len(samples),
    }
    return plain({"routes": routes, "protocol": protocol})


def tile_blocks(ids: Sequence[int]) -> list[str]:
    """Bootstrap block of each tile: ten neighbouring ids of one run, because neighbours share a slide.

    >>> tile_blocks([321, 322, 945])
    ['0.0', '0.0', '1.0']
    """
    block_of = {}
    for number, run in enumerate(id_runs(ids)):
        for position, tile in enumerate(run):
            block_of[tile] = f"{number}.{position // TILES_PER_BLOCK}"
    return [block_of[tile] for tile in ids]


def is_brown(patch: Patch, xy: np.ndarray) -> np.ndarray:
    """Whether there is more DAB than hematoxylin around each point, bool (K,).

    Args:
        patch: IHC image.
        xy: points in its pixels, (K, 2); outside the image the nearest pixel counts.
    """
    reach = max(1, round(STAIN_UM / patch.mpp))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    blue, brown = np.moveaxis(separate_stains(patch.image, "hematoxylin", "dab"), -1, 0)
    excess = convolve(brown - blue, (x**2 + y**2 <= reach**2).astype(float), mode="nearest")
    columns, rows = np.round(xy).astype(int).T
    return excess[rows.clip(0, len(excess) - 1), columns.clip(0, excess.shape[1] - 1)] > 0


def _count(pred_um: Arrays, true_um: Arrays, radius_um: float, matcher: Any = match_points) -> list[PointCounts]:
    return [count_points(pred, true, radius_um, matcher) for pred, true in zip(pred_um, true_um, strict=True)]


def _pooled(tiles: Sequence[PointCounts]) -> dict[str, float]:
    return sum(tiles, PointCounts()).scores()


def _recalls(samples: Sequence[KeypointSample], hits: Arrays, classes: Mapping[int, str]) -> dict[str, Any]:
    """Share of the annotated nuclei of each class and of each stain that are among the hits."""
    found = np.concatenate([np.isin(np.arange(len(one.xy)), hit) for one, hit in zip(samples, hits, strict=True)])
    kinds = np.concatenate([sample.types for sample in samples])
    brown = np.concatenate([is_brown(sample.patch, sample.xy) for sample in samples])
    by_class = {name: kinds == kind for kind, name in classes.items()}
    return {
        key: {name: {"recall": found[m].mean() if m.any() else None, "n": m.sum()} for name, m in masks.items()}
        for key, masks in (("recall_by_class", by_class), ("recall_by_stain", {"brown": brown, "blue": ~brown}))
    }
