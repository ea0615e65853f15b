from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from histolib.config import CycleGANSettings, profile
from histolib.imaging import STAIN_VECTORS, Patch, rgb_from_density

torch.set_num_threads(1)


def paint(second: str, size: int = 96, seed: int = 0) -> tuple[Patch, np.ndarray, np.ndarray]:
    """A patch of hematoxylin blobs on a second stain with a band of glass, and the amounts of both stains."""
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.standard_normal((size, size)), 3)
    hematoxylin = 0.9 * (blobs > 0.12) * (0.8 + 0.4 * rng.random((size, size)))
    other = 0.5 * (blobs <= 0.12) * (0.6 + 0.4 * rng.random((size, size)))
    hematoxylin[: size // 6], other[: size // 6] = 0, 0
    density = hematoxylin[..., None] * STAIN_VECTORS["hematoxylin"] + other[..., None] * STAIN_VECTORS[second]
    return Patch(rgb_from_density(density), 0.5, second), hematoxylin, other


@pytest.fixture(scope="session")
def painted() -> Callable[..., tuple[Patch, np.ndarray, np.ndarray]]:
    return paint


@pytest.fixture(scope="session")
def tissue() -> Patch:
    """A patch like H&E."""
    return paint("eosin")[0]


@pytest.fixture(scope="session")
def brown() -> Patch:
    """A patch like IHC."""
    return paint("dab", seed=1)[0]


@pytest.fixture(scope="session")
def small() -> CycleGANSettings:
    """Settings of the smallest networks, without a warm start."""
    tiny = {"width": 4, "blocks": 1, "discriminator_width": 4, "patch_px": 32, "warm_steps": 0, "steps": 10}
    return replace(profile("quick").cyclegan, mpp=0.5, **tiny)
