"""What decides the outcome of a training of HoVer-Net."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SCHEDULES", "HoverSettings"]

SCHEDULES = ("one-cycle", "published")


@dataclass(frozen=True, slots=True)
class HoverSettings:
    """Everything that decides what a training run ends in.

    Attributes:
        mode: "fast" or "original".
        types: names of the types 1, 2, ..., without the background; empty trains no type decoder.
        width: factor on every number of channels.
        mpp: microns per pixel that the network sees.
        map_px: side of the square that a crop is scored on; the image read is larger by the network's margins. The
            published sizes are 164 (fast) and 80 (original).
        batch_size: crops a step.
        steps: optimisation steps of both phases.
        freeze_encoder_steps: length of the first phase, which trains the decoders alone; of use with an encoder that
            was trained before.
        frozen_batch_size: crops a step of that phase, which keeps less in memory (published: 16, then 4); 0 is
            `batch_size`.
        schedule: "one-cycle": AdamW, the rate rises and falls once (Smith & Topin 2018, arXiv:1708.07120), gradients
            are clipped; what short runs need. "published": Adam begun anew in each phase, a tenth of the rate in the
            second half of each (Graham et al. 2019, section 4.4, with a rate of 1e-4).
        learning_rate: peak of the schedule.
        affine: half width of the random zoom, see `augment`.
        jitter: strength of the colour augmentation: standard deviation of the logarithm of each stain's amount.
        painted: share of the crops that are shown as nuclear IHC, see `paint_ihc`.
        recoloured: share of the crops that are shown in one random colour scale of their density, see
            `recolour_by_density`; painted and recoloured are together at most 1.
        ema: memory of an exponential mean of the weights, which is then what is validated and saved; 0 is off.
        validate_every: steps between looks at the validation samples; 0 looks at the end alone.
        patience: steps without a better validation score after which the run ends early; 0 goes to the end.
        seed: of the weights and of every crop.

    Raises:
        ValueError: the schedule is unknown, or the shares of crops in another stain are none.
    """

    mode: str = "fast"
    types: tuple[str, ...] = ()
    width: float = 1.0
    mpp: float = 0.25
    map_px: int = 164
    batch_size: int = 8
    steps: int = 20_000
    freeze_encoder_steps: int = 0
    frozen_batch_size: int = 0
    schedule: str = "one-cycle"
    learning_rate: float = 1e-3
    affine: float = 0.2
    jitter: float = 0.15
    painted: float = 0.0
    recoloured: float = 0.0
    ema: float = 0.0
    validate_every: int = 0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}, found {self.schedule!r}")
        if not (min(self.painted, self.recoloured) >= 0 and self.painted + self.recoloured <= 1):
            raise ValueError(
                "painted, recoloured: expected shares of the crops, together at most 1, found "
                f"{self.painted:g} and {self.recoloured:g}"
            )

    def batch_at(self, step: int) -> int:
        """Crops of the step after so many."""
        return self.frozen_batch_size or self.batch_size if step < self.freeze_encoder_steps else self.batch_size

    def rate(self, step: int) -> float:
        """The published schedule: the share of the learning rate at a step."""
        first = step < self.freeze_encoder_steps
        start, end = (0, self.freeze_encoder_steps) if first else (self.freeze_encoder_steps, self.steps)
        return 1.0 if 2 * (step - start) < end - start else 0.1
