"""What tells one training of a CycleGAN from another."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TranslationSettings"]

STAGES = ("encoder", "blocks", "decoder", "strided")


@dataclass(frozen=True, slots=True)
class TranslationSettings:
    """Everything that tells one training of a CycleGAN from another; the defaults are the published ones.

    Attributes:
        mpp, patch_px: scale of the images and side of the square crops that it is trained on.
        marker: what the brown of the IHC stains, "nuclear", "membrane" or "cytoplasm".
        width, blocks: size of the generators; discriminator_width, spectral_norm: of the discriminators.
        on_od: generators paint on top of the `od` recolouring and begin with it, in place of a warm start.
        batch_size: crops of each stain a step.
        warm_steps: steps of imitating the `od` recolouring in both directions, before the adversarial ones.
        steps: adversarial steps.
        decay_from: share of the adversarial steps after which the learning rates fall linearly to zero.
        cycle, identity, content: weights of these losses beside the adversarial one; 0 computes nothing of it.
        agreement: weight of the loss that a caller brings along (see `CycleGAN`); 0 computes nothing of it.
        label_smoothing: discriminators aim at 1 minus this on real images.
        lr_generator, lr_discriminator: learning rates of Adam.
        pool: past translations that each discriminator is shown again.
        ema: memory of an exponential mean of the generators' weights, which is then what is validated and saved; 0 is
            off.
        freeze: stages that keep their weights, for fine-tuning: "encoder", "blocks", "decoder" of both generators,
            "strided", the layers of both discriminators below the last two (Mo et al. 2020, arXiv:2002.10964).
        content_limit, grace_steps: stop with `ContentLost` where the correlation of the amounts of stain lies below
            the limit after this many adversarial steps; a limit of -1 never stops.
        seed: of the initial weights, the crops and the pools.
        save_every: steps between checkpoints.

    Raises:
        ValueError: no such stage, nothing left to train in the generators, or `decay_from` is no share.
    """

    mpp: float = 0.5
    patch_px: int = 256
    marker: str = "nuclear"
    width: int = 64
    blocks: int = 9
    on_od: bool = False
    discriminator_width: int = 64
    spectral_norm: bool = False
    batch_size: int = 1
    warm_steps: int = 250
    steps: int = 20_000
    decay_from: float = 0.5
    cycle: float = 10.0
    identity: float = 5.0
    content: float = 3.0
    agreement: float = 0.0
    label_smoothing: float = 0.0
    lr_generator: float = 2e-4
    lr_discriminator: float = 2e-4
    pool: int = 50
    ema: float = 0.0
    freeze: tuple[str, ...] = ()
    content_limit: float = 0.3
    grace_steps: int = 100
    seed: int = 0
    save_every: int = 500

    def __post_init__(self) -> None:
        if not isinstance(self.freeze, tuple) or not set(self.freeze) <= set(STAGES):
            raise ValueError(f"freeze: expected stages out of {', '.join(STAGES)}, found {self.freeze!r}")
        if {"encoder", "blocks", "decoder"} <= set(self.freeze):
            raise ValueError("freeze: expected a stage of the generators to train, found all of them frozen")
        if not 0 <= self.decay_from <= 1:
            raise ValueError(f"decay_from: expected a share of the steps in [0, 1], found {self.decay_from}")
