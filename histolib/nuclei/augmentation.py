"""Augmentation of training crops: geometry, optics, stain changes, and synthetic IHC painted over H&E."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from ..config import HoverNetSettings
from ..data.samples import InstanceSample
from ..imaging import STAIN_VECTORS, rgb_from_density, separate_stains, summed_density

STAINS = ("hematoxylin", "eosin", "dab")  # a basis of colour space; on H&E, DAB is the residual
SEEDS = 2**32
MIN_DENSITY = 0.05  # lower limit of optical density before it is divided
# Summed optical density of nuclei: median, and standard deviation of the logarithm.
NUCLEUS_DENSITY = {"hematoxylin": (0.75, 0.6), "dab": (2.2, 0.55)}
CELL_UM = 2.5  # approximate radius of an erythrocyte in a section
GLASS_UM = 16.0  # length scale of gaps in the tissue


def augment(
    image: np.ndarray, ids: np.ndarray, settings: HoverNetSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Change a crop and its nuclei as tissue, slide and scanner do.

    Geometry, blur and noise use albumentations and follow the published code in kind (Graham et al. 2019, section
    3.4); colour changes in stain space (`restain`) instead of by hue. Some crops change the stain completely: painted
    as IHC (`paint_ihc`), or recoloured by their optical density (`recolour_by_density`).

    Args:
        image: uint8 (H, W, 3).
        ids: instance ids (H, W), below 2^24.
        settings: `affine` (0 leaves quarter turns and mirrors, which do not resample), `jitter` (0 also disables blur
            and noise), `painted`, `recoloured` and `mpp`.
        rng: source of all random numbers.

    Returns:
        uint8 (H, W, 3) and float32 ids (H, W), both mirrored beyond the borders of the transformed crop.
    """
    geometry, optics = _pipelines(settings.affine)
    geometry.set_random_seed(int(rng.integers(SEEDS)))
    moved = geometry(image=image, mask=ids.astype(np.float32))
    image = moved["image"]
    if settings.painted or settings.recoloured:
        choice = rng.random()
        if choice < settings.painted:
            image = paint_ihc(image, moved["mask"], settings.mpp, rng)
        elif choice < settings.painted + settings.recoloured:
            image = recolour_by_density(image, rng)
    if settings.jitter:
        optics.set_random_seed(int(rng.integers(SEEDS)))
        image = optics(image=restain(image, settings.jitter, rng))["image"]
    return image, moved["mask"]


def restain(image: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Scale the amount of each stain and, half as much, each colour channel, and shift the exposure.

    Factors are log-normal, in optical density (after Tellez et al. 2018, doi 10.1109/TMI.2018.2820199).

    Args:
        image: uint8 (H, W, 3).
        jitter: standard deviation of the logarithm of a stain's factor.
        rng: source of all random numbers.

    Returns:
        uint8 (H, W, 3).
    """
    amounts = separate_stains(image, *STAINS) * np.exp(rng.normal(0, jitter, 3)).astype(np.float32)
    density = amounts @ np.stack([STAIN_VECTORS[name] for name in STAINS]).astype(np.float32)
    density = density * np.exp(rng.normal(0, jitter / 2, 3)).astype(np.float32) + np.float32(rng.normal(0, jitter / 8))
    return rgb_from_density(density)


@lru_cache
def _pipelines(affine: float) -> tuple[Any, Any]:
    """Geometric transforms of image and ids, and optical transforms of the image."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise the import contacts the network
    import albumentations as A

    moves = [A.SquareSymmetry(p=1)]
    if affine:
        zoom, shift, border = (1 - affine, 1 + affine), (-0.01, 0.01), cv2.BORDER_REFLECT_101
        moves.append(A.Affine(zoom, shift, rotate=(-45, 45), shear=(-5, 5), keep_ratio=True, border_mode=border, p=1))
    blur, median = A.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.6), p=1), A.MedianBlur(blur_limit=(3, 3), p=1)
    noise, jpeg = A.GaussNoise(std_range=(0.0, 0.03), p=1), A.ImageCompression(quality_range=(40, 95), p=1)
    return A.Compose(moves), A.Compose([A.OneOf([blur, median, noise, jpeg], p=0.6)])


def paint_ihc(image: np.ndarray, ids: np.ndarray, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Paint nuclear IHC over an H&E crop: some nuclei brown, the others blue, on pale tissue.

    Each nucleus gets a random stain and amount and keeps the texture of its density; the tissue between keeps its
    texture as pale counterstain or unspecific brown. Some crops also get gaps in the tissue, or erythrocytes, which
    appear as rings of refracted light. This is domain randomisation (Tobin et al. 2017, arXiv:1703.06907); it uses
    neither IHC images nor IHC labels.

    Args:
        image: uint8 (H, W, 3), H&E.
        ids: instance ids (H, W), 0 is background.
        mpp: microns per pixel.
        rng: source of all random numbers.

    Returns:
        uint8 (H, W, 3).
    """
    ids = ids.astype(np.int64)
    inside = ids > 0
    density = np.maximum(summed_density(image), MIN_DENSITY)
    known, place = np.unique(ids, return_inverse=True)
    place = place.reshape(ids.shape)
    brown = rng.random(len(known)) < rng.beta(1.2, 0.8)
    dab = np.where(brown, rng.uniform(0.3, 1.0, len(known)), rng.uniform(0, 0.1, len(known)))  # share of DAB
    (blue_level, blue_spread), (brown_level, brown_spread) = NUCLEUS_DENSITY.values()
    amount = np.exp(rng.normal(0, 0.25)) * np.where(
        brown,
        brown_level * (0.4 + 0.6 * dab) * np.exp(rng.normal(0, brown_spread, len(known))),
        blue_level * np.exp(rng.normal(0, blue_spread, len(known))),
    )
    stains = [_vary(STAIN_VECTORS[name], rng) for name in NUCLEUS_DENSITY]
    total = _texture(density, inside, rng.uniform(0.2, 1.0)) * amount[place]
    mixed = dab[place][..., None]
    nuclei = total[..., None] * (mixed * stains[1] + (1 - mixed) * stains[0])

    haze = rng.beta(1, 2)  # share of DAB in the tissue
    level = rng.uniform(0.1, 0.7) + (haze * rng.uniform(0, 1.0) if rng.random() < 0.3 else 0)
    between = _texture(density, ~inside, rng.uniform(0.5, 1.8)) * level
    between = between * _tissue_share(ids.shape, mpp, rng)
    tissue = (between + rng.uniform(0.01, 0.06))[..., None] * (haze * stains[1] + (1 - haze) * stains[0])

    if rng.random() < 0.3:  # cytoplasm: the stain of each nucleus in a pale ring around it
        ring = cv2.GaussianBlur((inside[..., None] * nuclei).astype(np.float32), (0, 0), rng.uniform(1.0, 3.0) / mpp)
        tissue = tissue + rng.uniform(0.1, 0.6) * ring
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), rng.uniform(0.2, 0.45) / mpp)[..., None]
    painted = soft * nuclei + (1 - soft) * tissue
    if rng.random() < 0.4:
        painted = painted + _erythrocytes(inside, mpp, rng)[..., None] * _vary(np.ones(3), rng, 0.15)
    glare = cv2.GaussianBlur(painted.astype(np.float32), (0, 0), rng.uniform(1.5, 4) / mpp)
    return rgb_from_density(np.clip(painted + rng.uniform(0, 0.12) * glare, 0, None))


def paint_samples(samples: Sequence[InstanceSample], seed: int = 0) -> list[InstanceSample]:
    """Paint the images of the samples as IHC with `paint_ihc`; the random seed decides how each one looks."""
    painted = []
    for number, sample in enumerate(samples):
        patch, rng = sample.patch, np.random.default_rng((seed, number))
        image = paint_ihc(patch.image, sample.instances, patch.mpp, rng)
        painted.append(replace(sample, patch=replace(patch, image=image)))
    return painted


def recolour_by_density(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Map the summed optical density of each pixel to a random colour scale, which removes the hue of the stain.

    The scale runs from one random stain for pale pixels to another for dense pixels, and a random exponent changes the
    contrast, similar to the route `od`.

    Args:
        image: uint8 (H, W, 3).
        rng: source of all random numbers.

    Returns:
        uint8 (H, W, 3).
    """
    density = summed_density(image)
    top = max(float(np.percentile(density, 99)), 4 * MIN_DENSITY)
    share = np.clip(density / top, 0, 1.5)
    mixtures = np.stack(list(STAIN_VECTORS.values()))
    pale, dense = (_vary(rng.dirichlet((1.5, 0.7, 0.7)) @ mixtures, rng) for _ in range(2))
    colour = pale + np.minimum(share, 1)[..., None] * (dense - pale)
    total = np.exp(rng.normal(0.2, 0.5)) * share ** np.exp(rng.normal(0.15, 0.35))
    return rgb_from_density(total[..., None] * colour)


def _vary(vector: np.ndarray, rng: np.random.Generator, spread: float = 0.2) -> np.ndarray:
    """Stain vector with a random factor for each channel, scaled to sum 1."""
    changed = vector * np.exp(rng.normal(0, spread, 3))
    return (changed / changed.sum()).astype(np.float32)


def _texture(density: np.ndarray, where: np.ndarray, contrast: float) -> np.ndarray:
    """Density relative to its mean over some pixels, with the contrast changed by an exponent."""
    mean = density[where].mean() if where.any() else density.mean()
    return np.clip(density / mean, 0.2, 3.0) ** np.float32(contrast)


def _tissue_share(shape: tuple[int, ...], mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Share of tissue in each pixel (H, W): 1 everywhere, or near 0 in random gaps."""
    if rng.random() < 0.6:
        return np.ones(shape, np.float32)
    coarse = rng.normal(size=tuple(int(side * mpp / GLASS_UM) + 2 for side in shape)).astype(np.float32)
    field = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return 1 / (1 + np.exp(np.clip(12 * (field - rng.normal(0.3, 0.5)), -30, 30)))


def _erythrocytes(inside: np.ndarray, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Density (H, W) of erythrocyte rims, at random places without nuclei."""
    free = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    region = _tissue_share(inside.shape, mpp, rng) > 0.5
    radius = CELL_UM / mpp
    rows, columns = np.nonzero((free > 0.8 * radius) & region)
    rims = np.zeros(inside.shape, np.float32)
    if not len(rows):
        return rims
    crowd = rng.uniform(0.005, 0.3) * len(rows) / radius**2
    for at in rng.integers(len(rows), size=int(crowd)):
        axes = np.rint(rng.uniform(0.4, 1.1, 2) * radius).astype(int).tolist()
        start, angle = float(rng.uniform(0, 360)), float(rng.uniform(0, 180))
        end, density = start + float(rng.uniform(180, 360)), float(rng.uniform(0.2, 1.2))
        cv2.ellipse(rims, (int(columns[at]), int(rows[at])), axes, angle, start, end, density, 1)
    return cv2.GaussianBlur(rims, (0, 0), 0.5) * (~inside)
