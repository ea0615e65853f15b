"""Translation of a patch of any size and scale, large ones in tiles without seams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..imaging import Patch, resample, windows
from ..io import load_weights, save_weights
from .networks import Generator, held_statistics

__all__ = ["load_generator", "save_generator", "to_image", "to_tensor", "translate"]

SAMPLE_PX = 256  # side of the crops that the statistics of a large image come from
SAMPLE_CROPS = 16  # at most this many, about a megapixel in one batch


def translate(
    patch: Patch,
    generator: Generator,
    *,
    mpp: float | None = None,
    tile_px: int = 512,
    device: torch.device | str | None = None,
) -> Patch:
    """Translate a patch with a generator, at the scale that the generator was trained at.

    The patch is resampled to that scale, translated and resampled back. A picture of at most `tile_px` goes through
    whole. A larger one goes in tiles that overlap by the generator's reach, with the statistics of its instance norms
    held: they are those of up to 16 crops of 256 px on an even grid over the picture. So the tiles meet without seams
    and the result does not depend on the tiling; `tests/benchmarks/bench_seam.py` measures it.

    Args:
        patch: image to translate.
        generator: trained on [0, 1] images of the patch's stain.
        mpp: scale to translate at; by default the generator's own, and the patch's where the generator knows none.
        tile_px: largest side that is translated in one piece, after resampling.
        device: where to run; the generator is moved there. By default where it is.

    Returns:
        a patch of the same size, scale and name.

    Raises:
        ValueError: `tile_px` leaves nothing between two margins.

    >>> ihc = Patch(np.full((40, 60, 3), 200, np.uint8), mpp=0.5, name="tile")
    >>> he = translate(ihc, Generator(width=4, blocks=1), mpp=0.25)  # untrained: of use for its shape alone
    >>> he.image.shape, he.mpp, he.name
    ((40, 60, 3), 0.5, 'tile')
    """
    if device is not None:
        generator.to(device)
    height, width = patch.image.shape[:2]
    source = resample(patch.image, patch.mpp / (mpp or generator.mpp or patch.mpp))
    if max(source.shape[:2]) <= tile_px:
        result = _run(source[None], generator)[0]
    else:
        result = _run_tiled(source, generator, tile_px)
    return replace(patch, image=resample(result, (width / source.shape[1], height / source.shape[0])))


def to_tensor(image: np.ndarray) -> Tensor:
    """uint8 (H, W, 3), or a batch (N, H, W, 3), to float (3, H, W) or (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, -3))).float() / 255


def to_image(tensor: Tensor) -> np.ndarray:
    """Inverse of `to_tensor`, rounded and clipped."""
    pixels = (tensor.detach().float().clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(np.moveaxis(pixels.cpu().numpy(), -3, -1))


def save_generator(path: str | Path, generator: Generator, card: dict[str, Any]) -> None:
    """Write a generator with its card, to which its architecture and scale are added."""
    save_weights(path, generator.state_dict(), card | {"config": generator.config, "mpp": generator.mpp})


def load_generator(path: str | Path) -> tuple[Generator, dict[str, Any]]:
    """Read a generator written by `save_generator`, in evaluation mode, and its card.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or holds something else than a generator.
    """
    state, card = load_weights(path)
    try:
        generator = Generator(**card["config"])
        generator.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: expected the weights of a translation generator ({reason})") from None
    generator.mpp = card["mpp"]
    return generator.eval(), card


def _run_tiled(image: np.ndarray, generator: Generator, tile_px: int) -> np.ndarray:
    result = np.empty_like(image)
    with held_statistics(generator, _batch(_sample(image), generator)):
        for window in windows(image.shape[:2], tile_px, generator.reach_px):
            translated = _run(image[window.read_slices][None], generator)[0]
            result[window.keep_slices] = translated[window.keep_in_read]
    return result


def _run(images: np.ndarray, generator: Generator) -> np.ndarray:
    """uint8 images (N, H, W, 3) through the generator."""
    with torch.no_grad():
        return to_image(generator(_batch(images, generator)))


def _batch(images: np.ndarray, generator: Generator) -> Tensor:
    weight = next(generator.parameters())
    return to_tensor(images).to(weight.device, weight.dtype)


def _sample(image: np.ndarray) -> np.ndarray:
    """Crops (N, h, w, 3) on an even grid over a large image: all of it where they can cover it."""
    size = np.array(image.shape[:2])
    needed = -(-size // SAMPLE_PX)
    rows = min(needed[0], max(4, SAMPLE_CROPS // needed[1]))
    columns = min(needed[1], SAMPLE_CROPS // rows)
    height, width = np.minimum(-(-size // (rows, columns)), SAMPLE_PX)
    tops = np.linspace(0, size[0] - height, rows).astype(int)
    lefts = np.linspace(0, size[1] - width, columns).astype(int)
    return np.stack([image[top : top + height, left : left + width] for top in tops for left in lefts])
