"""HoVer-Net inference: maps of images of any size, a table of nuclei, and encoder features."""

import copy
import ctypes
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..imaging import Patch, Window, resample, windows
from .folding import inference_copy
from .hovernet import STRIDE, HoVerNet
from .postprocess import describe_instances, label_means, postprocess, to_patch

# Zero padding inside the network changes the outer 57 px of a tile's maps (49 px at the top and left) for any weights.
# Each tile is read with this much extra context, rounded up to the grid, which is then discarded.
CONTEXT_PX = 64


def find_nuclei(patch: Patch, net: HoVerNet, **options: Any) -> pd.DataFrame:
    """Find the nuclei in an H&E patch of any size and scale.

    Args:
        patch: the image; it is resampled to the network's scale, and results are mapped back.
        net: the network; its `thresholds` separate the nuclei.
        options: keyword arguments of `predict_maps`: tile_px, device, autocast.

    Returns:
        columns of `describe_instances` in pixels of the patch (contours float), area_um2, and score, the mean
        probability of nucleus.
    """
    maps = patch_maps(patch, net, **options)
    instances = postprocess(maps["np"], maps["hv"], **net.thresholds)
    table = describe_instances(instances, maps.get("tp"))
    table["score"] = label_means(maps["np"], instances)[table["id"]]
    return to_patch(table, instances.shape, patch)


def patch_maps(patch: Patch, net: HoVerNet, **options: Any) -> dict[str, np.ndarray]:
    """Maps of a patch of any scale, at the network's scale: arguments of `find_nuclei`, result of `predict_maps`."""
    return predict_maps(resample(patch.image, patch.mpp / net.mpp), net, **options)


def predict_maps(
    image: np.ndarray,
    net: HoVerNet,
    *,
    tile_px: int = 1024,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
) -> dict[str, np.ndarray]:
    """Maps of an image of any size, at the scale of the network.

    The image is mirrored at its borders, as in the published code. Tiles lie on the network's grid of 8 px and overlap
    by the reach of its zero padding, so stitched maps equal those of the whole image up to rounding. Memory grows with
    the tile, not with the image.

    Args:
        image: uint8 RGB (H, W, 3).
        net: the network, used in evaluation mode and left unchanged.
        tile_px: side of the maps that are computed at once, more than 128; a smaller image is one piece.
        device: the network is moved there; by default it stays where it is.
        autocast: type of the numbers, such as `torch.bfloat16`; default: the network's `precision`.

    Returns:
        "np": probability of nucleus, float32 (H, W). "hv": distances, float32 (H, W, 2). With types "tp": most probable
        type, uint8 (H, W).

    Raises:
        ValueError: `tile_px` is too small.
    """
    if device is not None:
        net.to(device)
    weight, margin = next(net.parameters()), net.margin_px
    dtype = autocast or net.precision or weight.dtype
    height, width = image.shape[:2]
    maps = {"np": np.empty((height, width), np.float32), "hv": np.empty((height, width, 2), np.float32)}
    if net.num_types:
        maps["tp"] = np.empty((height, width), np.uint8)
    # The tiles cover the network's output for the whole image, which may be a few pixels larger than the image.
    grid = net.input_px(height) - 2 * margin, net.input_px(width) - 2 * margin
    size, context = (max(grid) + 8, 0) if max(height, width) <= tile_px else (tile_px, CONTEXT_PX)
    with torch.inference_mode():
        network = inference_copy(net, dtype)

    def predict(tile: Window) -> None:
        rows, columns = (
            mirrored(part.start - margin, net.input_px(part.stop - part.start), side)
            for part, side in zip(tile.read, (height, width), strict=True)
        )
        with torch.inference_mode():
            logits = network(_to_batch(image[rows[:, None], columns][None], weight).to(dtype))
            found = {"np": logits["np"].float().softmax(1)[:, 1], "hv": logits["hv"].float().permute(0, 2, 3, 1)}
            if net.num_types:
                found["tp"] = logits["tp"].argmax(1).to(torch.uint8)
        for name, values in found.items():
            stitched = maps[name][tile.keep]
            kept = values[0].cpu().numpy()[tile.keep_in_read]
            stitched[:] = kept[: stitched.shape[0], : stitched.shape[1]]

    tiles, threads = list(windows(grid, size, context)), torch.get_num_threads()
    if len(tiles) == 1 or weight.device.type != "cpu":
        for tile in tiles:
            predict(tile)
        return maps
    try:  # one tile on each core is faster than all cores on one tile, because the layers are narrow
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(predict, tiles))
    finally:
        torch.set_num_threads(threads)
    return maps


def encoder_features(patches: Sequence[Patch], net: HoVerNet, *, batch_size: int = 8) -> np.ndarray:
    """Spatial mean of the last encoder stage, used in place of Inception's last pooling in FID and KID.

    Patches are resampled to the network's scale and mirrored at their borders up to an accepted size. Compare patches
    of one size in microns: the mean over a larger field varies less.

    Args:
        patches: images of any size and scale.
        net: the network, used in evaluation mode and left unchanged.
        batch_size: patches of equal size per forward pass.

    Returns:
        float32 (N, D) in the order of the patches; D is 2048 times the network's width.
    """
    weight, start, evaluated = next(net.parameters()), net.grid_start_px, copy.deepcopy(net).eval()
    images = (resample(patch.image, patch.mpp / net.mpp) for patch in patches)
    features = [np.zeros((0, net.conv_bot.in_channels), np.float32)]
    for shape, equal in groupby(images, lambda image: image.shape[:2]):
        rows, columns = (mirrored(-start // 2, -(-size // STRIDE) * STRIDE + start, size) for size in shape)
        stack = np.stack([image[rows[:, None], columns] for image in equal])
        for first in range(0, len(stack), batch_size):
            with torch.inference_mode():
                last_stage = evaluated.encode(_to_batch(stack[first : first + batch_size], weight))[-1]
                features.append(last_stage.float().mean((2, 3)).cpu().numpy())
    return np.concatenate(features)


def keep_memory() -> None:
    """Let glibc reuse the memory of large layers instead of returning it after each of them (Linux only).

    Detection takes up to a fifth less time and a quarter more memory. The setting belongs to the whole process, so
    programs call this function and the library does not.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: smaller blocks come from the heap
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: free memory that the heap keeps


def mirrored(start: int, count: int, size: int) -> np.ndarray:
    """Indices start, start + 1, ... into an axis of `size`, reflected at its ends as often as needed."""
    period = max(1, 2 * (size - 1))
    index = np.arange(start, start + count) % period
    return np.minimum(index, period - index)


def _to_batch(images: np.ndarray, weight: torch.Tensor) -> torch.Tensor:
    """uint8 (N, H, W, 3) to (N, 3, H, W) in [0, 1], with the device and type of the weights."""
    return torch.from_numpy(images).to(weight.device).permute(0, 3, 1, 2).to(weight.dtype) / 255
