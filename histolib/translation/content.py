"""Content preservation: the stain amount of each pixel before and after translation, as a measure and as a guard.

Cycle consistency does not detect a pair of generators that both exchange dark and light; the stain amount does.
"""

import numpy as np
import torch
from torch import Tensor

from ..imaging import MARKERS, optical_density, separate_stains

SECOND_STAIN = {"he": "eosin", "ihc": "dab"}
DENSITY_STEP = 0.02  # bin width of the stain amount in a colour table
DENSITY_BINS = 362  # enough bins for 7.22, the largest summed density of 8-bit pixels
FLAT_DENSITY = 0.02  # a crop with a smaller standard deviation of stain has no content to preserve


def density_weights(domain: str, marker: str = "nuclear") -> np.ndarray:
    """Weights (3,) that turn optical density in R, G, B into the amount of stain that marks nuclei.

    With a nuclear marker, brown and blue both mark nuclei: the weights are ones, which gives the summed density. With
    other markers only hematoxylin marks nuclei: the weights are its row of the colour deconvolution.

    Args:
        domain: "he" or "ihc".
        marker: structure that the brown stains, one of `imaging.MARKERS`.

    Raises:
        ValueError: unknown domain or marker.
    """
    if domain not in SECOND_STAIN or marker not in MARKERS:
        known = f"a domain of {', '.join(SECOND_STAIN)} and a marker of {', '.join(MARKERS)}"
        raise ValueError(f"density_weights: expected {known}, found {domain!r} and {marker!r}")
    if marker == "nuclear":
        return np.ones(3, np.float32)
    # Deconvolution is linear in density: three pixels, each black in one channel only, reveal its matrix.
    pixels = np.where(np.eye(3, dtype=bool), 1, 255).astype(np.uint8)[None]
    return separate_stains(pixels, "hematoxylin", SECOND_STAIN[domain])[0, :, 0] / optical_density(pixels).max()


def stain_amount(images: Tensor, weights: Tensor) -> Tensor:
    """Amount of stain (N, H, W) of images (N, 3, H, W) in [0, 1], differentiable; weights from `density_weights`."""
    density = -torch.log10(images.float().clamp(1 / 255, 1))
    return (density * weights.to(images.device).view(3, 1, 1)).sum(1)


def content_correlation(before: Tensor, after: Tensor) -> Tensor:
    """Pearson correlation between the stain amounts before and after translation, per image.

    Args:
        before: stain amount of the input, shape (N, H, W).
        after: stain amount of its translation, same shape.

    Returns:
        shape (N,), in [-1, 1]: 1 if all content is preserved, negative if dark and light are exchanged. Inputs without
        content (standard deviation below 0.02) count as 1.
    """
    before, after = before.flatten(1), after.flatten(1)
    before = before - before.mean(1, keepdim=True)
    after = after - after.mean(1, keepdim=True)
    variance, translated = before.square().mean(1), after.square().mean(1)
    correlation = (before * after).mean(1) / (variance * translated + 1e-8).sqrt()
    return torch.where(variance > FLAT_DENSITY**2, correlation, torch.ones_like(correlation))


class ContentLost(ValueError):
    """The translations of a training run no longer show the tissue of the input."""


class ContentGuard:
    """Running mean of the content correlation; stops a run if it stays too low.

    Args:
        limit: smallest accepted running mean; -1 never stops a run.
        grace_steps: updates before the first check.
        memory: weight of past updates in the running mean.
    """

    def __init__(self, limit: float = 0.3, grace_steps: int = 100, memory: float = 0.95) -> None:
        self.limit, self.grace_steps, self.memory = limit, grace_steps, memory
        self.mean, self.updates = 0.0, 0

    def update(self, correlation: float) -> None:
        """Add the correlation of one step.

        Raises:
            ContentLost: the grace period is over and the running mean is below the limit.
        """
        # Until the fixed memory has enough steps, this is the plain mean over all of them.
        share = max(1 - self.memory, 1 / (self.updates + 1))
        self.mean += share * (correlation - self.mean)
        self.updates += 1
        if self.updates > self.grace_steps and self.mean < self.limit:
            reason = "dark and light are exchanged" if self.mean < 0 else "little of the input tissue is preserved"
            raise ContentLost(
                f"content lost: after {self.updates} adversarial steps the stain before and after translation "
                f"correlates at {self.mean:.2f}, below the limit of {self.limit:.2f} ({reason}). Restart with more "
                f"warm_steps, a larger content or identity weight, or a smaller lr_generator."
            )
