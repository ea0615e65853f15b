"""HoVer-Net on images of any size and scale: maps stitched from large tiles, nuclei in pixels of the patch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ..imaging import Patch, map_points, resample, windows
from .hovernet import HoVerNet
from .postprocess import describe_instances, postprocess, published_thresholds

__all__ = ["find_nuclei", "mirrored", "predict_maps"]

# The network pads with zeros inside. That spoils what lies near a tile's border, so this much beyond its own margin is
# read around every tile and thrown away.
CONTEXT_PX = 80


def predict_maps(
    net: HoVerNet,
    image: np.ndarray,
    *,
    tile_px: int = 768,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
) -> dict[str, np.ndarray]:
    """Maps of an image of any size, at the scale that the network was trained at.

    The image is mirrored at its borders by what the network's valid convolutions take away, as in the published code.
    Tiles lie on the network's grid of 8 px with 80 px of context beyond that, so stitched maps equal those of the whole
    image within 1e-3. Memory grows with the tile, not with the image.

    Args:
        net: the network; runs in evaluation mode, its own mode is put back.
        image: uint8 RGB (H, W, 3).
        tile_px: side of the maps computed at once, more than 160; an image no larger goes through in one piece.
        device: where to run; the network is moved there. By default where it is.
        autocast: lower precision to compute in, such as `torch.bfloat16`.

    Returns:
        "np": probability of nucleus, float32 (H, W). "hv": distances, float32 (H, W, 2). With types "tp": most probable
        type, uint8 (H, W).

    Raises:
        ValueError: `tile_px` leaves nothing between two margins.
    """
    if device is not None:
        net.to(device)
    weight, margin = next(net.parameters()), net.margin_px
    height, width = image.shape[:2]
    maps = {"np": np.empty((height, width), np.float32), "hv": np.empty((height, width, 2), np.float32)}
    if net.num_types:
        maps["tp"] = np.empty((height, width), np.uint8)
    # The tiles cover what the network would return for the whole image, which may end a few pixels beyond it.
    grid = net.input_px(height) - 2 * margin, net.input_px(width) - 2 * margin
    size, context = (max(grid) + 8, 0) if max(height, width) <= tile_px else (tile_px, CONTEXT_PX)
    with _evaluating(net), torch.inference_mode(), torch.autocast(weight.device.type, autocast, autocast is not None):
        for tile in windows(grid, size, context):
            top, left, bottom, right = tile.read
            rows = mirrored(top - margin, net.input_px(bottom - top), height)
            columns = mirrored(left - margin, net.input_px(right - left), width)
            pixels = torch.from_numpy(image[np.ix_(rows, columns)]).to(weight.device)
            logits = net(pixels.permute(2, 0, 1)[None].to(weight.dtype) / 255)
            found = {"np": logits["np"][0].float().softmax(0)[1], "hv": logits["hv"][0].float().permute(1, 2, 0)}
            if net.num_types:
                found["tp"] = logits["tp"][0].argmax(0).to(torch.uint8)
            for name, values in found.items():
                stitched = maps[name][tile.keep_slices]
                stitched[:] = values.cpu().numpy()[tile.keep_in_read][: stitched.shape[0], : stitched.shape[1]]
    return maps


def find_nuclei(
    patch: Patch,
    net: HoVerNet,
    mpp: float,
    *,
    tile_px: int = 768,
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
        thresholds: keyword arguments of `postprocess`, as the network's card holds them; by default the published ones.

    Returns:
        columns of `describe_instances` in pixels of the patch (contours float, boxes rounded outwards), area_um2, and
        score: mean probability of nucleus.
    """
    image = resample(patch.image, patch.mpp / mpp)
    maps = predict_maps(net, image, tile_px=tile_px, device=device, autocast=autocast)
    instances = postprocess(maps["np"], maps["hv"], **(thresholds or published_thresholds(mpp)))
    table = describe_instances(instances, maps.get("tp"))
    probability = np.bincount(instances.ravel(), maps["np"].ravel(), int(instances.max()) + 1)
    scale = patch.image.shape[1] / image.shape[1], patch.image.shape[0] / image.shape[0]
    table["score"] = probability[table["id"]] / table["area"]
    table["area"] *= scale[0] * scale[1]
    table["area_um2"] = table["area"] * patch.mpp**2
    table[["x", "y"]] = map_points(table[["x", "y"]].to_numpy(), scale)
    table["contour"] = table["contour"].map(lambda contour: map_points(contour, scale))
    boxes = np.array(table["box"].tolist()).reshape(-1, 2, 2) * scale[::-1]
    boxes[:, 0], boxes[:, 1] = np.floor(boxes[:, 0]), np.ceil(boxes[:, 1])
    table["box"] = pd.Series([tuple(box) for box in boxes.reshape(-1, 4).astype(int).tolist()], dtype=object)
    return table


def mirrored(start: int, count: int, size: int) -> np.ndarray:
    """Indices start, start + 1, ... into an axis of `size`, reflected at its ends as often as it takes."""
    period = max(1, 2 * (size - 1))
    index = np.arange(start, start + count) % period
    return np.minimum(index, period - index)


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, whatever it was before after it."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)
