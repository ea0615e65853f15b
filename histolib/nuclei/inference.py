"""HoVer-Net on images of any size: maps stitched from large tiles."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..imaging import windows
from .hovernet import HoVerNet

__all__ = ["mirrored", "predict_maps"]

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
