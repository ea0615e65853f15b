"""Training HoVer-Net on outlined nuclei: one step of it, and what a run leaves behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator, PartialState
from torch import Tensor

from ..data import InstanceSample
from ..training import fit
from .calibration import choose_thresholds
from .crops import crops
from .encoder import load_encoder
from .evaluation import evaluate_nuclei
from .hovernet import HoVerNet
from .losses import hover_losses
from .painting import paint_samples
from .postprocess import published_thresholds
from .settings import HoverSettings
from .weights import load_hovernet, save_hovernet

__all__ = ["HoverTask", "train"]

WEIGHTS = "hovernet.safetensors"
CLIP_NORM = 1.0  # of the gradient; the first steps' distance gradients would throw the network far away
MONITOR = "val_pq"


class HoverTask:
    """HoVer-Net for the shared loop.

    Args:
        settings: what to train and how.
        encoder: file of ImageNet weights to begin with, as `load_encoder` takes it.
        start: file of a network of the same size to begin with, as `load_hovernet` takes it; its type decoder is left
            where it tells other numbers of types.

    Raises:
        ValueError: the network of `start` is of another size.
    """

    def __init__(
        self, settings: HoverSettings, encoder: str | Path | None = None, start: str | Path | None = None
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = HoVerNet(settings.mode, len(settings.types) + 1 if settings.types else None, settings.width)
        if encoder is not None:
            load_encoder(net, encoder)
        if start is not None:
            _start_from(net, start)
        net = net.to(memory_format=torch.channels_last)  # a quarter faster on a CPU, in bf16 too
        self.net, self.settings, self.steps_done = net, settings, 0
        self.average = deepcopy(net).requires_grad_(False) if settings.ema else None
        optimizer: torch.optim.Optimizer
        schedule: torch.optim.lr_scheduler.LRScheduler
        if settings.schedule == "published":
            optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, settings.rate)
        else:
            optimizer = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, settings.learning_rate, settings.steps, cycle_momentum=False
            )
        self.modules: dict[str, torch.nn.Module] = {"net": net}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"net": optimizer}
        self.schedulers: dict[str, torch.optim.lr_scheduler.LRScheduler] = {"net": schedule}

    def step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """One step on a batch of `crops`; returns every weighted term of the loss, and their sum as "loss"."""
        done, published = self.schedulers["net"].last_epoch, self.settings.schedule == "published"
        for part in self.net.encoder():
            part.requires_grad_(done >= self.settings.freeze_encoder_steps)
        if published and done == self.settings.freeze_encoder_steps:
            self.optimizers["net"].state.clear()
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        losses = hover_losses(self.modules["net"].train()(images), batch)
        total = torch.stack(list(losses.values())).sum()
        self.optimizers["net"].zero_grad()
        accelerator.backward(total)
        if not published:
            accelerator.clip_grad_norm_(self.modules["net"].parameters(), CLIP_NORM)
        self.optimizers["net"].step()
        self.schedulers["net"].step()
        if self.average is not None:
            average_weights(self.average, self.net, self.settings.ema, self.steps_done)
        self.steps_done += 1
        return {"loss": total.detach(), **{name: loss.detach() for name, loss in losses.items()}}

    def kept(self) -> dict[str, HoVerNet]:
        """The network to validate and to keep: the averaged one where `ema` is on."""
        return {"net": self.net if self.average is None else self.average}

    def extra_state(self) -> dict[str, Any]:
        """What a checkpoint holds beside network, optimiser and schedule: progress and the average."""
        average = None if self.average is None else self.average.state_dict()
        return {"steps_done": self.steps_done, "average": average}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        self.steps_done = state["steps_done"]
        if self.average is not None:
            self.average.load_state_dict(state["average"])


def _start_from(net: HoVerNet, path: str | Path) -> None:
    earlier, _ = load_hovernet(path)
    if (earlier.mode, earlier.width) != (net.mode, net.width):
        raise ValueError(f"{path}: expected a HoVer-Net of {net.config}, found one of {earlier.config}")
    own = net.state_dict()
    same = {name: value for name, value in earlier.state_dict().items() if own.get(name, value).shape == value.shape}
    if earlier.num_types != net.num_types:
        same = {name: value for name, value in same.items() if not name.startswith("decoder.tp.")}
    net.load_state_dict({**own, **same})


def train(
    samples: Sequence[InstanceSample],
    settings: HoverSettings,
    folder: str | Path,
    *,
    validation: Sequence[InstanceSample] = (),
    groups: Sequence[str] | None = None,
    trained_on: str = "",
    encoder: str | Path | None = None,
    start: str | Path | None = None,
    resume: bool = False,
    **loop: Any,
) -> pd.DataFrame:
    """Train on outlined nuclei and write `hovernet.safetensors`, read by `load_hovernet`, with its card.

    Args:
        samples: images with instances and types, of any scale and size; read when a crop of them is drawn.
        settings: what to train and how.
        folder: receives the weights beside the loop's checkpoint and log.
        validation: samples of groups that `samples` does not have. With them the log gets `val_f1`, `val_dice` and
            `val_pq` (published thresholds), and the weights kept are those of the best `val_pq`. The card's thresholds
            are chosen on them, else on the training samples. Where most crops are painted as IHC they are too.
        groups: which groups (fold, image) `samples` and `validation` hold, for the card: scores on them are leaked.
        trained_on: data and split in words, for the card.
        encoder: file of ImageNet weights to begin with, as `load_encoder` takes it.
        start: file of an earlier network to fine-tune, as `load_hovernet` takes it.
        resume: continue the run in `folder` when there is one; bit-identical to a run without interruption on a CPU.
        loop: more arguments of `histolib.training.fit`, such as `mixed_precision`, `save_every`, `workers` or
            `progress`.

    Returns:
        one row a step, one column a weighted term of the loss, indexed by step.

    Raises:
        FileNotFoundError, ValueError: there is no sample, one is of a type that the settings do not name, the network
            has no map of the settings' size, encoder or start do not fit, or the checkpoint was made by other settings
            or another start.
    """
    draw = crops(samples, settings)
    if settings.painted > 0.5:
        validation = paint_samples(validation, settings.seed)
    task = HoverTask(settings, encoder, start)
    made_by = asdict(settings)
    if start is not None:
        made_by["start"] = sha256(Path(start).read_bytes()).hexdigest()[:12]
    autocast = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(loop.get("mixed_precision", "no"))

    def validate(step: int) -> dict[str, float]:
        card = {"mpp": settings.mpp, "thresholds": published_thresholds(settings.mpp), "types": []}
        scores = evaluate_nuclei(task.kept()["net"], card, validation, autocast=autocast)
        numbers = {"f1": scores["detection"]["f1"], **{name: scores["segmentation"][name] for name in ("dice", "pq")}}
        return {f"val_{name}": math.nan if value is None else value for name, value in numbers.items()}

    history = fit(
        task,
        draw,
        steps=settings.steps,
        batch_size=settings.batch_at,
        settings=made_by,
        folder=folder,
        seed=settings.seed,
        resume=resume,
        validate=validate if len(validation) else None,
        keep=task.kept,
        validate_every=settings.validate_every or settings.steps,
        monitor=MONITOR if len(validation) else "",
        patience=settings.patience,
        **loop,
    )
    state = PartialState()
    if state.is_main_process:
        card = {
            "mpp": settings.mpp,
            "types": list(settings.types),
            "thresholds": choose_thresholds(task.kept()["net"], validation or samples, settings.mpp),
            "trained_on": trained_on,
            "groups": None if groups is None else sorted(set(groups)),
            "start": "" if start is None else f"{Path(start).resolve().parent.name} {made_by['start']}",
            "encoder": "" if encoder is None else Path(encoder).name,
            "settings": asdict(settings),
        }
        save_hovernet(Path(folder) / WEIGHTS, task.kept()["net"], card)
    state.wait_for_everyone()
    return history
