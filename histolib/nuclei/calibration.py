"""Thresholds that fit a network: chosen on samples it may know, never on those it is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ..data import InstanceSample
from ..imaging import map_points
from ..metrics import match_points, scores_from_counts
from .finding import patch_maps
from .hovernet import HoVerNet
from .postprocess import describe_instances, published_thresholds

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
        keyword arguments of `postprocess` at `mpp`.
    """
    published = published_thresholds(mpp)
    pairs = sorted(
        product(EDGES, {size for size in OPENINGS if size <= published["opening_px"]}),
        key=lambda pair: (abs(pair[0] - EDGES[0]), -pair[1]),
    )
    counts = np.zeros((len(pairs), 3), int)
    for position in np.unique(np.linspace(0, len(samples) - 1, SAMPLES).astype(int)):
        sample = samples[int(position)]
        found, true_xy = patch_maps(sample.patch, net, mpp), sample.xy * sample.patch.mpp
        for row, (edge, opening) in enumerate(pairs):
            labels = found.instances({**published, "edge_threshold": edge, "opening_px": opening}, mpp)
            centres = describe_instances(labels)[["x", "y"]].to_numpy(np.float64)
            pred_xy = map_points(centres, found.scale) * sample.patch.mpp
            hits = len(match_points(pred_xy, true_xy, radius_um).pred)
            counts[row] += hits, len(pred_xy) - hits, len(true_xy) - hits
    f1 = [np.nan_to_num(scores_from_counts(*map(int, row))["f1"]) for row in counts]
    edge, opening = pairs[int(np.argmax(f1))]
    return {**published, "edge_threshold": edge, "opening_px": opening}
