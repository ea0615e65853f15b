"""Classical stain transfer, the rivals of the CycleGAN, and the stain statistics that it uses."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from skimage import color

from ..imaging import STAIN_VECTORS, Patch, optical_density, rgb_from_density, separate_stains, summed_density
from ..io import load_weights, save_weights
from .content import DENSITY_BINS, DENSITY_STEP, SECOND_STAIN, density_weights

TISSUE_DENSITY = 0.2  # summed optical density; pixels below it are glass
FEWEST_TISSUE_PX = 50  # fewest tissue pixels for statistics
RAREST_SHARE = 1e-4  # bins of a colour table with a smaller share of the pixels are interpolated


@dataclass(frozen=True, slots=True)
class StainReference:
    """Colour tables and tissue statistics of one stain, from example patches.

    Attributes:
        domain: "he" or "ihc", the described stain; patches of the other domain are recoloured to it.
        density_colours: mean colour of each bin of summed optical density, float32 (B, 3) in [0, 255].
        hematoxylin_colours: the same for each bin of the hematoxylin channel.
        lab_mean, lab_std: mean and standard deviation in CIELAB, float32 (3,).
        stain_vectors: Macenko's two stains as unit densities, hematoxylin first, float32 (2, 3).
        stain_levels: 99th percentile of their amounts, float32 (2,).
        density_level, hematoxylin_level: 99th percentile of summed density and of the hematoxylin channel, float32 ().
        second_level: median of the second stain (eosin of H&E) with the vectors of `imaging.STAIN_VECTORS`, float32 ().
    """

    domain: str
    density_colours: np.ndarray
    hematoxylin_colours: np.ndarray
    lab_mean: np.ndarray
    lab_std: np.ndarray
    stain_vectors: np.ndarray
    stain_levels: np.ndarray
    density_level: np.ndarray
    hematoxylin_level: np.ndarray
    second_level: np.ndarray

    @classmethod
    def fit(cls, patches: Iterable[Patch], domain: str = "he") -> Self:
        """Describe the stain of patches: tables from all pixels, statistics from tissue pixels.

        Raises:
            ValueError: the domain is unknown, or the patches contain no tissue.
        """
        weights = [density_weights(domain, marker) for marker in ("nuclear", "membrane")]
        sums, counts = np.zeros((2, DENSITY_BINS, 3)), np.zeros((2, DENSITY_BINS))
        tissue = []
        for patch in patches:
            pixels = patch.image.reshape(-1, 3)
            for table, weight in enumerate(weights):
                bins = _bins(pixels, weight)
                counts[table] += np.bincount(bins, minlength=DENSITY_BINS)
                sums[table] += np.stack([np.bincount(bins, channel, DENSITY_BINS) for channel in pixels.T], axis=1)
            inside = pixels[summed_density(pixels) > TISSUE_DENSITY]
            tissue.append(inside[:: 1 + len(inside) // 20_000])
        found = np.concatenate(tissue) if tissue else np.empty((0, 3), np.uint8)
        stains = _macenko_stains(found)
        if stains is None:
            seen = f"{len(found)} tissue pixels in {len(tissue)} patches"
            raise ValueError(f"StainReference: expected tissue, found {seen}")
        lab = color.rgb2lab(found)
        amounts = separate_stains(found[None], "hematoxylin", SECOND_STAIN[domain])[0]
        levels = np.percentile(summed_density(found), 99), np.percentile(amounts[:, 0], 99), np.median(amounts[:, 1])
        values = (*map(_complete, sums, counts), lab.mean(axis=0), lab.std(axis=0), *stains, *levels)
        return cls(domain, *(np.asarray(value, np.float32) for value in values))

    def colours(self, marker: str = "nuclear", gain: float = 1.0) -> np.ndarray:
        """Colour (B, 3) for each bin of the other domain's stain amount after multiplication by `gain`.

        The amount is the summed density for a nuclear marker, otherwise the hematoxylin channel.
        """
        table = self.density_colours if marker == "nuclear" else self.hematoxylin_colours
        bins = gain * (np.arange(DENSITY_BINS) + 0.5)
        return table[np.clip(bins, 0, DENSITY_BINS - 1).astype(int)]

    def gain(self, source: "StainReference", marker: str = "nuclear") -> float:
        """Ratio of the 99th percentiles of stain amount, this domain over the source, for `recolour_od`."""
        name = "density_level" if marker == "nuclear" else "hematoxylin_level"
        return float(getattr(self, name) / getattr(source, name))

    def at_levels_of(self, pixels: np.ndarray) -> Self:
        """This reference with the stain amounts of other pixels (H, W, 3) of its domain, for `gain`."""
        tissue = pixels[summed_density(pixels) > TISSUE_DENSITY]
        if len(tissue) < FEWEST_TISSUE_PX:
            return self
        amounts = separate_stains(tissue[None], "hematoxylin", SECOND_STAIN[self.domain])[0, :, 0]
        density = np.percentile(summed_density(tissue), 99)
        return replace(self, density_level=density, hematoxylin_level=np.percentile(amounts, 99))

    def save(self, path: str | Path) -> None:
        """Write the reference to a small safetensors file."""
        tensors = {f.name: torch.from_numpy(getattr(self, f.name)) for f in fields(self) if f.name != "domain"}
        save_weights(path, tensors, {"kind": "StainReference", "domain": self.domain})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a reference written by `save`.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: it is damaged or holds something else.
        """
        tensors, card = load_weights(path)
        if card.get("kind") != "StainReference":
            raise ValueError(f"{path}: expected a StainReference, found {card.get('kind') or 'weights of a network'}")
        return cls(card["domain"], **{name: value.numpy() for name, value in tensors.items()})


def recolour_od(patch: Patch, reference: StainReference, gain: float = 1.0, marker: str = "nuclear") -> Patch:
    """Map each pixel to the mean reference colour at its stain amount (a lookup table).

    The amount is the summed optical density for a nuclear marker, and the hematoxylin channel for the others, where
    DAB does not mark nuclei.

    Args:
        patch: image of the other domain than the reference.
        reference: stain to imitate.
        gain: factor on the stain amount before the lookup (`StainReference.gain`).
        marker: what DAB stains.
    """
    weights = density_weights("ihc" if reference.domain == "he" else "he", marker)
    return replace(patch, image=np.rint(reference.colours(marker, gain)).astype(np.uint8)[_bins(patch.image, weights)])


def recolour_hed(patch: Patch, reference: StainReference, gain: float = 1.0, marker: str = "nuclear") -> Patch:
    """Separate hematoxylin and DAB (Ruifrok & Johnston 2001), then render nuclei in hematoxylin and tissue in eosin.

    Nuclear stain is hematoxylin + DAB for a nuclear marker, and hematoxylin for the others. Its amount is multiplied by
    the gain and limited to the reference's 99th percentile. IHC has no eosin, so eosin is added to all stained pixels,
    up to the reference's median. Arguments as `recolour_od`.
    """
    amounts = np.clip(separate_stains(patch.image, "hematoxylin", "dab"), 0, None)
    nucleus = gain * (amounts.sum(axis=-1) if marker == "nuclear" else amounts[..., 0])
    density = np.minimum(nucleus, reference.hematoxylin_level)[..., None] * STAIN_VECTORS["hematoxylin"]
    density = density + (_tissue_share(patch.image) * reference.second_level)[..., None] * STAIN_VECTORS["eosin"]
    return replace(patch, image=rgb_from_density(density))


def reinhard(patch: Patch, reference: StainReference) -> Patch:
    """Match mean and standard deviation of the tissue colours to the reference, channel by channel.

    Reinhard et al., Color transfer between images, IEEE CG&A 2001 (doi 10.1109/38.946629), in CIELAB instead of
    l-alpha-beta. The change fades out towards the background. A patch without tissue is returned unchanged.
    """
    sample = patch.stain_sample
    tissue = summed_density(sample) > TISSUE_DENSITY
    if tissue.sum() < FEWEST_TISSUE_PX:
        return patch
    lab = color.rgb2lab(patch.image.astype(np.float32) / 255)
    described = lab[tissue] if sample is patch.image else color.rgb2lab(sample[tissue].astype(np.float32) / 255)
    mean, std = described.mean(axis=0), described.std(axis=0)
    moved = (lab - mean) * (reference.lab_std / np.maximum(std, 1e-3)) + reference.lab_mean
    with warnings.catch_warnings(action="ignore"):  # about colours outside sRGB, which are clipped
        rgb = color.lab2rgb(lab + _tissue_share(patch.image)[..., None] * (moved - lab))
    return replace(patch, image=np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8))


def macenko(patch: Patch, reference: StainReference) -> Patch:
    """Estimate the two stain vectors of the patch and replace them by those of the reference.

    Macenko et al., A method for normalizing histology slides for quantitative analysis, ISBI 2009
    (doi 10.1109/ISBI.2009.5193250). Amounts are scaled to the same 99th percentiles. On IHC the second stain is
    DAB, which becomes eosin. A patch without tissue, or of a single colour, is returned unchanged.
    """
    sample = patch.stain_sample
    stains = _macenko_stains(sample[summed_density(sample) > TISSUE_DENSITY])
    if stains is None:
        return patch
    scaled = _amounts(patch.image.reshape(-1, 3), stains[0]) * (reference.stain_levels / stains[1])
    return replace(patch, image=rgb_from_density(scaled @ reference.stain_vectors).reshape(patch.image.shape))


def _tissue_share(image: np.ndarray) -> np.ndarray:
    """Weight (H, W) of a recolouring: 1 in tissue, falling to 0 in glass, which is never pure white."""
    return np.clip(summed_density(image) / TISSUE_DENSITY, 0, 1) ** 2


def _macenko_stains(tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Two unit stain vectors (2, 3), hematoxylin first, and the 99th percentiles (2,) of their amounts.

    None if the densities of the pixels (K, 3) do not span a plane.
    """
    if len(tissue) < FEWEST_TISSUE_PX:
        return None
    density = optical_density(tissue)
    plane = np.linalg.eigh(np.cov(density.T))[1][:, :0:-1]  # (3, 2), the direction of most variance first
    plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)
    along = density @ plane
    angles = np.percentile(np.arctan2(along[:, 1], along[:, 0]), [1, 99])
    vectors = np.clip((plane @ np.stack([np.cos(angles), np.sin(angles)])).T, 0, None)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    vectors = vectors[np.argsort(-vectors[:, 0])]  # hematoxylin absorbs red the most
    if abs(vectors[0] @ vectors[1]) > 0.999:
        return None
    levels = np.percentile(_amounts(tissue, vectors), 99, axis=0)
    return (vectors.astype(np.float32), levels.astype(np.float32)) if levels.min() > 0 else None


def _amounts(pixels: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Amounts (K, 2) of two stains in pixels (K, 3), by non-negative least squares (clipped)."""
    return np.clip(optical_density(pixels) @ np.linalg.pinv(vectors).astype(np.float32), 0, None)


def _bins(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bin (...) of the stain amount of each pixel (..., 3)."""
    amount = optical_density(image) @ weights.astype(np.float32)
    return np.clip(amount / DENSITY_STEP, 0, DENSITY_BINS - 1).astype(np.int32)


def _complete(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean colour (B, 3) of each bin; gaps are interpolated, and the ends are extrapolated in grey."""
    seen = np.flatnonzero(counts > RAREST_SHARE * counts.sum())
    bins = np.arange(DENSITY_BINS)
    colours = np.stack([np.interp(bins, seen, sums[seen, c] / counts[seen]) for c in range(3)], axis=1)
    # Rare pixels beyond the ends have hues that do not belong to the stain, so density is added in grey.
    beyond = DENSITY_STEP * (bins - np.clip(bins, seen[0], seen[-1])) / 3
    return np.minimum(colours * 10.0 ** -beyond[:, None], 255)


def save_stain_reference(patches: Iterable[Patch], domain: str, path: str | Path) -> StainReference:
    """Fit the stain statistics of training patches and write them beside the weights."""
    reference = StainReference.fit(patches, domain)
    reference.save(path)
    return reference
