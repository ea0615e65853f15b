"""Scores of HoVer-Net on outlined nuclei, and the choice of its thresholds."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import cv2
import numpy as np
import pandas as pd

from .. import metrics
from ..data.samples import InstanceSample
from ..data.splits import leaked_groups
from ..io import plain
from ..metrics.bootstrap import pooled_scores
from ..metrics.points import PointCounts, count_points
from .hovernet import HoVerNet
from .inference import patch_maps
from .postprocess import describe_instances, postprocess, published_thresholds, to_patch

MATCHERS = {"detection": metrics.match_points, "detection_assign_then_threshold": metrics.match_points_then_threshold}
# Candidates of `choose_thresholds`, the published values first.
EDGES = (0.4, 0.5, 0.6)
OPENINGS = (5, 3, 1)
CALIBRATION_SAMPLES = 16
TOLERANCE = 0.01  # of F1; smaller gains over the published values are within noise


def evaluate_nuclei(
    net: HoVerNet, samples: Iterable[InstanceSample], *, types: Sequence[str] = (), radius_um: float = 3.0, **how: Any
) -> dict[str, Any]:
    """Score a network on outlined nuclei, at the scale of the annotation.

    Detection counts are pooled over all images, by two protocols: pairs beyond the radius are excluded before the
    assignment (`match_points`), or dropped after it, as in published numbers. Segmentation scores are means over images
    without NaN (images with neither true nor predicted nuclei). mPQ, bPQ and PQ by type follow PanNuke
    (`pannuke_scores`). F1 by type follows three definitions (`type_counts`) and uses the published assignment.

    Args:
        net: the network; its provenance decides whether the scores are leaked.
        samples: at least one.
        types: names of the samples' types 1, 2, ...; types are scored if the network has the same ones.
        radius_um: matching radius; 3 microns are the published 12 px at 0.25 microns per pixel.
        how: keyword arguments of `predict_maps`: tile_px, device, autocast.

    Returns:
        plain values, None if undefined: "segmentation": means; "detection" and "detection_assign_then_threshold":
        precision, recall, f1, f1_ci95, n_true, n_pred; "pannuke": mpq, bpq, per_type; "types": for each
        type weighted_f1, plain_f1, equation_f1, n_true, n_pred; "protocol": settings, and "leaked", the groups of these
        samples that training saw (None: unknown).

    Raises:
        ValueError: there is no sample.
    """
    typed = bool(types) and tuple(types) == tuple(net.types)
    num_types = len(types) + 1 if typed else 1
    groups, tissues, segmentation, quality = [], [], [], []
    counts: dict[str, list[PointCounts]] = {name: [] for name in MATCHERS}
    table = np.zeros((num_types + 1, num_types + 1), int)
    for sample in samples:
        mpp = sample.patch.mpp
        maps = patch_maps(sample.patch, net, **how)
        labels = postprocess(maps["np"], maps["hv"], **net.thresholds)
        nuclei = to_patch(describe_instances(labels, maps.get("tp")), labels.shape, sample.patch)
        kinds = nuclei["type"].to_numpy() if typed else np.zeros(len(nuclei), int)
        true_kinds = sample.types if typed else np.zeros(len(sample.types), int)
        xy, true_xy = nuclei[["x", "y"]].to_numpy() * mpp, sample.xy * mpp
        labels = cv2.resize(labels, sample.instances.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        kept = np.isin(nuclei["id"], np.unique(labels))  # resampling can remove a nucleus of one pixel
        groups.append(sample.group)
        tissues.append(sample.tissue)
        segmentation.append(metrics.segmentation_scores(labels, sample.instances))
        quality.append(metrics.instances.typed_quality(labels, kinds[kept], sample.instances, true_kinds, num_types))
        for name, matcher in MATCHERS.items():
            counts[name].append(count_points(xy, true_xy, radius_um, matcher))
        table += metrics.type_table(
            metrics.match_points_then_threshold(xy, true_xy, radius_um), kinds, true_kinds, num_types
        )
    if not groups:
        raise ValueError("evaluate_nuclei: expected at least one sample, found none")
    candidates: dict[str, list[Any]] = {"images": groups, "tissues": tissues, "samples": list(range(len(groups)))}
    unit = next((name for name, blocks in candidates.items() if len(set(blocks)) > 1), "samples")
    pannuke = metrics.instances.pannuke_scores(np.stack(quality), tissues)
    result = {
        "segmentation": pd.DataFrame(segmentation).mean().to_dict(),
        **{name: pooled_scores(counts[name], candidates[unit]) for name in MATCHERS},
        "pannuke": pannuke,
        "types": {},
        "protocol": {
            "radius_um": radius_um,
            "samples": len(groups),
            "interval": f"95 %, percentile bootstrap over {len(set(candidates[unit]))} {unit}",
            "thresholds": net.thresholds,
            "trained_on": net.provenance.trained_on,
            "leaked": leaked_groups(groups, net.provenance.groups),
        },
    }
    if typed:
        definitions = metrics.type_scores(table)
        result["types"] = {
            name: {f"{definition}_f1": scores["f1"][t] for definition, scores in definitions.items()}
            | {"n_true": table[t].sum(), "n_pred": table[:, t].sum()}
            for t, name in enumerate(types, 1)
        }
        pannuke["per_type"] = dict(zip(types, pannuke["per_type"], strict=True))
    return plain(result)


def choose_thresholds(net: HoVerNet, samples: Sequence[InstanceSample], radius_um: float = 3.0) -> dict[str, Any]:
    """Choose the edge threshold and the opening of `postprocess` with the best detection F1.

    The published pair (0.4, and 5 px at 0.25 microns per pixel) drops nuclei without a marker, which are frequent after
    a short training or at a coarse scale. Of the pairs within 0.01 of the best F1, the one closest to the published
    pair is chosen. The other thresholds are the published ones.

    Args:
        net: the network.
        samples: outlined nuclei that are not used for scores; at most 16 are used, evenly spaced.
        radius_um: matching radius.

    Returns:
        keyword arguments of `postprocess` at the network's scale.
    """
    published = published_thresholds(net.mpp)
    pairs = [(edge, opening) for edge, opening in product(EDGES, OPENINGS) if opening <= published["opening_px"]]
    choices = [{**published, "edge_threshold": edge, "opening_px": opening} for edge, opening in pairs]
    totals = [PointCounts()] * len(choices)
    for position in np.unique(np.linspace(0, len(samples) - 1, CALIBRATION_SAMPLES).astype(int)):
        sample = samples[int(position)]
        maps, mpp = patch_maps(sample.patch, net), sample.patch.mpp
        for row, choice in enumerate(choices):
            labels = postprocess(maps["np"], maps["hv"], **choice)
            nuclei = to_patch(describe_instances(labels), labels.shape, sample.patch)
            totals[row] += count_points(nuclei[["x", "y"]].to_numpy() * mpp, sample.xy * mpp, radius_um)
    f1 = np.nan_to_num([total.scores()["f1"] for total in totals])
    return choices[int(np.argmax(f1 >= f1.max() - TOLERANCE))]
