"""Another lab, another scanner: how a training crop is turned, blurred, made noisy and stained anew."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from ..imaging import STAIN_VECTORS, rgb_from_density, separate_stains
from .painting import paint_ihc, recolour_by_density
from .settings import HoverSettings

__all__ = ["augment", "restain"]

STAINS = ("hematoxylin", "eosin", "dab")  # a full basis of colour; on H&E the third is what the other two leave
SHEAR_DEGREES = 5
SEEDS = 2**32


def augment(
    image: np.ndarray, ids: np.ndarray, settings: HoverSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Change a crop as tissue, slide and scanner do, and its nuclei with it.

    Geometry, blur and noise are albumentations' and follow the published code in kind (Graham et al. 2019, section
    3.4); colour changes in stain space (`restain`) instead of by hue. Some crops become another stain altogether:
    painted as IHC (`paint_ihc`), or in one colour scale of their density (`recolour_by_density`).

    Args:
        image: uint8 (H, W, 3).
        ids: instance ids (H, W), below 2^24.
        settings: of them `affine`, at 0 of which there are quarter turns and mirrors alone, which do not resample;
            `jitter`, at 0 of which there is no blur and no noise either; `painted`, `recoloured` and `mpp`.
        rng: draws everything.

    Returns:
        uint8 (H, W, 3) and float32 ids (H, W). Both are mirrored where the turned crop ends.
    """
    geometry, optics = _pipelines(settings.affine)
    geometry.set_random_seed(int(rng.integers(SEEDS)))
    turned = geometry(image=image, mask=ids.astype(np.float32))
    image = turned["image"]
    if settings.painted or settings.recoloured:
        choice = rng.random()
        if choice < settings.painted:
            image = paint_ihc(image, turned["mask"], settings.mpp, rng)
        elif choice < settings.painted + settings.recoloured:
            image = recolour_by_density(image, rng)
    if settings.jitter:
        optics.set_random_seed(int(rng.integers(SEEDS)))
        image = optics(image=restain(image, settings.jitter, rng))["image"]
    return image, turned["mask"]


def restain(image: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Scale the amount of every stain and, half as much, of every colour channel, and shift the exposure.

    Factors are log-normal, in optical density (after Tellez et al. 2018, doi 10.1109/TMI.2018.2820199).

    Args:
        image: uint8 (H, W, 3).
        jitter: standard deviation of the logarithm of a stain's amount.
        rng: draws them.

    Returns:
        uint8 (H, W, 3).
    """
    amounts = separate_stains(image, *STAINS) * np.exp(rng.normal(0, jitter, 3)).astype(np.float32)
    density = amounts @ np.stack([STAIN_VECTORS[name] for name in STAINS]).astype(np.float32)
    density = density * np.exp(rng.normal(0, jitter / 2, 3)).astype(np.float32) + np.float32(rng.normal(0, jitter / 8))
    return rgb_from_density(density)


@lru_cache
def _pipelines(affine: float) -> tuple[Any, Any]:
    """Geometry of image and ids, and what optics and sensor do to the image."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for a newer version
    import albumentations as A

    moves = [A.SquareSymmetry(p=1)]
    if affine:
        moves.append(
            A.Affine(
                scale=(1 - affine, 1 + affine),
                rotate=(-45, 45),
                shear=(-SHEAR_DEGREES, SHEAR_DEGREES),
                translate_percent=(-0.01, 0.01),
                keep_ratio=True,
                border_mode=cv2.BORDER_REFLECT_101,
                p=1,
            )
        )
    optics = A.OneOf(
        [
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.0), p=1),
            A.MedianBlur(blur_limit=(3, 3), p=1),
            A.GaussNoise(std_range=(0.0, 0.03), p=1),
        ],
        p=0.5,
    )
    return A.Compose(moves), A.Compose([optics])
