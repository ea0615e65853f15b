"""Thresholds that fit a network: chosen on samples it may know, never on those it is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ..data import InstanceSample
from ..imaging import map_points, resample
from ..metrics import match_points, scores_from_counts
from .hovernet import HoVerNet
from .inference import predict_maps
from .postprocess import describe_instances, postprocess, published_thresholds

__all__ = ["choose_thresholds"]

EDGES = (0.4, 0.5, 0.6)
OPENINGS = (1, 3, 5)
SAMPLES = 16


def choose_thresholds(
    net: HoVerNet, samples: Sequence[InstanceSample], mpp: float, radius_um: float = 3.0
) -> dict[str, Any]:
    """The edge threshold and the opening of `postprocess` that detect best on some samples, the others as published.

    The published pair (0.4 and 5 px at 0.25 microns per pixel) drops nuclei without a marker, which a short training or
    a coarser scale has many of. Of equal pairs the one nearest the published wins.

    Args:
        net: the network.
        samples: outlined nuclei from the training data; at most 16 are used, evenly spread.
        mpp: microns per pixel that the network was trained at.
        radius_um: largest distance of a hit.

    Returns:
        keyword arguments of `postprocess`.
    """
    published = published_thresholds(mpp)
    pairs = sorted(
        product(EDGES, {size for size in OPENINGS if size <= published["opening_px"]}),
        key=lambda pair: (abs(pair[0] - EDGES[0]), -pair[1]),
    )
    counts = np.zeros((len(pairs), 3), int)
    for position in np.unique(np.linspace(0, len(samples) - 1, SAMPLES).astype(int)):
        sample = samples[int(position)]
        image = resample(sample.patch.image, sample.patch.mpp / mpp)
        scale = sample.patch.image.shape[1] / image.shape[1], sample.patch.image.shape[0] / image.shape[0]
        maps, true_xy = predict_maps(net, image), sample.xy * sample.patch.mpp
        for row, (edge, opening) in enumerate(pairs):
            chosen: dict[str, Any] = {**published, "edge_threshold": edge, "opening_px": opening}
            labels = postprocess(maps["np"], maps["hv"], **chosen)
            found = map_points(describe_instances(labels)[["x", "y"]].to_numpy(np.float64), scale) * sample.patch.mpp
            hits = len(match_points(found, true_xy, radius_um).pred)
            counts[row] += hits, len(found) - hits, len(true_xy) - hits
    f1 = [np.nan_to_num(scores_from_counts(*map(int, row))["f1"]) for row in counts]
    edge, opening = pairs[int(np.argmax(f1))]
    return {**published, "edge_threshold": edge, "opening_px": opening}
