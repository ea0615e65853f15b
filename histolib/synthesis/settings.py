"""Settings of GANs and classifiers by profile."""

from dataclasses import dataclass, replace
from typing import Annotated

from ..config import Count, Decay, Share, Size, check_ranges

NETWORKS = ("narrow", "efficientnet_b0")


@dataclass(frozen=True, slots=True)
class GANSettings:
    """Settings of one GAN training; `GANS` holds complete sets.

    Raises:
        ValueError: a setting is out of range; the message names it.
    """

    family: str  # one of `gans.FAMILIES`
    width: Size  # channels of both networks at 16 px
    latent: Size  # length of the noise vector
    batch_size: Size  # crops per step, every type equally often
    steps: Count  # of the discriminator
    lr_generator: Share  # learning rates of Adam
    lr_discriminator: Share
    spectral_norm: bool  # in the discriminator, instead of the normalisation of the family
    label_smoothing: Annotated[float, (0, 0.5)]  # cross-entropy only: the target of real crops is 1 minus this value
    ema: Decay  # exponential moving average of the generator; 0 disables it
    seed: Count  # random seed of weights, crops and noise

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """Settings of one classifier training; `CLASSIFIERS` holds complete sets.

    Raises:
        ValueError: a setting is out of range or unknown; the message names it.
    """

    network: str  # narrow, or efficientnet_b0 of torchvision with ImageNet weights
    width: Size  # channels of the narrow network
    batch_size: Size  # crops per step
    steps: Annotated[int, (1, float("inf"))]  # of AdamW, one-cycle schedule
    learning_rate: Share  # peak of the schedule
    ema: Decay  # exponential moving average of the weights; 0 disables it
    seed: Count  # random seed of weights and crops

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network: expected one of {', '.join(NETWORKS)}, found {self.network!r}")
        check_ranges(self)


_QUICK_GAN = GANSettings(
    family="sngan", width=16, latent=32, batch_size=32, steps=300, lr_generator=5e-4, lr_discriminator=1e-3,
    spectral_norm=False, label_smoothing=0.0, ema=0.99, seed=0,
)  # fmt: skip
_QUICK_CLASSIFIER = ClassifierSettings(
    network="narrow", width=16, batch_size=48, steps=100, learning_rate=1e-2, ema=0.0, seed=0
)
GANS = {
    "quick": _QUICK_GAN,
    "full": replace(
        _QUICK_GAN,
        width=64,
        latent=64,
        batch_size=64,
        steps=30_000,
        lr_generator=1e-4,
        lr_discriminator=4e-4,
        ema=0.999,
    ),
}
CLASSIFIERS = {
    "quick": _QUICK_CLASSIFIER,
    "full": replace(_QUICK_CLASSIFIER, network="efficientnet_b0", batch_size=64, steps=3000, learning_rate=1e-3),
}
