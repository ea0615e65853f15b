"""The standard features of FID and KID, by torch-fidelity: an extra, whose weights the user's machine downloads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

__all__ = ["inception_features"]

BATCH = 16


def inception_features(images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Last pooling of the Inception v3 of FID (Heusel et al. 2017) and KID (Bińkowski et al. 2018).

    torch-fidelity's network, with weights converted from TensorFlow's of 2015-12-05 and TensorFlow's resizing to
    299 px; numbers of other ports do not compare. The first call downloads 91 MiB to torch's cache.

    Args:
        images: uint8 RGB (H, W, 3), values 0 to 255, of any sizes.

    Returns:
        float32 (N, 2048), in order. `frechet_distance` of two such sets is FID, `kernel_distance` KID.

    Raises:
        ValueError: torch-fidelity is not installed, or an image is not uint8 (H, W, 3).
        FileNotFoundError: the weights are not there and cannot be downloaded.
    """
    import torch

    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"inception_features: expected uint8 (H, W, 3), found {image.dtype} {image.shape}")
    network = _network()
    device = next(network.buffers()).device
    found = []
    for start in range(0, len(images), BATCH):
        part = [torch.from_numpy(np.ascontiguousarray(image)) for image in images[start : start + BATCH]]
        alike = [torch.stack(part)] if len({tuple(image.shape) for image in part}) == 1 else [x[None] for x in part]
        with torch.inference_mode():
            found += [network(stack.permute(0, 3, 1, 2).to(device))[0].cpu().numpy() for stack in alike]
    return np.concatenate(found) if found else np.zeros((0, 2048), np.float32)


@cache
def _network() -> Any:
    from ..config import best_device

    try:
        from torch_fidelity import feature_extractor_inceptionv3 as fidelity
    except ImportError:
        raise ValueError(
            "features of Inception: expected the package torch-fidelity, found none; pip install 'histolib[fid]'"
        ) from None
    try:
        network = fidelity.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    except OSError as error:  # URLError is one
        import torch

        raise FileNotFoundError(
            f"weights of Inception: expected {fidelity.URL_INCEPTION_V3} to download once to {torch.hub.get_dir()}, "
            f"found no way to it ({error}); use the features of the encoder, which need no download"
        ) from None
    return network.to(best_device())
