"""Detection scores of routes on annotated tiles: pooled over points, with a bootstrap over blocks of tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data import KeypointSample, id_runs
from ..imaging import Patch, separate_stains
from ..io import plain
from ..metrics import bootstrap_f1, keypoint_average_precision, match_points, match_points_then_threshold
from ..metrics.bootstrap import block_sums, bootstrap_f1_difference
from ..metrics.points import PointCounts, count_points
from .nuclei import Nuclei

TILES_PER_BLOCK = 10
RADII_UM = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
SIMILARITY_SIGMA_UM = 2.98  # keypoint similarity of EndoNet (Ushakov et al. 2023, arXiv:2308.11562)
LIMITS = 1.96  # standard deviations of the limits of agreement (Bland & Altman 1986)
STAIN_UM = 1.5  # radius around a point in which its stain is measured
WORST_TILES = 12
REFERENCES = ("log", "od")  # routes that the others are compared with


def evaluate(
    samples: Sequence[KeypointSample],
    predictions: Mapping[str, Sequence[Nuclei]],
    *,
    radius_um: float = 3.0,
    blocks: Sequence[str] | None = None,
    seed: int = 0,
    details: bool = False,
    classes: Mapping[int, str] | None = None,
) -> dict[str, Any]:
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
        difference of counts per tile between its limits of agreement); f1_by_radius; f1_then_threshold;
        average_precision; tiles {id: [tp, fp, fn]}; worst, the ids of the tiles with most errors beyond those of `log`.

    Raises:
        ValueError: there is no sample, or a route lacks predictions.
    """
    if not len(samples):
        raise ValueError("evaluate: expected at least one annotated tile, found none")
    blocks = blocks or [str(i) for i in range(len(samples))]
    truth = [sample.xy * sample.patch.mpp for sample in samples]
    points = {
        name: [each.xy.reshape(-1, 2) * sample.patch.mpp for each, sample in zip(nuclei, samples, strict=True)]
        for name, nuclei in predictions.items()
    }
    tiles = {name: _count(xy, truth, radius_um) for name, xy in points.items()}
    routes = {name: _summary(counts, blocks, seed) for name, counts in tiles.items()}
    if details:
        kinds = np.concatenate([sample.types for sample in samples])
        brown = np.concatenate([is_brown(sample.patch, sample.xy) for sample in samples])
        for name, xy in points.items():
            hits = [match_points(pred, true, radius_um).true for pred, true in zip(xy, truth, strict=True)]
            found = np.concatenate([np.isin(np.arange(len(true)), hit) for true, hit in zip(truth, hits, strict=True)])
            routes[name] |= {
                "difference": {
                    other: _difference(tiles[name], tiles[other], blocks, seed)
                    for other in REFERENCES
                    if other in tiles and other != name
                },
                "recall_by_class": _recalls(found, {kind: kinds == i for i, kind in (classes or {}).items()}),
                "recall_by_stain": _recalls(found, {"brown": brown, "blue": ~brown}),
                "count_limits": _count_limits(tiles[name]),
                "f1_by_radius": {f"{radius:g}": _f1(_count(xy, truth, radius)) for radius in RADII_UM},
                "f1_then_threshold": _f1(_count(xy, truth, radius_um, match_points_then_threshold)),
                "average_precision": keypoint_average_precision(
                    xy, [nuclei.score for nuclei in predictions[name]], truth, SIMILARITY_SIGMA_UM
                ),
                "tiles": {s.patch.name: list(t.counts) for s, t in zip(samples, tiles[name], strict=True)},
                "worst": _worst(samples, tiles[name], tiles.get("log", tiles[name])),
            }
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
        xy: points in its pixels, (K, 2); outside the image the nearest pixels count.
    """
    height, width = patch.image.shape[:2]
    reach = max(1, round(STAIN_UM / patch.mpp))
    steps = np.arange(-reach, reach + 1)
    near = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    near = near[(near**2).sum(axis=1) <= reach**2]
    columns, rows = np.moveaxis(np.round(xy).astype(int)[:, None] + near, -1, 0)
    columns, rows = columns.clip(0, width - 1), rows.clip(0, height - 1)
    blue, brown = np.moveaxis(separate_stains(patch.image, "hematoxylin", "dab"), -1, 0)
    return brown[rows, columns].mean(axis=1) > blue[rows, columns].mean(axis=1)


def _count(
    pred_um: Sequence[np.ndarray], true_um: Sequence[np.ndarray], radius_um: float, matcher: Any = match_points
) -> list[PointCounts]:
    return [count_points(pred, true, radius_um, matcher) for pred, true in zip(pred_um, true_um, strict=True)]


def _summary(tiles: Sequence[PointCounts], blocks: Sequence[str], seed: int) -> dict[str, Any]:
    total = sum(tiles, PointCounts())
    scores = total.scores()
    return {
        **{name: scores[name] for name in ("precision", "recall", "f1")},
        "f1_ci95": bootstrap_f1(_by_block(tiles, blocks), seed),
        "loc_error_um": scores["loc_error"],
        "count_bias": (total.fp - total.fn) / len(tiles),
        "n_true": total.tp + total.fn,
        "n_pred": total.tp + total.fp,
    }


def _by_block(tiles: Sequence[PointCounts], blocks: Sequence[str]) -> np.ndarray:
    return block_sums(np.array([tile.counts for tile in tiles]), blocks)


def _f1(tiles: Sequence[PointCounts]) -> float:
    return sum(tiles, PointCounts()).scores()["f1"]


def _difference(
    tiles: Sequence[PointCounts], others: Sequence[PointCounts], blocks: Sequence[str], seed: int
) -> dict[str, Any]:
    interval = bootstrap_f1_difference(_by_block(tiles, blocks), _by_block(others, blocks), seed)
    return {"f1": _f1(tiles) - _f1(others), "ci95": interval}


def _count_limits(tiles: Sequence[PointCounts]) -> list[float]:
    excess = np.array([tile.fp - tile.fn for tile in tiles])
    spread = LIMITS * excess.std(ddof=1) if len(excess) > 1 else np.nan
    return [excess.mean() - spread, excess.mean(), excess.mean() + spread]


def _worst(samples: Sequence[KeypointSample], tiles: Sequence[PointCounts], others: Sequence[PointCounts]) -> list[str]:
    more = np.array([a.fp + a.fn - b.fp - b.fn for a, b in zip(tiles, others, strict=True)])
    order = np.argsort(-more, kind="stable")[:WORST_TILES]
    return [samples[i].patch.name for i in order if more[i] > 0]


def _recalls(found: np.ndarray, groups: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Share of the annotated nuclei of each group that were found."""
    return {name: {"recall": found[of].mean() if of.any() else None, "n": of.sum()} for name, of in groups.items()}
