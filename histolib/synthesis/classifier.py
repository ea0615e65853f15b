"""Classifiers of nucleus crops, and the training sets ("arms") that are compared."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import RandomSampler, Sampler, WeightedRandomSampler

from .crops import Crops, check_size, to_tensor

logger = logging.getLogger(__name__)

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation of the training images
EFFICIENTNET_PX = 96  # at 32 px, five halvings would leave one pixel
Synthesise = Callable[[np.ndarray], Crops]
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True, slots=True)
class Arm:
    """How the training set of a classifier is made.

    Attributes:
        balanced: every type is drawn equally often (`WeightedRandomSampler`).
        augmented: crops are changed by `augment`.
        synthetic: "" none; "added" one synthetic crop for each real one, of the same type; "balanced" as many as each
            type lacks to reach the largest; "alone" no real crop, as many of each type as the largest has.
    """

    balanced: bool = False
    augmented: bool = False
    synthetic: str = ""


ARMS = {
    "plain": Arm(),
    "sampler": Arm(balanced=True),
    "augmentation": Arm(augmented=True),
    "sampler and augmentation": Arm(balanced=True, augmented=True),
    "real plus synthetic": Arm(synthetic="added"),
    "balanced by synthetic": Arm(synthetic="balanced"),
    "synthetic alone": Arm(synthetic="alone"),
}


def training_set(real: Crops, arm: Arm, synthesise: Synthesise | None = None) -> Crops:
    """The crops that an arm trains on.

    Args:
        real: annotated crops.
        arm: what to add.
        synthesise: labels (K,) to synthetic crops; needed by arms with synthetic crops.

    Raises:
        ValueError: a type has no real crop, or the arm needs `synthesise`.
    """
    real.check_complete("training_set")
    if not arm.synthetic:
        return real
    if synthesise is None:
        raise ValueError(f"training_set: expected a generator for {arm.synthetic!r} synthetic crops, found none")
    most, every = real.counts.max(), np.arange(len(real.types))
    wanted = {"added": real.counts, "balanced": most - real.counts, "alone": np.full(len(every), most)}
    made = synthesise(np.repeat(every, wanted[arm.synthetic]))
    return made if arm.synthetic == "alone" else real.joined(made)


def drawing(
    crops: Crops, draws: int, seed: int, balanced: bool = False, change: Change | None = None
) -> Callable[[int], dict[str, Tensor]]:
    """Sample i of an endless stream: {"image": (3, 32, 32) in [-1, 1], "label": ()}; depends on seed and i alone.

    Args:
        crops: the training set.
        draws: length of the random order, after which it repeats; at least 1.
        seed: random seed.
        balanced: draw every type equally often, otherwise every crop.
        change: changes an image with a random generator, such as `augment` or `turn`.
    """
    chance = torch.Generator().manual_seed(seed)
    sampler: Sampler[int]
    if balanced:
        weights = (1 / np.maximum(crops.counts, 1))[crops.labels]
        sampler = WeightedRandomSampler(weights.tolist(), draws, generator=chance)
    else:
        sampler = RandomSampler(crops, replacement=True, num_samples=draws, generator=chance)
    order = list(sampler)

    def draw(index: int) -> dict[str, Tensor]:
        chosen = order[index % draws]
        image = crops.images[chosen]
        if change is not None:
            image = change(image, np.random.default_rng((seed, index)))
        return {"image": to_tensor(image[None])[0], "label": torch.tensor(crops.labels[chosen])}

    return draw


def turn(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of the eight orientations of an image (H, H, 3), at random."""
    turns, mirrored = divmod(int(rng.integers(8)), 2)
    return np.rot90(image[:, ::-1] if mirrored else image, turns)


def augment(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard augmentation of a crop by albumentations: turns, mirrors, zoom, shift, colour and blur.

    Args:
        image: uint8 (H, W, 3).
        rng: source of all random numbers.
    """
    _pipeline().set_random_seed(int(rng.integers(2**32)))
    return _pipeline()(image=image)["image"]


@lru_cache(maxsize=1)
def _pipeline() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise the import contacts the network
    import albumentations as A

    moved = A.Affine((0.9, 1.1), (-0.05, 0.05), rotate=(-45, 45), border_mode=cv2.BORDER_REFLECT_101, p=0.3)
    colour = A.HueSaturationValue(8, 20, 20, p=0.5), A.RandomBrightnessContrast(p=0.5)
    blur = A.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.0), p=0.2)
    return A.Compose([A.SquareSymmetry(p=1), moved, *colour, blur])


class NarrowNet(nn.Module):
    """Three convolutions with stride 2, then the mean over positions: small enough for a CPU.

    Args:
        num_types: number of types.
        width: channels at 16 x 16 px; 2x at 8 px, 4x at 4 px.
    """

    def __init__(self, num_types: int, width: int = 16) -> None:
        super().__init__()
        sizes, layers = (3, width, 2 * width, 4 * width), list[nn.Module]()
        for before, after in pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(4 * width, num_types)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, 32, 32) in [-1, 1] to logits (N, num_types); ValueError for another size."""
        check_size(images)
        return self.head(self.layers(images).mean((2, 3)))


class EfficientNet(nn.Module):
    """EfficientNet-B0 of torchvision (Tan & Le 2019, arXiv:1905.11946) on enlarged crops.

    Args:
        num_types: number of types.
        pretrained: start from ImageNet weights; without them in torch's cache and without a network, the start is
            random, which the log says.

    Attributes:
        imagenet: whether the weights were found.
    """

    def __init__(self, num_types: int, pretrained: bool = True) -> None:
        super().__init__()
        from torchvision.models import EfficientNet_B0_Weights, efficientnet_b0

        self.imagenet, weights = pretrained, EfficientNet_B0_Weights.IMAGENET1K_V1 if pretrained else None
        try:
            self.net = efficientnet_b0(weights=weights)
        except OSError as error:  # includes URLError
            logger.warning("no ImageNet weights (%s): EfficientNet-B0 starts from random weights", error)
            self.net, self.imagenet = efficientnet_b0(), False
        self.net.classifier[1] = nn.Linear(self.net.classifier[1].in_features, num_types)
        self.mean, self.deviation = (nn.Buffer(torch.tensor(x).view(1, 3, 1, 1), persistent=False) for x in IMAGENET)

    def forward(self, images: Tensor) -> Tensor:
        """As `NarrowNet`."""
        check_size(images)
        enlarged = F.interpolate(images, size=(EFFICIENTNET_PX,) * 2, mode="bilinear")
        return self.net(((enlarged + 1) / 2 - self.mean) / self.deviation)


def classify(net: nn.Module, crops: Crops, batch_size: int = 256) -> np.ndarray:
    """Probability of each type, float32 (K, C); the network is used in evaluation mode."""
    device, parts = next(net.parameters()).device, [np.zeros((0, len(crops.types)), np.float32)]
    net.eval()
    with torch.inference_mode():
        for first in range(0, len(crops), batch_size):
            images = to_tensor(crops.images[first : first + batch_size]).to(device)
            parts.append(net(images).softmax(1).cpu().numpy())
    return np.concatenate(parts)
