"""From a patch to a table of its nuclei: maps at the network's scale, nuclei parted at the patch's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from ..imaging import Patch, map_points, resample
from .hovernet import HoVerNet
from .orientations import average_maps
from .postprocess import PUBLISHED_MPP, describe_instances, postprocess, published_thresholds, thresholds_at

__all__ = ["PatchMaps", "find_nuclei", "patch_maps"]


@dataclass(frozen=True, slots=True)
class PatchMaps:
    """Maps of a patch, at the scale where its nuclei are parted.

    Attributes:
        maps: those of `predict_maps`.
        mpp: microns a pixel of the maps.
        scale: pixels of the patch a pixel of the maps, in x and in y.
    """

    maps: dict[str, np.ndarray]
    mpp: float
    scale: tuple[float, float]

    def instances(self, thresholds: Mapping[str, Any] | None, mpp: float) -> np.ndarray:
        """Nuclei of the maps, int32 (H, W), by thresholds that hold at `mpp`; without any, by the published ones."""
        chosen = thresholds or published_thresholds(mpp)
        return postprocess(self.maps["np"], self.maps["hv"], **thresholds_at(chosen, mpp, self.mpp))


def patch_maps(patch: Patch, net: HoVerNet, mpp: float, orientations: int = 1, **how: Any) -> PatchMaps:
    """Maps of a patch of any size and scale, enlarged to the patch's own where that is finer than the network's.

    A network of 0.5 microns per pixel says more about a border than its pixels can hold: its maps, enlarged, part
    nuclei better than their pixels do. Beyond the published 0.25 microns per pixel nothing is enlarged.

    Args:
        patch: the image.
        net: the network.
        mpp: microns per pixel that the network was trained at.
        orientations: how many of the image's eight orientations to average over, as `average_maps` does.
        how: `tile_px`, `device` and `autocast` of `predict_maps`.
    """
    height, width = patch.image.shape[:2]
    maps = average_maps(net, resample(patch.image, patch.mpp / mpp), orientations, **how)
    fine = min(mpp, max(patch.mpp, PUBLISHED_MPP))
    if fine < mpp:
        size = max(1, round(width * patch.mpp / fine)), max(1, round(height * patch.mpp / fine))
        ways = {"tp": cv2.INTER_NEAREST_EXACT}
        maps = {
            name: cv2.resize(values, size, interpolation=ways.get(name, cv2.INTER_LINEAR))
            for name, values in maps.items()
        }
    rows, columns = maps["np"].shape
    return PatchMaps(maps, fine, (width / columns, height / rows))


def find_nuclei(
    patch: Patch,
    net: HoVerNet,
    mpp: float,
    *,
    tile_px: int = 1024,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
    thresholds: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Nuclei of an H&E patch of any size and scale.

    Args:
        patch: the image; resampled to `mpp`, and what is found is mapped back.
        net: the network.
        mpp: microns per pixel that the network was trained at.
        tile_px, device, autocast: as in `predict_maps`.
        thresholds: keyword arguments of `postprocess` at `mpp`, as the network's card holds them; by default the
            published ones.

    Returns:
        columns of `describe_instances` in pixels of the patch (contours float, boxes rounded outwards), area_um2, and
        score: mean probability of nucleus.
    """
    found = patch_maps(patch, net, mpp, tile_px=tile_px, device=device, autocast=autocast)
    instances = found.instances(thresholds, mpp)
    table = describe_instances(instances, found.maps.get("tp"))
    probability = np.bincount(instances.ravel(), found.maps["np"].ravel(), int(instances.max()) + 1)
    table["score"] = probability[table["id"]] / table["area"]
    table["area"] *= found.scale[0] * found.scale[1]
    table["area_um2"] = table["area"] * patch.mpp**2
    table[["x", "y"]] = map_points(table[["x", "y"]].to_numpy(), found.scale)
    table["contour"] = table["contour"].map(lambda contour: map_points(contour, found.scale))
    boxes = np.array(table["box"].tolist()).reshape(-1, 2, 2) * found.scale[::-1]
    boxes[:, 0], boxes[:, 1] = np.floor(boxes[:, 0]), np.ceil(boxes[:, 1])
    table["box"] = pd.Series([tuple(box) for box in boxes.reshape(-1, 4).astype(int).tolist()], dtype=object)
    return table
