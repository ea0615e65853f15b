"""Maps averaged over the orientations of an image: a nucleus does not know which way up it lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from .hovernet import HoVerNet
from .inference import predict_maps

__all__ = ["average_maps"]

ORIENTATIONS = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))


def average_maps(net: HoVerNet, image: np.ndarray, count: int = 8, **how: Any) -> dict[str, np.ndarray]:
    """The maps of `predict_maps`, averaged over an image turned and mirrored; costs as many predictions.

    Probabilities and distances are averaged after they have been turned back, distances as the vectors that they are.
    Types are those of the image as it lies.

    Args:
        net: the network.
        image: uint8 RGB (H, W, 3).
        count: how many of the eight orientations, in the order upright, a quarter, half and three quarters turned, and
            the same mirrored.
        how: more arguments of `predict_maps`.

    Raises:
        ValueError: `count` is not from 1 to 8.
    """
    if not 1 <= count <= len(ORIENTATIONS):
        raise ValueError(f"average_maps: expected 1 to {len(ORIENTATIONS)} orientations, found {count}")
    upright = predict_maps(net, image, **how)
    for turns, mirrored in ORIENTATIONS[1:count]:
        turned = np.rot90(image, turns)
        seen = predict_maps(net, np.ascontiguousarray(turned[:, ::-1] if mirrored else turned), **how)
        probability, hv = seen["np"], seen["hv"]
        if mirrored:
            probability, hv = probability[:, ::-1], hv[:, ::-1] * np.array([-1, 1], np.float32)
        upright["np"] += np.rot90(probability, -turns)
        upright["hv"] += _turned_back(hv, turns)
    upright["np"] /= count
    upright["hv"] /= count
    return upright


def _turned_back(hv: np.ndarray, turns: int) -> np.ndarray:
    """Distances (H, W, 2) of an image that was turned left so many quarters, for the image as it was."""
    hv = np.rot90(hv, -turns)
    for _ in range(turns % 4):  # a quarter to the right takes (x, y) to (-y, x), y pointing down
        hv = np.stack([-hv[..., 1], hv[..., 0]], axis=-1)
    return hv
