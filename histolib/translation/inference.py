"""Translation of a patch of any size and scale; large patches are translated in tiles without seams."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..imaging import Patch, resample, windows
from .networks import Generator, held_statistics

SAMPLE_PX = 256  # side of the crops that the held statistics are computed from
SAMPLE_CROPS = 16  # largest number of crops; together about one megapixel


def translate(patch: Patch, generator: Generator, *, tile_px: int = 512) -> Patch:
    """Translate a patch with a generator, at the scale of the generator's training images.

    The patch is resampled to that scale, translated and resampled back. An image of at most `tile_px` is translated in
    one piece. A larger image is translated in tiles that overlap by the generator's receptive field, with instance norm
    statistics from up to 16 crops of 256 px on an even grid over the image. The tiles therefore meet without seams, and
    the result does not depend on the tiling.

    Args:
        patch: image in the generator's source stain.
        generator: network for images in [0, 1]; runs at the patch's own scale if its `mpp` is unknown.
        tile_px: longest side, after resampling, that is translated in one piece.

    Returns:
        a patch of the same size, scale and name.

    Raises:
        ValueError: `tile_px` is not larger than two margins.

    >>> ihc = Patch(np.full((40, 60, 3), 200, np.uint8), mpp=0.5, name="tile")
    >>> he = translate(ihc, Generator(width=4, blocks=1))  # an untrained generator
    >>> he.image.shape, he.mpp, he.name
    ((40, 60, 3), 0.5, 'tile')
    """
    weight = next(generator.parameters())

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return to_image(generator(to_tensor(images).to(weight)))

    height, width = patch.image.shape[:2]
    source = resample(patch.image, patch.mpp / (generator.mpp or patch.mpp))
    if max(source.shape[:2]) <= tile_px:
        result = run(source[None])[0]
    else:
        result = np.empty_like(source)
        with nullcontext() if generator.holds_statistics else hold_sample(generator, source):
            for window in windows(source.shape[:2], tile_px, generator.reach_px):
                result[window.keep] = run(source[window.read][None])[0][window.keep_in_read]
    return replace(patch, image=resample(result, (width / source.shape[1], height / source.shape[0])))


def to_tensor(image: np.ndarray) -> Tensor:
    """Convert uint8 (H, W, 3) or (N, H, W, 3) to float (3, H, W) or (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, -3))).float() / 255


def to_image(tensor: Tensor) -> np.ndarray:
    """Inverse of `to_tensor`, rounded and clipped."""
    pixels = (tensor.detach().float().clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(np.moveaxis(pixels.cpu().numpy(), -3, -1))


def hold_sample(generator: Generator, image: np.ndarray) -> AbstractContextManager[None]:
    """Hold the statistics of the generator's instance norms at those of up to 16 crops of an image (H, W, 3).

    All patches that are translated within the context are treated alike.
    """
    return held_statistics(generator, to_tensor(_sample(image)).to(next(generator.parameters())))


def _sample(image: np.ndarray) -> np.ndarray:
    """Crops (N, h, w, 3) on an even grid over a large image; they cover it completely if `SAMPLE_CROPS` are enough."""
    size = np.array(image.shape[:2])
    needed = -(-size // SAMPLE_PX)
    rows = min(needed[0], max(4, SAMPLE_CROPS // needed[1]))
    columns = min(needed[1], SAMPLE_CROPS // rows)
    height, width = np.minimum(-(-size // (rows, columns)), SAMPLE_PX)
    tops = np.linspace(0, size[0] - height, rows).astype(int)
    lefts = np.linspace(0, size[1] - width, columns).astype(int)
    return np.stack([image[top : top + height, left : left + width] for top in tops for left in lefts])
