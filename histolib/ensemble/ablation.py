"""All that is told of each route on the same tiles: pooled scores, paired differences, who is missed, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import KeypointSample
from ..imaging import Patch, separate_stains
from ..metrics import (
    bootstrap_f1_difference,
    f1_from_counts,
    keypoint_average_precision,
    match_points,
    match_points_then_threshold,
)
from .evaluation import TileCounts, block_counts, count_points, summarise
from .nuclei import Nuclei

__all__ = ["Found", "ablate", "is_brown"]

RADII_UM = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
SIMILARITY_SIGMA_UM = 2.98  # of EndoNet's keypoint similarity
LIMITS = 1.96  # standard deviations of the limits of agreement (Bland and Altman 1986)
STAIN_UM = 1.5  # around a point, whose stain is its nucleus'
WORST_TILES = 12


@dataclass(frozen=True, slots=True)
class Found:
    """What a route found on the scored tiles.

    Attributes:
        nuclei: of each tile.
        seconds: wall time of each tile, NaN where it was not measured.
    """

    nuclei: Sequence[Nuclei]
    seconds: Sequence[float]


def ablate(
    samples: Sequence[KeypointSample],
    found: Mapping[str, Found],
    blocks: Sequence[str],
    *,
    classes: Mapping[int, str],
    radius_um: float = 3.0,
    against: Sequence[str] = ("log", "od"),
    seed: int = 0,
) -> dict[str, Any]:
    """Compare routes on the same tiles with the same matcher.

    Args:
        samples: annotated tiles.
        found: route to what it found on them, in their order.
        blocks: block of each tile for intervals: neighbours share a slide.
        classes: names of the annotations' classes.
        radius_um: largest distance of a hit.
        against: routes that every other one is compared with, block by block.
        seed: of the bootstraps.

    Returns:
        route to the numbers of `summarise` and: difference {reference: {f1, ci95}}; recall_by_class and
        recall_by_stain {name: {recall, n}}; count_limits, the mean difference of counts a tile and its limits of
        agreement; f1_by_radius; f1_then_threshold; average_precision; seconds_per_mm2; tiles {id: [tp, fp, fn]}; worst,
        ids of the tiles where most more mistakes are made than by the first of `against`.

    Raises:
        ValueError: there is no tile, or a route lacks some.
    """
    if not samples:
        raise ValueError("ablate: expected at least one annotated tile, found none")
    for name, route in found.items():
        if len(route.nuclei) != len(samples):
            raise ValueError(f"ablate: expected {len(samples)} tiles of route {name}, found {len(route.nuclei)}")
    counts = {
        name: [count_points(n.xy, s.xy, s.patch.mpp, radius_um, b) for n, s, b in _along(route, samples, blocks)]
        for name, route in found.items()
    }
    brown = [is_brown(sample.patch, sample.xy) for sample in samples]
    area_mm2 = sum(sample.patch.area_mm2 for sample in samples)
    results = {}
    for name, route in found.items():
        excess = [tile.fp - tile.fn for tile in counts[name]]
        spread = LIMITS * float(np.std(excess, ddof=1)) if len(excess) > 1 else float("nan")
        results[name] = {
            **summarise(counts[name], seed),
            "difference": {
                other: _difference(counts[name], counts[other], seed)
                for other in against
                if other in found and other != name
            },
            **_recalls(samples, route, brown, classes, radius_um),
            "count_limits": [float(np.mean(excess)) - spread, float(np.mean(excess)), float(np.mean(excess)) + spread],
            "f1_by_radius": {f"{radius:g}": _f1(samples, route, radius) for radius in RADII_UM},
            "f1_then_threshold": _f1(samples, route, radius_um, match_points_then_threshold),
            "average_precision": keypoint_average_precision(
                [n.xy * s.patch.mpp for n, s in zip(route.nuclei, samples, strict=True)],
                [n.score for n in route.nuclei],
                [s.xy * s.patch.mpp for s in samples],
                SIMILARITY_SIGMA_UM,
            ),
            "seconds_per_mm2": float(np.sum(route.seconds)) / area_mm2,
            "tiles": {s.patch.name: list(t.counts) for s, t in zip(samples, counts[name], strict=True)},
            "worst": _worst(samples, counts[name], counts[against[0]]) if against[0] in counts else [],
        }
    return results


def is_brown(patch: Patch, xy: np.ndarray) -> np.ndarray:
    """Whether there is more DAB than hematoxylin around each point, bool (K,).

    Args:
        patch: IHC image.
        xy: points in its pixels, (K, 2); outside it the nearest pixels are taken.
    """
    height, width = patch.image.shape[:2]
    reach = max(1, round(STAIN_UM / patch.mpp))
    steps = np.arange(-reach, reach + 1)
    near = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    near = near[(near**2).sum(axis=1) <= reach**2]
    at = np.rint(np.asarray(xy, float).reshape(-1, 1, 2)).astype(int) + near
    columns, rows = np.clip(at[..., 0], 0, width - 1), np.clip(at[..., 1], 0, height - 1)
    blue, brown = np.moveaxis(separate_stains(patch.image, "hematoxylin", "dab"), -1, 0)
    return brown[rows, columns].mean(axis=1) > blue[rows, columns].mean(axis=1)


def _along(route: Found, samples: Sequence[KeypointSample], blocks: Sequence[str]) -> Any:
    return zip(route.nuclei, samples, blocks, strict=True)


def _difference(tiles: Sequence[TileCounts], others: Sequence[TileCounts], seed: int) -> dict[str, Any]:
    pair = block_counts(tiles), block_counts(others)
    f1, other = (f1_from_counts(table.sum(axis=0)) for table in pair)
    return {"f1": float(f1 - other), "ci95": list(bootstrap_f1_difference(*pair, seed))}


def _recalls(
    samples: Sequence[KeypointSample],
    route: Found,
    brown: Sequence[np.ndarray],
    classes: Mapping[int, str],
    radius_um: float,
) -> dict[str, Any]:
    """Share of the annotated nuclei that were found, by class and by what stains them."""
    hit, kind = [], []
    for nuclei, sample in zip(route.nuclei, samples, strict=True):
        match = match_points(nuclei.xy * sample.patch.mpp, sample.xy * sample.patch.mpp, radius_um)
        hit.append(np.isin(np.arange(len(sample.xy)), match.true))
        kind.append(sample.types)
    hits, kinds, browns = np.concatenate(hit), np.concatenate(kind), np.concatenate(brown)
    groups = {
        "recall_by_class": {name: kinds == number for number, name in classes.items()},
        "recall_by_stain": {"brown": browns, "blue": ~browns},
    }
    return {
        table: {
            name: {"recall": float(hits[mask].mean()) if mask.any() else None, "n": int(mask.sum())}
            for name, mask in masks.items()
        }
        for table, masks in groups.items()
    }


def _f1(samples: Sequence[KeypointSample], route: Found, radius_um: float, matcher: Any = match_points) -> float:
    tiles = [
        count_points(nuclei.xy, sample.xy, sample.patch.mpp, radius_um, matcher=matcher).counts
        for nuclei, sample in zip(route.nuclei, samples, strict=True)
    ]
    return float(f1_from_counts(np.sum(tiles, axis=0)))


def _worst(samples: Sequence[KeypointSample], tiles: Sequence[TileCounts], others: Sequence[TileCounts]) -> list[str]:
    """Ids of the tiles with most mistakes more than another route makes there, the worst first."""
    more = [tile.fp + tile.fn - other.fp - other.fn for tile, other in zip(tiles, others, strict=True)]
    order = np.argsort(-np.array(more), kind="stable")[:WORST_TILES]
    return [samples[i].patch.name for i in order if more[i] > 0]
