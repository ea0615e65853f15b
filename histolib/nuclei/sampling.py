"""Training crops of outlined nuclei, with the maps that HoVer-Net must predict for them."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from skimage.measure import label
from torch import Tensor

from ..config import HoverNetSettings
from ..data.samples import InstanceSample
from ..imaging import resample
from .augmentation import augment
from .hovernet import MODES, STRIDE
from .inference import mirrored
from .targets import hover_targets

CACHED_SAMPLES = 128  # decoded samples kept in memory


def mixed_crops(sources: Sequence[Callable[[int], dict[str, Tensor]]]) -> Callable[[int], dict[str, Tensor]]:
    """Take crops from several sources in turn: crop i is crop i of source i modulo their number."""
    return lambda index: sources[index % len(sources)](index)


def training_crops(samples: Sequence[InstanceSample], settings: HoverNetSettings) -> Callable[[int], dict[str, Tensor]]:
    """Endless stream of training crops; crop i depends only on the settings' seed and i.

    The square with targets lies inside the sample if the sample is large enough, so that the network's margins waste
    no labels. Image and labels are mirrored beyond the sample's border, as in `predict_maps`: a nucleus cut by the
    border joins its mirror image, others become separate nuclei. Background labels there would teach the network to
    miss visible nuclei.

    Returns:
        function of i: "image" float (3, H, W) in [0, 1], H = map_px + 2 margins; "np" int64 (map_px, map_px); "hv"
        float (2, map_px, map_px), relative to the whole nucleus; with types "tp" int64 (map_px, map_px).

    Raises:
        ValueError: there is no sample, `map_px` is not an output size of the network, or (when it is drawn) a sample
            has a type without a name.
    """
    if not len(samples):
        raise ValueError("train_hovernet: expected at least one sample, found none")
    map_px, (_, margin, _) = settings.map_px, MODES["fast"]
    misfit = (map_px + 2 * margin) % STRIDE
    if misfit:
        raise ValueError(f"map_px: expected a multiple of 8 plus 4 such as {map_px + STRIDE - misfit}, found {map_px}")
    centre = slice(margin, margin + map_px)

    @lru_cache(CACHED_SAMPLES)
    def at_scale(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sample = samples[index]
        if settings.types and sample.types.max(initial=0) > len(settings.types):
            raise ValueError(
                f"{sample.patch.name}: expected types 1 to {len(settings.types)} ({', '.join(settings.types)}), "
                f"found {sample.types.max()}"
            )
        scale = sample.patch.mpp / settings.mpp
        types = np.concatenate([[0], sample.types]).astype(np.int64)
        return resample(sample.patch.image, scale), resample(sample.instances, scale, nearest=True), types

    def draw(index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((settings.seed, index))
        image, instances, types = at_scale(int(rng.integers(len(samples))))
        rows, columns = (
            mirrored(int(rng.integers(min(0, spare), max(0, spare) + 1)) - margin, map_px + 2 * margin, spare + map_px)
            for spare in np.subtract(instances.shape, map_px)
        )
        pixels, ids = augment(image[np.ix_(rows, columns)], instances[np.ix_(rows, columns)], settings, rng)
        nuclei = ids.astype(np.int64)
        sample = {
            "image": torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1),
            "np": torch.from_numpy((nuclei[centre, centre] > 0).astype(np.int64)),
            "hv": torch.from_numpy(hover_targets(label(nuclei))[centre, centre]).permute(2, 0, 1),
        }
        if settings.types:
            sample["tp"] = torch.from_numpy(types[nuclei[centre, centre]])
        return sample

    return draw
