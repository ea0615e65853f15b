"""Training of the GANs and of the classifiers on the shared loop."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from accelerate import Accelerator, PartialState
from torch import Tensor, nn

from ..io import Provenance
from ..training import fit
from .classifier import Arm, EfficientNet, NarrowNet, augment, drawing, turn
from .crops import Crops
from .gans import FAMILIES, CropDiscriminator, CropGenerator
from .losses import discriminator_loss, generator_loss, gradient_penalty
from .settings import ClassifierSettings, GANSettings

WEIGHTS = "generator.safetensors"
PENALTY = 10.0  # weight of the gradient penalty (Gulrajani et al. 2017)
BETAS = (0.5, 0.999)  # of Adam (Radford et al. 2016)


class GANTask:
    """A generator against a discriminator, as a task of `training.fit`.

    Every step updates the discriminator on a batch of real crops and as many generated crops of the same types; every
    `critic_steps`-th step then updates the generator on the same generated crops.

    Args:
        types: names of the types.
        settings: training settings.
    """

    kept: tuple[str, ...] = ("generator",)

    def __init__(self, types: tuple[str, ...], settings: GANSettings) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.generator = CropGenerator(types, settings.width, settings.latent)
            norm = "spectral" if settings.spectral_norm else ""
            discriminator = CropDiscriminator(len(types), settings.family, settings.width, norm)
        for network in (self.generator, discriminator):
            network.to(memory_format=torch.channels_last)  # 30 % faster on a CPU
        self.settings, self.family, self.done = settings, FAMILIES[settings.family], 0
        self.modules: dict[str, nn.Module] = {"generator": self.generator, "discriminator": discriminator}
        rates = {"generator": settings.lr_generator, "discriminator": settings.lr_discriminator}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            n: torch.optim.Adam(self.modules[n].parameters(), lr=rate, betas=BETAS) for n, rate in rates.items()
        }
        self.schedulers: dict[str, torch.optim.lr_scheduler.LRScheduler] = {}

    def step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """One step on {"image", "label"}; returns "discriminator", for some families "penalty" and "class", and
        "generator" in the steps that update it.
        """
        real, labels = batch["image"].contiguous(memory_format=torch.channels_last), batch["label"]
        generator, discriminator = self.modules["generator"].train(), self.modules["discriminator"].train()
        loss, losses = self.family.loss, dict[str, Tensor]()

        fake = generator(torch.randn(len(labels), self.settings.latent, device=labels.device), labels)
        (real_score, real_type), (fake_score, fake_type) = (discriminator(x, labels) for x in (real, fake.detach()))
        losses["discriminator"] = discriminator_loss(loss, real_score, fake_score, self.settings.label_smoothing)
        if loss == "wasserstein":
            penalty = gradient_penalty(lambda images: discriminator(images, labels)[0], real, fake)
            losses["penalty"] = PENALTY * penalty
        if real_type is not None:
            losses["class"] = F.cross_entropy(real_type, labels) + F.cross_entropy(fake_type, labels)
        self._update("discriminator", torch.stack(list(losses.values())).sum(), accelerator)

        self.done += 1
        if self.done % self.family.critic_steps == 0:
            score, kind = discriminator(fake, labels)
            losses["generator"] = generator_loss(loss, score)
            wrong = 0.0 if kind is None else F.cross_entropy(kind, labels)
            self._update("generator", losses["generator"] + wrong, accelerator)
        return {name: value.detach() for name, value in losses.items()}

    def _update(self, name: str, loss: Tensor, accelerator: Accelerator) -> None:
        self.optimizers[name].zero_grad()
        accelerator.backward(loss)
        self.optimizers[name].step()

    def extra_state(self) -> dict[str, Any]:
        """Number of steps, which decides when the generator is updated."""
        return {"done": self.done}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the number of steps."""
        self.done = state["done"]


def train_gan(
    crops: Crops, settings: GANSettings, folder: str | Path, *, provenance: Provenance = Provenance(),  # noqa: B008
    resume: bool = False, **loop: Any,
) -> pd.DataFrame:  # fmt: skip
    """Train a GAN and write `generator.safetensors`, which `CropGenerator.load` reads.

    Every type is drawn equally often, in one of its eight orientations.

    Args:
        crops: real crops with every type.
        settings: training settings.
        folder: receives the weights, the checkpoint and the log.
        provenance: training data and groups, for the weights file.
        resume: continue the run in `folder` if there is one; bit-identical to an uninterrupted run on a CPU.
        loop: further keyword arguments of `histolib.training.fit`.

    Returns:
        One row per step, one column per loss.

    Raises:
        ValueError: a type has no crop, label smoothing is set for a loss without targets, or the checkpoint has other
            settings.
    """
    crops.check_complete("train_gan")
    task, made_by = GANTask(crops.types, settings), {**asdict(settings), "types": list(crops.types)}
    draw = drawing(crops, max(1, settings.steps * settings.batch_size), settings.seed, balanced=True, change=turn)
    history = fit(
        task, draw, settings=made_by, folder=folder, steps=settings.steps, seed=settings.seed,
        batch_size=settings.batch_size, ema=settings.ema, resume=resume, **loop,
    )  # fmt: skip
    state = PartialState()
    if state.is_main_process:
        task.generator.provenance = replace(provenance, details={**provenance.details, "settings": made_by})
        task.generator.eval().save(Path(folder) / WEIGHTS)
    state.wait_for_everyone()
    return history


class ClassifierTask:
    """A classifier with cross-entropy, as a task of `training.fit`.

    Args:
        num_types: number of types.
        settings: training settings.
    """

    kept: tuple[str, ...] = ("net",)

    def __init__(self, num_types: int, settings: ClassifierSettings) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            narrow = settings.network == "narrow"
            self.net = NarrowNet(num_types, settings.width) if narrow else EfficientNet(num_types)
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=settings.learning_rate, weight_decay=1e-3)
        rates = torch.optim.lr_scheduler
        schedule = rates.OneCycleLR(optimizer, settings.learning_rate, settings.steps, cycle_momentum=False)
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"net": optimizer}
        self.schedulers: dict[str, rates.LRScheduler] = {"net": schedule}

    def step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """One step on {"image", "label"}; returns "loss"."""
        loss = F.cross_entropy(self.modules["net"].train()(batch["image"]), batch["label"])
        self.optimizers["net"].zero_grad()
        accelerator.backward(loss)
        self.optimizers["net"].step()
        self.schedulers["net"].step()
        return {"loss": loss.detach()}

    def extra_state(self) -> dict[str, Any]:
        """Nothing beyond network, optimiser and schedule."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restore nothing."""


def train_classifier(
    crops: Crops, arm: Arm, settings: ClassifierSettings, folder: str | Path, *, resume: bool = False, **loop: Any
) -> nn.Module:
    """Train a classifier on the training set of an arm; checkpoint and log stay in `folder`.

    Args:
        crops: result of `classifier.training_set`.
        arm: decides on balance and augmentation.
        settings: training settings.
        folder: receives the checkpoint and the log.
        resume: continue the run in `folder` if there is one; bit-identical to an uninterrupted run on a CPU.
        loop: further keyword arguments of `histolib.training.fit`.

    Returns:
        The trained network in evaluation mode, on the CPU.

    Raises:
        ValueError: a type has no crop, or the checkpoint has other settings.
    """
    crops.check_complete("train_classifier")
    task, draws = ClassifierTask(len(crops.types), settings), settings.steps * settings.batch_size
    draw = drawing(crops, draws, settings.seed, arm.balanced, augment if arm.augmented else None)
    made_by = {**asdict(settings), **asdict(arm), "types": list(crops.types), "crops": crops.counts.tolist()}
    fit(
        task, draw, settings=made_by, folder=folder, steps=settings.steps,
        batch_size=settings.batch_size, seed=settings.seed, ema=settings.ema, resume=resume, **loop,
    )  # fmt: skip
    return task.net.eval().cpu()
