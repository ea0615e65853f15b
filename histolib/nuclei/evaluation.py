"""Scores of HoVer-Net on outlined nuclei, with the protocols named and leaks told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from ..data import InstanceSample
from ..imaging import map_points
from ..metrics import (
    bootstrap_f1,
    match_points,
    match_points_then_threshold,
    pannuke_scores,
    scores_from_counts,
    segmentation_scores,
    type_scores,
    type_table,
    typed_quality,
)
from ..results import plain
from .finding import patch_maps
from .hovernet import HoVerNet
from .postprocess import describe_instances, published_thresholds

__all__ = ["evaluate_nuclei"]

SEGMENTATION = ("dice", "aji", "aji_plus", "dq", "sq", "pq")
MATCHINGS = {"detection": match_points, "detection_assign_then_threshold": match_points_then_threshold}


@dataclass(frozen=True, slots=True)
class _Scored:
    """What one image adds to the scores; the tables are those of `type_table`, by the names of `MATCHINGS`."""

    segmentation: dict[str, float]
    quality: np.ndarray
    tables: dict[str, np.ndarray]


def evaluate_nuclei(
    net: HoVerNet,
    card: Mapping[str, Any],
    samples: Sequence[InstanceSample],
    *,
    types: Sequence[str] = (),
    radius_um: float = 3.0,
    orientations: int = 1,
    autocast: torch.dtype | None = None,
    device: torch.device | str | None = None,
    progress: Callable[[Iterable[InstanceSample]], Iterable[InstanceSample]] = iter,
) -> dict[str, Any]:
    """Score a network on outlined nuclei, at the scale of the annotation.

    Detection pools counts over all images, by both protocols: pairs beyond the radius excluded before the assignment
    (`match_points`), and dropped after it, as published numbers have it. Segmentation scores are means over images,
    those that are NaN (no nuclei, neither true nor found) left out. mPQ, bPQ and PQ by type are PanNuke's
    (`pannuke_scores`), F1 by type is read three ways (`type_counts`), from assign-then-threshold pairs as published.

    Args:
        net: the network.
        card: its card: "mpp", "thresholds", "types", and "groups", what its training saw.
        samples: at least one.
        types: names of the samples' types 1, 2, ...; types are scored where they are the card's.
        radius_um: largest distance of a hit; 3 microns are the published 12 px at 0.25 microns per pixel.
        orientations: over how many orientations of an image maps are averaged, as in `average_maps`.
        autocast, device: as in `predict_maps`.
        progress: wraps the iteration over samples.

    Returns:
        plain values, None where a number does not exist: "segmentation": means; "detection" and
        "detection_assign_then_threshold": precision, recall, f1, f1_ci95, n_true, n_pred; "pannuke": mpq, bpq,
        per_tissue, per_type; "types": for every type weighted_f1, plain_f1, equation_f1, n_true, n_pred; "protocol":
        how it was done, and "leaked": the groups of these samples that the training saw (None: the card does not say).

    Raises:
        ValueError: there is no sample.
    """
    typed = bool(types) and list(types) == list(card["types"])
    scored, groups, tissues = [], [], []
    for sample in progress(samples):
        maps_of = {"orientations": orientations, "autocast": autocast, "device": device}
        scored.append(_score(net, card, sample, len(types) + 1 if typed else 1, radius_um, maps_of))
        groups.append(sample.group)
        tissues.append(sample.tissue)
    if not scored:
        raise ValueError("evaluate_nuclei: expected at least one sample, found none")
    options = {"images": groups, "tissues": tissues}
    unit, blocks = next(((n, b) for n, b in options.items() if len(set(b)) > 1), ("samples", list(range(len(scored)))))
    seen = card.get("groups")
    result = {
        "segmentation": {name: _mean([image.segmentation[name] for image in scored]) for name in SEGMENTATION},
        **{name: _detection([image.tables[name] for image in scored], blocks) for name in MATCHINGS},
        "pannuke": pannuke_scores(np.stack([image.quality for image in scored]), tissues),
        "types": {},
        "protocol": {
            "radius_um": radius_um,
            "samples": len(scored),
            "interval": f"95 %, percentile bootstrap over {len(set(blocks))} {unit}",
            "orientations": orientations,
            "thresholds": dict(card.get("thresholds") or published_thresholds(card["mpp"])),
            "trained_on": card.get("trained_on") or "unknown",
            "leaked": None if seen is None else sorted(set(groups) & set(seen)),
        },
    }
    if typed:
        table = np.sum([image.tables["detection_assign_then_threshold"] for image in scored], axis=0)
        readings = type_scores(table)
        result["types"] = {
            name: {f"{reading}_f1": readings[reading]["f1"][t] for reading in ("weighted", "plain", "equation")}
            | {"n_true": table[t].sum(), "n_pred": table[:, t].sum()}
            for t, name in enumerate(types, 1)
        }
        result["pannuke"]["per_type"] = dict(zip(types, result["pannuke"]["per_type"], strict=True))
    return plain(result)


def _score(
    net: HoVerNet, card: Mapping[str, Any], sample: InstanceSample, classes: int, radius_um: float, how: dict[str, Any]
) -> _Scored:
    mpp = sample.patch.mpp
    found = patch_maps(sample.patch, net, card["mpp"], **how)
    labels = found.instances(card.get("thresholds"), card["mpp"])
    table = describe_instances(labels, found.maps.get("tp"))
    kinds = table["type"].to_numpy() if classes > 1 else np.zeros(len(table), int)
    true_kinds = sample.types if classes > 1 else np.zeros(len(sample.types), int)
    xy = map_points(table[["x", "y"]].to_numpy(np.float64), found.scale) * mpp
    labels = cv2.resize(labels, sample.instances.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    kept = np.isin(table["id"], np.unique(labels))  # one of a pixel may be lost
    return _Scored(
        segmentation_scores(labels, sample.instances),
        typed_quality(labels, kinds[kept], sample.instances, true_kinds, classes),
        {
            name: type_table(match(xy, sample.xy * mpp, radius_um), kinds, true_kinds, classes)
            for name, match in MATCHINGS.items()
        },
    )


def _detection(tables: Sequence[np.ndarray], blocks: Sequence[Any]) -> dict[str, Any]:
    """Pooled detection scores, whatever the types, and their interval over blocks of images."""
    counts = np.array([(t[:-1, :-1].sum(), t[-1, :-1].sum(), t[:-1, -1].sum()) for t in tables])
    names, block = np.unique(blocks, return_inverse=True)
    pooled = np.zeros((len(names), 3))
    np.add.at(pooled, block, counts)
    tp, fp, fn = map(int, counts.sum(axis=0))
    scores = scores_from_counts(tp, fp, fn)
    return {
        **{name: scores[name] for name in ("precision", "recall", "f1")},
        "f1_ci95": list(bootstrap_f1(pooled)),
        "n_true": tp + fn,
        "n_pred": tp + fp,
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
