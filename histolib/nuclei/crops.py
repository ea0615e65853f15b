"""What HoVer-Net is shown while it learns: crops of outlined nuclei, and what it must draw on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from skimage.measure import label
from torch import Tensor

from ..data import InstanceSample
from ..imaging import resample
from .augment import augment
from .hovernet import HoVerNet
from .inference import mirrored
from .settings import HoverSettings
from .targets import hover_targets

__all__ = ["crops"]

CACHED_SAMPLES = 128  # decoded samples kept in memory


def crops(samples: Sequence[InstanceSample], settings: HoverSettings) -> Callable[[int], dict[str, Tensor]]:
    """The endless stream of training crops; crop i depends on the settings' seed and i alone.

    The scored square lies inside the sample where that is large enough, so that no label is wasted on the network's
    margins. What is read beyond the sample's border is mirrored, as `predict_maps` does, and so are its labels: a
    nucleus cut by the border and its mirror image look like one nucleus and become one, others become nuclei of their
    own. Background there would teach the network to overlook nuclei that it can see.

    Returns:
        function of i: "image" float (3, H, W) in [0, 1], H = map_px + 2 margins; "np" int64 (map_px, map_px); "hv"
        float (2, map_px, map_px), measured on the whole nucleus; with types "tp" int64 (map_px, map_px).

    Raises:
        ValueError: as `train`; a type without a name when its sample is drawn.
    """
    if not len(samples):
        raise ValueError("train: expected at least one sample, found none")
    with torch.device("meta"):  # for its arithmetic alone
        net = HoVerNet(settings.mode)
    side, margin = net.input_px(settings.map_px), net.margin_px
    if side != settings.map_px + 2 * margin:
        raise ValueError(
            f"map_px: expected a size of {settings.mode!r} such as {side - 2 * margin}, found {settings.map_px}"
        )
    centre = slice(margin, margin + settings.map_px)

    @lru_cache(CACHED_SAMPLES)
    def prepared(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _at_scale(samples[index], settings)

    def draw(index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((settings.seed, index))
        image, instances, types = prepared(int(rng.integers(len(samples))))
        starts = [
            int(rng.integers(min(0, spare), max(0, spare) + 1))
            for spare in np.subtract(instances.shape, settings.map_px)
        ]
        area = np.ix_(*(mirrored(at - margin, side, size) for at, size in zip(starts, instances.shape, strict=True)))
        pixels, ids = augment(image[area], instances[area], settings, rng)
        nuclei = ids.astype(np.int64)
        hv = hover_targets(label(nuclei))[centre, centre]
        sample = {
            "image": torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1),
            "np": torch.from_numpy((nuclei[centre, centre] > 0).astype(np.int64)),
            "hv": torch.from_numpy(hv).permute(2, 0, 1),
        }
        if settings.types:
            sample["tp"] = torch.from_numpy(types[nuclei[centre, centre]])
        return sample

    return draw


def _at_scale(sample: InstanceSample, settings: HoverSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image and instances at the settings' scale, and the type of every id, 0 for background."""
    if settings.types and sample.types.max(initial=0) > len(settings.types):
        raise ValueError(
            f"{sample.patch.name}: expected types 1 to {len(settings.types)} ({', '.join(settings.types)}), "
            f"found {sample.types.max()}"
        )
    scale = sample.patch.mpp / settings.mpp
    types = np.concatenate([[0], sample.types]).astype(np.int64)
    return resample(sample.patch.image, scale), resample(sample.instances, scale, nearest=True), types
