"""Nuclear IHC painted over outlined H&E: the outlines stay true, the stain becomes another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..data import InstanceSample
from ..imaging import STAIN_VECTORS, rgb_from_density, summed_density

__all__ = ["paint_ihc", "paint_samples", "recolour_by_density"]

SMALLEST_DENSITY = 0.05  # of what a texture is relative to
NUCLEUS_DENSITY = {"hematoxylin": (1.0, 0.35), "dab": (2.0, 0.4)}  # summed: median, standard deviation of its logarithm
CELL_UM = 2.5  # about the radius of an erythrocyte in a section
GLASS_UM = 16.0  # over which glass gives way to tissue


def paint_ihc(image: np.ndarray, ids: np.ndarray, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """A field of nuclear IHC with the nuclei of an H&E crop: some brown, the others blue, on pale tissue.

    Every nucleus gets a stain and an amount of it, and keeps the texture of its density; what lies between keeps its
    texture too, as pale counterstain or unspecific brown. Now and then glass opens between the nuclei, or erythrocytes
    without hematoxylin lie there, rings of refracted light. Random in all of that, after the idea of domain
    randomisation (Tobin et al. 2017, arXiv:1703.06907): no IHC image and none of its labels is looked at.

    Args:
        image: uint8 (H, W, 3), H&E.
        ids: instance ids (H, W), 0 between the nuclei.
        mpp: microns per pixel.
        rng: draws everything.

    Returns:
        uint8 (H, W, 3).
    """
    ids = ids.astype(np.int64)
    inside = ids > 0
    density = np.maximum(summed_density(image), SMALLEST_DENSITY)
    known, place = np.unique(ids, return_inverse=True)
    place = place.reshape(ids.shape)
    brown = rng.random(len(known)) < rng.beta(1.2, 0.8)
    share = np.where(brown, rng.uniform(0.3, 1.0, len(known)), rng.uniform(0, 0.1, len(known)))  # of it that is DAB
    (blue_level, blue_spread), (brown_level, brown_spread) = NUCLEUS_DENSITY.values()
    field = np.exp(rng.normal(0, 0.25))  # of the whole crop
    amount = field * np.where(
        brown,
        brown_level * (0.4 + 0.6 * share) * np.exp(rng.normal(0, brown_spread, len(known))),
        blue_level * np.exp(rng.normal(0, blue_spread, len(known))),
    )
    stains = [_varied(STAIN_VECTORS[name], rng) for name in NUCLEUS_DENSITY]
    total = _texture(density, inside, rng.uniform(0.2, 1.0)) * amount[place]
    mixed = share[place][..., None]
    nuclei = total[..., None] * (mixed * stains[1] + (1 - mixed) * stains[0])

    haze = rng.beta(1, 2)
    level = rng.uniform(0.1, 0.7) + (haze * rng.uniform(0, 1.0) if rng.random() < 0.3 else 0)
    between = _texture(density, ~inside, rng.uniform(0.5, 1.8)) * level
    between = between * _opened(ids.shape, mpp, rng)
    tissue = (between + rng.uniform(0.01, 0.06))[..., None] * (haze * stains[1] + (1 - haze) * stains[0])

    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), rng.uniform(0.2, 0.45) / mpp)[..., None]
    painted = soft * nuclei + (1 - soft) * tissue
    if rng.random() < 0.4:
        painted = painted + _erythrocytes(inside, mpp, rng)[..., None] * _varied(np.ones(3), rng, 0.15)
    leaked = cv2.GaussianBlur(painted.astype(np.float32), (0, 0), rng.uniform(1.5, 4) / mpp)
    return rgb_from_density(np.clip(painted + rng.uniform(0, 0.12) * leaked, 0, None))


def paint_samples(samples: Sequence[InstanceSample], seed: int = 0) -> list[InstanceSample]:
    """The samples with their images painted as IHC, each in a way of its own that the seed decides."""
    painted = []
    for number, sample in enumerate(samples):
        patch, rng = sample.patch, np.random.default_rng((seed, number))
        image = paint_ihc(patch.image, sample.instances, patch.mpp, rng)
        painted.append(replace(sample, patch=replace(patch, image=image)))
    return painted


def recolour_by_density(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every pixel in one random colour of its summed density: a picture without hue, whatever the stain was.

    The colour runs from one random stain in pale to another in dense pixels, and a random exponent changes the
    contrast, as the route `od` does with its table.

    Args:
        image: uint8 (H, W, 3).
        rng: draws colours and contrast.

    Returns:
        uint8 (H, W, 3).
    """
    density = summed_density(image)
    top = max(float(np.percentile(density, 99)), 4 * SMALLEST_DENSITY)
    share = np.clip(density / top, 0, 1.5)
    pale, dense = (_varied(_between_stains(rng), rng) for _ in range(2))
    colour = pale + np.minimum(share, 1)[..., None] * (dense - pale)
    total = np.exp(rng.normal(0.2, 0.5)) * share ** np.exp(rng.normal(0.15, 0.35))
    return rgb_from_density(total[..., None] * colour)


def _between_stains(rng: np.random.Generator) -> np.ndarray:
    """A mixture of hematoxylin, eosin and DAB."""
    return rng.dirichlet((1.5, 0.7, 0.7)) @ np.stack(list(STAIN_VECTORS.values()))


def _varied(vector: np.ndarray, rng: np.random.Generator, spread: float = 0.2) -> np.ndarray:
    """A stain vector with every channel changed, of sum 1."""
    changed = vector * np.exp(rng.normal(0, spread, 3))
    return (changed / changed.sum()).astype(np.float32)


def _texture(density: np.ndarray, where: np.ndarray, contrast: float) -> np.ndarray:
    """Density relative to its mean in some pixels, its contrast changed by an exponent."""
    mean = density[where].mean() if where.any() else density.mean()
    return np.clip(density / mean, 0.2, 3.0) ** np.float32(contrast)


def _opened(shape: tuple[int, ...], mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Share (H, W) of the tissue that is there: all of it, or little where glass shows through."""
    if rng.random() < 0.6:
        return np.ones(shape, np.float32)
    coarse = rng.normal(size=tuple(int(side * mpp / GLASS_UM) + 2 for side in shape)).astype(np.float32)
    field = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return 1 / (1 + np.exp(np.clip(12 * (field - rng.normal(0.3, 0.5)), -30, 30)))


def _erythrocytes(inside: np.ndarray, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Density (H, W) that the rims of erythrocytes add, scattered where there is no nucleus."""
    free = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    region = _opened(inside.shape, mpp, rng) > 0.5
    radius = CELL_UM / mpp
    rows, columns = np.nonzero((free > 0.8 * radius) & region)
    rims = np.zeros(inside.shape, np.float32)
    if not len(rows):
        return rims
    crowd = rng.uniform(0.005, 0.3) * len(rows) / radius**2
    for at in rng.integers(len(rows), size=int(crowd)):
        axes = tuple(int(value) for value in np.rint(rng.uniform(0.4, 1.1, 2) * radius))
        centre = int(columns[at]), int(rows[at])
        start = float(rng.uniform(0, 360))
        cv2.ellipse(
            rims, centre, axes, float(rng.uniform(0, 180)), start, start + float(rng.uniform(180, 360)),
            float(rng.uniform(0.2, 1.2)), 1,
        )  # fmt: skip
    return cv2.GaussianBlur(rims, (0, 0), 0.5) * (~inside)
