"""Training of HoVer-Net on outlined nuclei."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator, PartialState
from torch import Tensor

from ..config import HoverNetSettings
from ..data.samples import InstanceSample
from ..io import Provenance, file_digest
from ..training import fit
from .augmentation import paint_samples
from .evaluation import choose_thresholds, evaluate_nuclei
from .hovernet import HoVerNet
from .losses import hover_losses
from .sampling import mixed_crops, training_crops

WEIGHTS = "hovernet.safetensors"
CLIP_NORM = 1.0  # gradient norm; the distance gradients of the first steps would otherwise make training diverge


class HoverTask:
    """HoVer-Net as a task of `training.fit`.

    Args:
        settings: training settings.
        start: weights to fine-tune; its type decoder is ignored if it has another number of types.

    Raises:
        ValueError: the network in `start` has another mode or width.
    """

    kept: tuple[str, ...] = ("net",)

    def __init__(self, settings: HoverNetSettings, start: str | Path | None = None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = HoVerNet("fast", len(settings.types) + 1 if settings.types else None, settings.width)
        net.mpp, net.types = settings.mpp, settings.types
        if start is not None:
            _copy_weights(start, net)
        net = net.to(memory_format=torch.channels_last)  # 25 % faster on a CPU, also in bf16
        optimizer = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
        rates = torch.optim.lr_scheduler
        schedule = rates.OneCycleLR(optimizer, settings.learning_rate, settings.steps, cycle_momentum=False)
        self.net = net
        self.modules: dict[str, torch.nn.Module] = {"net": net}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"net": optimizer}
        self.schedulers: dict[str, rates.LRScheduler] = {"net": schedule}

    def step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """One step on a batch of `training_crops`; returns each weighted loss term and their sum "loss"."""
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        losses = hover_losses(self.modules["net"].train()(images), batch)
        total = torch.stack(list(losses.values())).sum()
        self.optimizers["net"].zero_grad()
        accelerator.backward(total)
        accelerator.clip_grad_norm_(self.modules["net"].parameters(), CLIP_NORM)
        self.optimizers["net"].step()
        self.schedulers["net"].step()
        return {"loss": total.detach(), **{name: loss.detach() for name, loss in losses.items()}}

    def extra_state(self) -> dict[str, Any]:
        """Nothing beyond network, optimiser and schedule."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restore nothing."""


def _copy_weights(path: str | Path, net: HoVerNet) -> None:
    source = HoVerNet.load(path)
    if (source.mode, source.width) != (net.mode, net.width):
        raise ValueError(f"{path}: expected a HoVer-Net with {net.config}, found {source.config}")
    same_types = source.num_types == net.num_types
    state = {n: v for n, v in source.state_dict().items() if same_types or not n.startswith("decoder.tp.")}
    net.load_state_dict({**net.state_dict(), **state})


def train_hovernet(
    samples: Sequence[InstanceSample],
    settings: HoverNetSettings,
    folder: str | Path,
    *,
    validation: Sequence[InstanceSample] = (),
    provenance: Provenance = Provenance(),  # noqa: B008 - immutable
    others: Sequence[tuple[Sequence[InstanceSample], HoverNetSettings]] = (),
    start: str | Path | None = None,
    thresholds: Mapping[str, Any] | None = None,
    resume: bool = False,
    **loop: Any,
) -> pd.DataFrame:
    """Train on outlined nuclei and write `hovernet.safetensors`, which `HoVerNet.load` reads.

    Args:
        samples: images with instances and types, of any scale and size; each is read when a crop is drawn from it.
        settings: training settings.
        folder: receives the weights, the checkpoint and the log.
        validation: samples of other groups. They add `val_f1`, `val_dice` and `val_pq` (published thresholds) to the
            log, and the weights with the best `val_pq` are saved. The saved thresholds are chosen on them, or without
            them on `samples`. If more than half of the crops are painted as IHC, these samples are painted too.
        provenance: names the groups (fold, image) of all samples, for the leak check.
        others: further samples, each with the settings of its crops (augmentation and scale). Crops are drawn from
            `samples` and from these in turn; name a source twice to double its share.
        start: HoVer-Net weights to fine-tune.
        thresholds: keyword arguments of `postprocess` to save; default: chosen as above.
        resume: continue the run in `folder` if there is one; bit-identical to an uninterrupted run on a CPU.
        loop: further keyword arguments of `histolib.training.fit`: mixed_precision, save_every, progress.

    Returns:
        One row per step, one column per weighted loss term.

    Raises:
        FileNotFoundError: `start` does not exist.
        ValueError: there is no sample, a sample has a type that the settings do not name, `map_px` is not an output
            size of the network, `start` has another size, or the checkpoint has other settings or another start.
    """
    if settings.painted > 0.5:
        validation = paint_samples(validation, settings.seed)
    task = HoverTask(settings, start)
    digest = "" if start is None else file_digest(start)
    autocast = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(loop.get("mixed_precision", "no"))

    def validate(networks: Mapping[str, Any], step: int) -> dict[str, float]:
        scores = evaluate_nuclei(networks["net"], validation, autocast=autocast)
        numbers = {"f1": scores["detection"]["f1"], **{name: scores["segmentation"][name] for name in ("dice", "pq")}}
        return {f"val_{name}": math.nan if value is None else value for name, value in numbers.items()}

    sources = [training_crops(*source) for source in ((samples, settings), *others)]
    history = fit(
        task,
        mixed_crops(sources),
        steps=settings.steps,
        batch_size=settings.batch_size,
        settings={**asdict(settings), "start": digest, "others": [asdict(changed) for _, changed in others]},
        folder=folder,
        seed=settings.seed,
        resume=resume,
        ema=settings.ema,
        validate=validate if len(validation) else None,
        validate_every=settings.validate_every or settings.steps,
        monitor="val_pq" if len(validation) else "",
        **loop,
    )
    state = PartialState()
    if state.is_main_process:
        net = task.net.eval()
        net.thresholds = thresholds or choose_thresholds(net, validation or samples)
        origin = f"{Path(start).resolve().parent.name} {digest}" if start else ""
        details = {**provenance.details, "start": origin, "settings": asdict(settings)}
        net.provenance = Provenance(provenance.trained_on, provenance.groups, details)
        net.save(Path(folder) / WEIGHTS)
    state.wait_for_everyone()
    return history
