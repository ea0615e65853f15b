"""Training HoVer-Net on outlined nuclei: what it is shown, one step of it, and what a run leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, PartialState
from skimage.measure import label
from torch import Tensor

from ..data import InstanceSample
from ..imaging import STAIN_VECTORS, resample, rgb_from_density, separate_stains
from ..training import fit
from .calibration import choose_thresholds
from .hovernet import HoVerNet, save_hovernet
from .inference import mirrored
from .losses import hover_losses
from .targets import hover_targets

__all__ = ["HoverSettings", "HoverTask", "crops", "train"]

WEIGHTS = "hovernet.safetensors"
CLIP_NORM = 1.0  # of the gradient; the first steps' distance gradients would throw the network far away
CACHED_SAMPLES = 128  # decoded samples kept in memory
STAINS = ("hematoxylin", "eosin", "dab")  # a full basis of colour; on H&E the third is what the other two leave


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
        steps: optimisation steps.
        freeze_encoder_steps: first steps that leave the encoder as it is; of use with an encoder trained before.
        learning_rate: peak of the schedule.
        jitter: strength of the colour augmentation: standard deviation of the logarithm of each stain's amount.
        seed: of the weights and of every crop.
    """

    mode: str = "fast"
    types: tuple[str, ...] = ()
    width: float = 1.0
    mpp: float = 0.25
    map_px: int = 164
    batch_size: int = 8
    steps: int = 20_000
    freeze_encoder_steps: int = 0
    learning_rate: float = 1e-3
    jitter: float = 0.15
    seed: int = 0


class HoverTask:
    """HoVer-Net for the shared loop: AdamW under a one-cycle schedule (Smith & Topin 2018), which short runs need.

    The published recipe is Adam at 1e-4, a tenth of that in the second half of each of its two phases.
    """

    def __init__(self, settings: HoverSettings) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = HoVerNet(settings.mode, len(settings.types) + 1 if settings.types else None, settings.width)
        optimizer = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, settings.steps, cycle_momentum=False
        )
        self.net, self.freeze_encoder_steps = net, settings.freeze_encoder_steps
        self.modules: dict[str, torch.nn.Module] = {"net": net}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"net": optimizer}
        self.schedulers: dict[str, torch.optim.lr_scheduler.LRScheduler] = {"net": schedule}

    def step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """One step on a batch of `crops`; returns every weighted term of the loss, and their sum as "loss"."""
        for part in self.net.encoder():
            part.requires_grad_(self.schedulers["net"].last_epoch >= self.freeze_encoder_steps)
        losses = hover_losses(self.modules["net"].train()(batch["image"]), batch)
        total = torch.stack(list(losses.values())).sum()
        self.optimizers["net"].zero_grad()
        accelerator.backward(total)
        accelerator.clip_grad_norm_(self.modules["net"].parameters(), CLIP_NORM)
        self.optimizers["net"].step()
        self.schedulers["net"].step()
        return {"loss": total.detach(), **{name: loss.detach() for name, loss in losses.items()}}

    def extra_state(self) -> dict[str, Any]:
        """Nothing: the schedule knows the step."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Nothing to take back."""


def train(
    samples: Sequence[InstanceSample],
    settings: HoverSettings,
    folder: str | Path,
    *,
    trained_on: str = "",
    resume: bool = False,
    validate: Callable[[HoVerNet], Mapping[str, float]] | None = None,
    **loop: Any,
) -> pd.DataFrame:
    """Train on outlined nuclei and write `hovernet.safetensors`, read by `load_hovernet`, with its card.

    The card holds the thresholds that `choose_thresholds` finds on these same samples.

    Args:
        samples: images with instances and types, of any scale and size; read when a crop of them is drawn.
        settings: what to train and how.
        folder: receives the weights beside the loop's checkpoint and log.
        trained_on: data and split in words, for the card.
        resume: continue the run in `folder` when there is one; bit-identical to a run without interruption on a CPU.
        validate: scores the network every `validate_every` steps; its numbers join the log.
        loop: more arguments of `histolib.training.fit`, such as `mixed_precision`, `save_every`, `validate_every`,
            `workers` or `progress`.

    Returns:
        one row a step, one column a weighted term of the loss, indexed by step.

    Raises:
        ValueError: there is no sample, one is of a type that the settings do not name, the network has no map of the
            settings' size, or the checkpoint was made by other settings.
    """
    task = HoverTask(settings)
    history = fit(
        task,
        crops(samples, settings),
        steps=settings.steps,
        batch_size=settings.batch_size,
        settings=asdict(settings),
        folder=folder,
        seed=settings.seed,
        resume=resume,
        validate=None if validate is None else lambda step: validate(task.net),
        **loop,
    )
    state = PartialState()
    if state.is_main_process:
        card = {
            "mpp": settings.mpp,
            "types": list(settings.types),
            "thresholds": choose_thresholds(task.net, samples, settings.mpp),
            "trained_on": trained_on,
            "settings": asdict(settings),
        }
        save_hovernet(Path(folder) / WEIGHTS, task.net, card)
    state.wait_for_everyone()
    return history


def crops(samples: Sequence[InstanceSample], settings: HoverSettings) -> Callable[[int], dict[str, Tensor]]:
    """The endless stream of training crops; crop i depends on the settings' seed and i alone.

    The scored square lies inside the sample where that is large enough, so that no label is wasted on the network's
    margins. What is read beyond the sample's border is mirrored, as `predict_maps` does, and so are its labels: a
    nucleus cut by the border and its mirror image look like one nucleus and become one, others become nuclei of their
    own. Background there would teach the network to overlook nuclei that it can see.

    Returns:
        function of i: "image" float (3, H, W) in [0, 1], H = map_px + 2 margins; "np" int64 (map_px, map_px); "hv"
        float (2, map_px, map_px), measured on the whole nucleus; with types "tp" int64 (map_px, map_px).

    Raises:
        ValueError: as `train`; a type without a name when its sample is drawn.
    """
    if not len(samples):
        raise ValueError("train: expected at least one sample, found none")
    with torch.device("meta"):  # for its arithmetic alone
        net = HoVerNet(settings.mode)
    side, margin = net.input_px(settings.map_px), net.margin_px
    if side != settings.map_px + 2 * margin:
        raise ValueError(
            f"map_px: expected a size of {settings.mode!r} such as {side - 2 * margin}, found {settings.map_px}"
        )
    centre = slice(margin, margin + settings.map_px)

    @lru_cache(CACHED_SAMPLES)
    def prepared(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _at_scale(samples[index], settings)

    def draw(index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((settings.seed, index))
        image, instances, types = prepared(int(rng.integers(len(samples))))
        starts = [
            int(rng.integers(min(0, spare), max(0, spare) + 1))
            for spare in np.subtract(instances.shape, settings.map_px)
        ]
        area = np.ix_(*(mirrored(at - margin, side, size) for at, size in zip(starts, instances.shape, strict=True)))
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))

        def turned(array: np.ndarray) -> np.ndarray:
            crop = np.rot90(array[area], turns)
            return np.ascontiguousarray(crop[:, ::-1] if flip else crop)

        nuclei = turned(instances)
        ids = label(nuclei)
        hv = hover_targets(ids)[centre, centre]
        sample = {
            "image": torch.from_numpy(augment(turned(image), settings.jitter, rng)).permute(2, 0, 1),
            "np": torch.from_numpy((nuclei[centre, centre] > 0).astype(np.int64)),
            "hv": torch.from_numpy(hv).permute(2, 0, 1),
        }
        if settings.types:
            sample["tp"] = torch.from_numpy(types[nuclei[centre, centre]])
        return sample

    return draw


def augment(image: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Another lab and another scanner: amounts of stain, exposure, now and then some blur or noise.

    Args:
        image: uint8 (H, W, 3).
        jitter: standard deviation of the logarithm of each stain's amount; half of it goes on each colour channel.
        rng: draws them.

    Returns:
        float32 (H, W, 3) in [0, 1].
    """
    amounts = separate_stains(image, *STAINS) * np.exp(rng.normal(0, jitter, 3)).astype(np.float32)
    density = amounts @ np.stack([STAIN_VECTORS[name] for name in STAINS]).astype(np.float32)
    density = density * np.exp(rng.normal(0, jitter / 2, 3)).astype(np.float32) + np.float32(rng.normal(0, jitter / 8))
    image = rgb_from_density(density)
    blurred, noisy = rng.random(2) < 0.25
    if blurred:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.0))
    pixels = image.astype(np.float32) / 255
    if noisy:
        pixels += rng.uniform(0, 0.03) * rng.standard_normal(pixels.shape, np.float32)
    return pixels.clip(0, 1)


def _at_scale(sample: InstanceSample, settings: HoverSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image and instances at the settings' scale, and the type of every id, 0 for background."""
    if settings.types and sample.types.max(initial=0) > len(settings.types):
        raise ValueError(
            f"{sample.patch.name}: expected types 1 to {len(settings.types)} ({', '.join(settings.types)}), "
            f"found {sample.types.max()}"
        )
    scale = sample.patch.mpp / settings.mpp
    types = np.concatenate([[0], sample.types]).astype(np.int64)
    return resample(sample.patch.image, scale), resample(sample.instances, scale, nearest=True), types
