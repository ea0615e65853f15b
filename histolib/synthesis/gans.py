"""Class-conditional GANs for nucleus crops: one generator and one discriminator, which four published GANs share."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..io import Provenance, load_network, save_weights
from .crops import CROP_PX, Crops, check_size, to_images

EMBEDDING = 16  # numbers that describe a type to the generator
SLOPE = 0.2  # of the leaky ReLU (Radford et al. 2016)


@dataclass(frozen=True, slots=True)
class Family:
    """What distinguishes one GAN from another.

    Attributes:
        loss: cross-entropy, wasserstein or hinge.
        condition: how the discriminator learns the type: "input" (planes beside the image), "auxiliary" (a second
            output that classifies) or "projection" (inner product of features and an embedding).
        norm: batch, layer or spectral, in the discriminator.
        critic_steps: discriminator steps for each generator step.
    """

    loss: str
    condition: str
    norm: str
    critic_steps: int = 1


# DCGAN and WGAN were published without types. Such a generator cannot be asked for a rare nucleus, so here their
# discriminators see the type as further input planes (Mirza & Osindero 2014, arXiv:1411.1784).
FAMILIES = {
    "dcgan": Family("cross-entropy", "input", "batch"),  # Radford et al. 2016, arXiv:1511.06434
    "acgan": Family("cross-entropy", "auxiliary", "batch"),  # Odena et al. 2017, arXiv:1610.09585
    "wgan": Family("wasserstein", "input", "layer", critic_steps=3),  # Gulrajani et al. 2017, arXiv:1704.00028
    "sngan": Family("hinge", "projection", "spectral"),  # Miyato et al. 2018, arXiv:1802.05957 and 1802.05637
}


class CropGenerator(nn.Module):
    """Noise and a type to a crop, by transposed convolutions (Radford et al. 2016).

    Args:
        types: names of the types.
        width: channels at 16 x 16 px; 2x at 8 px, 4x at 4 px.
        latent: length of the noise vector.

    Attributes:
        provenance: training data and settings.

    >>> CropGenerator(("a", "b"), width=4, latent=8)(torch.randn(3, 8), torch.tensor([0, 1, 1])).shape
    torch.Size([3, 3, 32, 32])
    """

    def __init__(self, types: Sequence[str], width: int = 64, latent: int = 64) -> None:
        super().__init__()
        self.types, self.latent, self.provenance = tuple(types), latent, Provenance()
        self.config = {"types": list(types), "width": width, "latent": latent}
        self.embedding = nn.Embedding(len(types), EMBEDDING)
        sizes = latent + EMBEDDING, 4 * width, 2 * width, width
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(sizes)):
            enlarge = nn.ConvTranspose2d(before, after, 4, *((1, 0) if i == 0 else (2, 1)), bias=False)
            layers += [enlarge, nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh())
        self.apply(_initialise)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Noise (N, latent) and labels (N,) to images (N, 3, 32, 32) in [-1, 1]."""
        return self.layers(torch.cat([noise, self.embedding(labels)], dim=1)[..., None, None])

    @torch.inference_mode()
    def generate(self, labels: np.ndarray, seed: int = 0, batch_size: int = 256) -> Crops:
        """One synthetic crop for each label (K,), on the CPU's random numbers; the generator is left unchanged."""
        device, training = next(self.parameters()).device, self.training
        chance, parts = torch.Generator().manual_seed(seed), [np.zeros((0, CROP_PX, CROP_PX, 3), np.uint8)]
        self.eval()
        for some in torch.as_tensor(labels, dtype=torch.int64).split(batch_size):
            noise = torch.randn(len(some), self.latent, generator=chance)
            parts.append(to_images(self(noise.to(device), some.to(device))))
        self.train(training)
        groups = np.full(len(labels), "synthetic")
        return Crops(np.concatenate(parts), np.asarray(labels, np.int64), groups, self.types)

    def save(self, path: str | Path) -> None:
        """Write weights and metadata to one safetensors file."""
        save_weights(path, self.state_dict(), self.provenance.card() | {"config": self.config})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a generator in evaluation mode.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is damaged or contains other weights.
        """
        generator, card = load_network(path, "the weights of a crop generator", cls)
        generator.provenance = Provenance.from_card(card)
        return generator.eval()


class CropDiscriminator(nn.Module):
    """Score of a crop and its type, high for real; with an auxiliary classifier also the logits of the type.

    Args:
        num_types: number of types.
        family: one of `FAMILIES`.
        width: channels at 16 x 16 px; 2x at 8 px, 4x at 4 px.
        norm: batch, layer or spectral; default is that of the family.

    Raises:
        ValueError: the family is unknown.
    """

    def __init__(self, num_types: int, family: str, width: int = 64, norm: str = "") -> None:
        super().__init__()
        if family not in FAMILIES:
            raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, found {family!r}")
        self.family, self.num_types = FAMILIES[family], num_types
        norm, condition = norm or self.family.norm, self.family.condition

        sizes = 3 + num_types * (condition == "input"), width, 2 * width, 4 * width
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(sizes)):
            layers.append(nn.Conv2d(before, after, 4, 2, 1))
            if i and norm == "batch":  # not on the first layer (Radford et al. 2016)
                layers.append(nn.BatchNorm2d(after))
            if i and norm == "layer":  # a batch norm would mix the crops of a penalty (Gulrajani et al. 2017)
                layers.append(nn.GroupNorm(1, after))
            layers.append(nn.LeakyReLU(SLOPE))
        self.layers = nn.Sequential(*layers)
        self.score = nn.Linear(4 * width * 16, 1)
        self.classify = nn.Linear(4 * width * 16, num_types) if condition == "auxiliary" else None
        self.projection = nn.Embedding(num_types, 4 * width * 16) if condition == "projection" else None
        self.apply(_initialise)
        for layer in list(self.modules()) if norm == "spectral" else ():
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
                spectral_norm(layer)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (N, 3, 32, 32) in [-1, 1] and labels (N,) to scores (N,) and type logits (N, C) or None.

        Raises:
            ValueError: the images have another size.
        """
        check_size(images)
        if self.family.condition == "input":
            planes = F.one_hot(labels, self.num_types)[..., None, None].expand(-1, -1, CROP_PX, CROP_PX)
            images = torch.cat([images, planes.to(images.dtype)], dim=1)
        features = self.layers(images).flatten(1)  # (N, 64 width)
        scores = self.score(features)[:, 0]
        if self.projection is not None:
            scores = scores + (self.projection(labels) * features).sum(1)
        return scores, None if self.classify is None else self.classify(features)


def _initialise(module: nn.Module) -> None:
    """Normal weights with standard deviation 0.02 (Radford et al. 2016)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
