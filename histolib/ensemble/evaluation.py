"""Scores of routes on tiles with annotated nuclei: pooled over points, with an interval that respects neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import KeypointSample, id_runs
from ..imaging import Patch
from ..metrics import Match, match_points, scores_from_counts
from ..metrics import bootstrap_f1 as bootstrap_counts
from .nuclei import Nuclei

__all__ = ["TileCounts", "bootstrap_f1", "count_tile", "evaluate", "evaluate_found", "summarise", "tile_blocks"]

BOOTSTRAP_DRAWS = 2000
TILES_PER_BLOCK = 10


@dataclass(frozen=True, slots=True)
class TileCounts:
    """What one route found on one tile.

    Attributes:
        block: tiles of one block are resampled together.
        tp, fp, fn: counts at the radius.
        distance_um: sum of the hits' distances in microns.
    """

    block: str
    tp: int
    fp: int
    fn: int
    distance_um: float

    @property
    def counts(self) -> tuple[int, int, int]:
        """tp, fp, fn."""
        return self.tp, self.fp, self.fn


def count_tile(nuclei: Nuclei, sample: KeypointSample, radius_um: float, block: str = "") -> TileCounts:
    """Match the nuclei of one tile with its annotations, in microns."""
    return count_points(nuclei.xy, sample.xy, sample.patch.mpp, radius_um, block)


def count_points(
    pred_xy: np.ndarray,
    true_xy: np.ndarray,
    mpp: float,
    radius_um: float,
    block: str = "",
    matcher: Callable[[np.ndarray, np.ndarray, float], Match] = match_points,
) -> TileCounts:
    """Match the points of one tile, both (K, 2) in its pixels, in microns."""
    match = matcher(np.asarray(pred_xy) * mpp, np.asarray(true_xy) * mpp, radius_um)
    hits = len(match.pred)
    return TileCounts(block, hits, len(pred_xy) - hits, len(true_xy) - hits, float(match.distance.sum()))


def evaluate(
    samples: Sequence[KeypointSample],
    routes: Mapping[str, Callable[[Patch], Nuclei]],
    *,
    radius_um: float = 3.0,
    blocks: Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[Iterable[KeypointSample]], Iterable[KeypointSample]] = iter,
) -> dict[str, Any]:
    """Score each route on all samples.

    Args:
        samples: annotated tiles.
        routes: functions from a patch to its nuclei, by name.
        radius_um: largest distance of a hit, in microns.
        blocks: block of each sample for the bootstrap (neighbouring tiles share cells); default every tile its own.
        seed: seed of the bootstrap.
        progress: wraps the iteration over samples.

    Returns:
        {"routes": {name: scores}, "protocol": {...}} of plain values, as `histolib evaluate` writes them.

    Raises:
        ValueError: there is no sample.
    """
    blocks = blocks or [str(i) for i in range(len(samples))]
    counts: dict[str, list[TileCounts]] = {name: [] for name in routes}
    for sample, block in zip(progress(samples), blocks, strict=True):
        for name, route in routes.items():
            counts[name].append(count_tile(route(sample.patch), sample, radius_um, block))
    return _result(counts, radius_um, blocks, seed)


def evaluate_found(
    samples: Sequence[KeypointSample],
    found: Mapping[str, Sequence[Nuclei]],
    *,
    radius_um: float = 3.0,
    blocks: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """`evaluate` for nuclei that were found before: by name of the route, those of each sample, in order."""
    blocks = blocks or [str(i) for i in range(len(samples))]
    counts = {
        name: [
            count_tile(each, sample, radius_um, block)
            for each, sample, block in zip(nuclei, samples, blocks, strict=True)
        ]
        for name, nuclei in found.items()
    }
    return _result(counts, radius_um, blocks, seed)


def _result(
    counts: Mapping[str, Sequence[TileCounts]], radius_um: float, blocks: Sequence[str], seed: int
) -> dict[str, Any]:
    if not len(blocks):
        raise ValueError("evaluate: expected at least one annotated tile, found none")
    return {
        "routes": {name: summarise(tiles, seed) for name, tiles in counts.items()},
        "protocol": {
            "radius_um": radius_um,
            "matching": "one-to-one, pairs beyond the radius excluded before the assignment",
            "pooling": "counts pooled over all tiles",
            "interval": f"95 %, percentile bootstrap over {len(set(blocks))} blocks of tiles, "
            f"{BOOTSTRAP_DRAWS} draws, seed {seed}",
            "count_bias": "mean over tiles of predicted minus annotated nuclei",
            "tiles": len(blocks),
        },
    }


def summarise(tiles: Sequence[TileCounts], seed: int = 0) -> dict[str, Any]:
    """Pooled scores of one route: precision, recall, f1, f1_ci95, loc_error_um, count_bias, n_true, n_pred.

    A number that does not exist (no nuclei at all, say) is None, so that the result is valid JSON.
    """
    tp, fp, fn = (sum(getattr(tile, name) for tile in tiles) for name in ("tp", "fp", "fn"))
    scores = scores_from_counts(tp, fp, fn)
    return {
        "precision": _plain(scores["precision"]),
        "recall": _plain(scores["recall"]),
        "f1": _plain(scores["f1"]),
        "f1_ci95": [_plain(value) for value in bootstrap_f1(tiles, seed)],
        "loc_error_um": _plain(sum(tile.distance_um for tile in tiles) / tp) if tp else None,
        "count_bias": _plain(sum(tile.fp - tile.fn for tile in tiles) / len(tiles)),
        "n_true": tp + fn,
        "n_pred": tp + fp,
    }


def bootstrap_f1(tiles: Sequence[TileCounts], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the pooled F1, by drawing whole blocks of tiles with replacement (percentiles 2.5 and 97.5)."""
    return bootstrap_counts(block_counts(tiles), seed, BOOTSTRAP_DRAWS)


def block_counts(tiles: Sequence[TileCounts]) -> np.ndarray:
    """(tp, fp, fn) summed over each block, (B, 3), in order of the blocks' names."""
    names, block = np.unique([tile.block for tile in tiles], return_inverse=True)
    table = np.zeros((len(names), 3))
    np.add.at(table, block, [tile.counts for tile in tiles])
    return table


def tile_blocks(ids: Sequence[int]) -> list[str]:
    """Block of each tile for the bootstrap: ten neighbouring ids of one run, since neighbours share a slide.

    >>> tile_blocks([321, 322, 945])
    ['0.0', '0.0', '1.0']
    """
    block_of = {}
    for number, run in enumerate(id_runs(ids)):
        for position, tile in enumerate(run):
            block_of[tile] = f"{number}.{position // TILES_PER_BLOCK}"
    return [block_of[tile] for tile in ids]


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
