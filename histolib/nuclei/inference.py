"""HoVer-Net on images of any size and scale: maps stitched from large tiles, nuclei in pixels of the patch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..imaging import Patch, map_points, resample, windows
from .hovernet import HoVerNet
from .postprocess import PUBLISHED_MPP, describe_instances, postprocess, published_thresholds, thresholds_at

__all__ = ["PatchMaps", "find_nuclei", "mirrored", "patch_maps", "predict_maps"]

# The network pads with zeros inside, which reaches 57 px into a tile's maps whatever the weights are (49 from above and
# from the left). So much beyond its own margin, rounded up to the grid, is read around every tile and thrown away.
CONTEXT_PX = 64


def predict_maps(
    net: HoVerNet,
    image: np.ndarray,
    *,
    tile_px: int = 1024,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
) -> dict[str, np.ndarray]:
    """Maps of an image of any size, at the scale that the network was trained at.

    The image is mirrored at its borders by what the network's valid convolutions take away, as in the published code.
    Tiles lie on the network's grid of 8 px and overlap by all that the zero padding inside reaches, so stitched maps
    are those of the whole image but for rounding. Memory grows with the tile, not with the image.

    Args:
        net: the network, which is used in evaluation mode whatever its own mode, and left as it is.
        image: uint8 RGB (H, W, 3), or many of one size, (N, H, W, 3), which go through together.
        tile_px: side of the maps computed at once, more than 128; an image no larger goes through in one piece.
        device: where to run; the network is moved there. By default where it is.
        autocast: lower precision to compute in, such as `torch.bfloat16`.

    Returns:
        "np": probability of nucleus, float32 (H, W). "hv": distances, float32 (H, W, 2). With types "tp": most probable
        type, uint8 (H, W). Of many images each with N in front.

    Raises:
        ValueError: `tile_px` leaves nothing between two margins.
    """
    if device is not None:
        net.to(device)
    weight, margin = next(net.parameters()), net.margin_px
    images = image if image.ndim == 4 else image[None]
    count, height, width = images.shape[:3]
    maps = {"np": np.empty((count, height, width), np.float32), "hv": np.empty((count, height, width, 2), np.float32)}
    if net.num_types:
        maps["tp"] = np.empty((count, height, width), np.uint8)
    # The tiles cover what the network would return for the whole image, which may end a few pixels beyond it.
    grid = net.input_px(height) - 2 * margin, net.input_px(width) - 2 * margin
    size, context = (max(grid) + 8, 0) if max(height, width) <= tile_px else (tile_px, CONTEXT_PX)
    with torch.inference_mode(), torch.autocast(weight.device.type, autocast, autocast is not None):
        twin = _for_inference(net)
        for tile in windows(grid, size, context):
            top, left, bottom, right = tile.read
            rows = mirrored(top - margin, net.input_px(bottom - top), height)
            columns = mirrored(left - margin, net.input_px(right - left), width)
            pixels = torch.from_numpy(images[:, rows[:, None], columns]).to(weight.device)
            logits = twin(pixels.permute(0, 3, 1, 2).to(weight.dtype) / 255)
            found = {"np": logits["np"].float().softmax(1)[:, 1], "hv": logits["hv"].float().permute(0, 2, 3, 1)}
            if net.num_types:
                found["tp"] = logits["tp"].argmax(1).to(torch.uint8)
            for name, values in found.items():
                stitched = maps[name][:, *tile.keep_slices]
                kept = values.cpu().numpy()[:, *tile.keep_in_read]
                stitched[:] = kept[:, : stitched.shape[1], : stitched.shape[2]]
    return maps if image.ndim == 4 else {name: values[0] for name, values in maps.items()}


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
        """Nuclei of the maps, int32 (H, W), by thresholds that hold at `mpp`; None takes the published ones."""
        chosen = published_thresholds(mpp) if thresholds is None else thresholds
        return postprocess(self.maps["np"], self.maps["hv"], **thresholds_at(chosen, mpp, self.mpp))


def patch_maps(patch: Patch, net: HoVerNet, mpp: float, **how: Any) -> PatchMaps:
    """Maps of a patch of any size and scale, enlarged to the patch's own where that is finer than the network's.

    A network of 0.5 microns per pixel says more about a border than its pixels can hold: its maps, enlarged, part
    nuclei better than their pixels do. Beyond the published 0.25 microns per pixel nothing is enlarged.

    Args:
        patch: the image.
        net: the network.
        mpp: microns per pixel that the network was trained at.
        how: `tile_px`, `device` and `autocast` of `predict_maps`.
    """
    height, width = patch.image.shape[:2]
    maps = predict_maps(net, resample(patch.image, patch.mpp / mpp), **how)
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


def mirrored(start: int, count: int, size: int) -> np.ndarray:
    """Indices start, start + 1, ... into an axis of `size`, reflected at its ends as often as it takes."""
    period = max(1, 2 * (size - 1))
    index = np.arange(start, start + count) % period
    return np.minimum(index, period - index)


def _for_inference(module: nn.Module) -> Any:
    """A twin in evaluation mode that computes the same faster, and shares what weights it can.

    Batch norms are folded into the convolutions before them, and convolutions run channels-last.
    """
    twin = copy.copy(module)
    twin.training = False
    twin._modules = {name: child and _for_inference(child) for name, child in module._modules.items()}
    if isinstance(module, nn.Conv2d):
        weight = module.weight.to(memory_format=torch.channels_last)
        twin._parameters = module._parameters | {"weight": nn.Parameter(weight, requires_grad=False)}
    if isinstance(twin, nn.Sequential):
        for (name, first), (after, second) in pairwise(list(twin._modules.items())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                twin._modules |= {name: fuse_conv_bn_eval(first, second), after: nn.Identity()}
    return twin
