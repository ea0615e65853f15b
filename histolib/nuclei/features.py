"""What HoVer-Net's own encoder sees in an image: features for distances between sets of H&E, with no download."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch

from ..imaging import Patch, resample
from .hovernet import STRIDE, HoVerNet
from .inference import mirrored

__all__ = ["encoder_features"]


def encoder_features(net: HoVerNet, patches: Sequence[Patch], mpp: float, *, batch_size: int = 8) -> np.ndarray:
    """Mean over each patch of the encoder's last stage, the place of Inception's last pooling in FID and KID.

    Patches are resampled to the network's scale and mirrored at their borders up to a size that it takes. Compare
    patches of one size in microns: the mean over a larger field varies less.

    Args:
        net: the network, used in evaluation mode whatever its own mode, and left as it is.
        patches: images of any sizes and scales.
        mpp: microns per pixel that the network was trained at.
        batch_size: patches of one size that go through together.

    Returns:
        float32 (N, D), in order; D is 2048 times the network's width.
    """
    lead = 0 if net.mode == "fast" else 6  # what the unpadded first convolution takes
    weight, was_training = next(net.parameters()), net.training
    images = (resample(patch.image, patch.mpp / mpp) for patch in patches)
    found = []
    net.eval()
    try:
        with torch.inference_mode():
            for shape, alike in groupby(images, lambda image: image.shape[:2]):
                rows, columns = (mirrored(-lead // 2, -(-size // STRIDE) * STRIDE + lead, size) for size in shape)
                stack = np.stack([image[rows[:, None], columns] for image in alike])
                for start in range(0, len(stack), batch_size):
                    pixels = torch.from_numpy(stack[start : start + batch_size]).to(weight.device)
                    x = pixels.permute(0, 3, 1, 2).to(weight.dtype) / 255
                    for stage in net.encoder():
                        x = stage(x)
                    found.append(x.float().mean((2, 3)).cpu().numpy())
    finally:
        net.train(was_training)
    return np.concatenate(found) if found else np.zeros((0, net.conv_bot.in_channels), np.float32)
