from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from histolib.config import PROFILES
from histolib.imaging import STAIN_VECTORS, Patch, rgb_from_density

SMALL = replace(
    PROFILES["quick"].cyclegan, mpp=0.5, patch_px=32, width=4, blocks=1, discriminator_width=4, warm_steps=0, steps=10,
    lr_generator=2e-4,
)  # fmt: skip


def paint(second: str, size: int = 96, seed: int = 0, amounts: bool = False):
    """A patch of hematoxylin blobs on a second stain with a strip of glass, and optionally the stain amounts."""
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.standard_normal((size, size)), 3)
    hematoxylin = 0.9 * (blobs > 0.12) * (0.8 + 0.4 * rng.random((size, size)))
    other = 0.5 * (blobs <= 0.12) * (0.6 + 0.4 * rng.random((size, size)))
    hematoxylin[: size // 6], other[: size // 6] = 0, 0
    density = hematoxylin[..., None] * STAIN_VECTORS["hematoxylin"] + other[..., None] * STAIN_VECTORS[second]
    patch = Patch(rgb_from_density(density), 0.5, second)
    return (patch, hematoxylin, other) if amounts else patch


@pytest.fixture(scope="session")
def tissue() -> Patch:
    """H&E-like."""
    return paint("eosin")


@pytest.fixture(scope="session")
def brown() -> Patch:
    """IHC-like."""
    return paint("dab", seed=1)
