"""What a translation must keep: how much stain lies where, measured and guarded.

Cycle consistency cannot see a picture whose dark and light are exchanged both ways; the amount of stain can.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..imaging import MARKERS, optical_density, separate_stains

__all__ = [
    "MARKERS",
    "ContentGuard",
    "ContentLost",
    "content_correlation",
    "density_weights",
    "stain_amount",
]

SECOND_STAIN = {"he": "eosin", "ihc": "dab"}
DENSITY_STEP = 0.02  # width of a bin of the amount of stain in a colour table
DENSITY_BINS = 362  # of which so many reach the largest summed density of 8-bit pixels, 7.22
FLAT_DENSITY = 0.02  # a crop whose amount of stain varies less than this holds no content to keep


def density_weights(domain: str, marker: str = "nuclear") -> np.ndarray:
    """Weights (3,) that turn optical density in R, G, B into the amount of stain that marks nuclei.

    Where the marker is nuclear, brown and blue both are nucleus: ones, the summed density. Elsewhere brown hides or
    surrounds nuclei and only hematoxylin marks them: its part of the colour deconvolution.

    Args:
        domain: "he" or "ihc".
        marker: "nuclear", "membrane" or "cytoplasm": what the brown of the IHC stains.

    Raises:
        ValueError: an unknown domain or marker.
    """
    if domain not in SECOND_STAIN or marker not in MARKERS:
        raise ValueError(f"expected a domain of {list(SECOND_STAIN)} and a marker of {MARKERS}: {domain}, {marker}")
    if marker == "nuclear":
        return np.ones(3, np.float32)
    # Deconvolution is linear in density, so three pixels, each black in one channel alone, read its matrix.
    pixels = np.where(np.eye(3, dtype=bool), 1, 255).astype(np.uint8)[None]
    return separate_stains(pixels, "hematoxylin", SECOND_STAIN[domain])[0, :, 0] / optical_density(pixels).max()


def stain_amount(images: Tensor, weights: Tensor) -> Tensor:
    """Amount of stain (N, H, W) of images (N, 3, H, W) in [0, 1], differentiable; weights as `density_weights`."""
    density = -torch.log10(images.float().clamp(1 / 255, 1))
    return (density * weights.to(images.device).view(3, 1, 1)).sum(1)


def content_correlation(before: Tensor, after: Tensor) -> Tensor:
    """Pearson correlation between the amounts of stain before and after a translation, image by image.

    Args:
        before: amount of stain of the input, shape (N, H, W).
        after: amount of stain of its translation, same shape.

    Returns:
        shape (N,), in [-1, 1]: 1 all content kept, below 0 dark and light exchanged. An input with no content to keep
        (a standard deviation below 0.02) counts as 1.
    """
    before, after = before.flatten(1), after.flatten(1)
    before = before - before.mean(1, keepdim=True)
    after = after - after.mean(1, keepdim=True)
    variance, translated = before.square().mean(1), after.square().mean(1)
    correlation = (before * after).mean(1) / (variance * translated + 1e-8).sqrt()
    return torch.where(variance > FLAT_DENSITY**2, correlation, torch.ones_like(correlation))


class ContentLost(RuntimeError):
    """Training paints pictures that no longer show the tissue of the input."""


class ContentGuard:
    """Running mean of the content correlation; stops a run in which it stays too low.

    Args:
        limit: smallest running mean that is let pass; -1 or less never stops a run.
        grace_steps: updates before the first check, while the networks find their feet.
        memory: share of the past in the running mean.
    """

    def __init__(self, limit: float = 0.3, grace_steps: int = 100, memory: float = 0.95) -> None:
        self.limit, self.grace_steps, self.memory = limit, grace_steps, memory
        self.mean = 0.0
        self.updates = 0

    def update(self, correlation: float) -> None:
        """Take in one step's correlation.

        Raises:
            ContentLost: the grace period is over and the running mean lies below the limit.
        """
        # The mean of all steps so far, until there are enough of them for the fixed memory.
        share = max(1 - self.memory, 1 / (self.updates + 1))
        self.mean += share * (correlation - self.mean)
        self.updates += 1
        if self.updates > self.grace_steps and self.mean < self.limit:
            what = "dark and light are exchanged" if self.mean < 0 else "the tissue of the input is hardly kept"
            raise ContentLost(
                f"content lost: after {self.updates} adversarial steps the stain before and after translation "
                f"correlates at {self.mean:.2f}, below the limit of {self.limit:.2f} ({what}). Start again with more "
                f"warm_steps, a larger content or identity weight, or a smaller lr_generator."
            )
