"""The one training loop: any task, any number of devices, stopped and continued as if it never stopped."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ..config import replacing
from .best import Best
from .checkpoint import load_checkpoint, save_checkpoint

__all__ = ["CHECKPOINT", "LOG", "Task", "fit", "read_log"]

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"


class Task(Protocol):
    """What `fit` trains: networks, their optimisers, and the order of one step.

    `fit` replaces the entries of `modules` and `optimizers` by the ones that Accelerate prepared for the devices,
    so a step must reach them through these dictionaries.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    schedulers: dict[str, LRScheduler]

    def step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """Do one optimisation step (`accelerator.backward` for the gradients) and return its detached losses."""

    def extra_state(self) -> dict[str, Any]:
        """What else a checkpoint must hold: plain values and tensors."""

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` gave."""


class _Stream(Dataset):
    """A deterministic stream of samples."""

    def __init__(self, draw: Callable[[int], Mapping[str, Tensor]]) -> None:
        self.draw = draw

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        return self.draw(index)


def _batches(size_at: Callable[[int], int], start: int, steps: int, world: int) -> list[list[int]]:
    """Positions in the stream of each batch after the first `start` steps; processes take turns."""
    sizes = [size_at(step) for step in range(steps) for _ in range(world)]
    ends = np.cumsum(sizes, dtype=int).tolist()
    return [list(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)][start * world :]


def fit(
    task: Task,
    draw: Callable[[int], Mapping[str, Tensor]],
    *,
    steps: int,
    batch_size: int | Callable[[int], int],
    settings: Mapping[str, Any],
    folder: str | Path,
    seed: int = 0,
    resume: bool = False,
    save_every: int = 500,
    mixed_precision: str = "no",
    workers: int = 0,
    validate: Callable[[int], Mapping[str, float]] | None = None,
    validate_every: int = 0,
    monitor: str = "",
    patience: int = 0,
    keep: Callable[[], Mapping[str, nn.Module]] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train for a number of steps, logging every loss and saving a checkpoint from time to time.

    Chance at step k depends on `seed` and k alone (torch is seeded anew each step, `draw(i)` must depend on i alone),
    so a run that was killed and resumed ends in the same weights, bit for bit on the CPU.

    Args:
        task: what to train; its networks end on the device that trained them, unwrapped.
        draw: sample i of an endless stream, a dictionary of tensors; batches stack them.
        steps: optimisation steps in all, those before a resume included.
        batch_size: samples a step on each process, or a function from the number of steps done to it.
        settings: plain values that made this run; a checkpoint refuses others.
        folder: receives `checkpoint.pt` and `log.csv` (columns step, name, value).
        seed: seed of the run.
        resume: continue from the checkpoint in `folder` when there is one, else start.
        save_every: steps between checkpoints; the last step always saves.
        mixed_precision: no, fp16 or bf16, as Accelerate understands it.
        workers: processes that draw samples; 0 draws in this one.
        validate: called after every `validate_every` steps and the last with the step; its numbers join the log. It may
            draw from torch's generator. Every process calls it, the numbers of the first count.
        monitor: name of a validated number, more is better; the networks end as they were when it was highest.
        patience: steps without a better one after which the run ends early; 0 goes to the end.
        keep: gives the networks that `validate` scores, which are kept at their best; by default all of the task's.
        progress: show a bar with the losses on stderr.

    Returns:
        One row a step, one column a logged number, indexed by step (as `read_log`).

    Raises:
        ValueError: the checkpoint is damaged or was made by other settings, or `monitor` is not among the numbers.
        OSError: a checkpoint could not be written; the previous one is untouched.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    # Batches may differ in size, and there are as many for each process: none is to be filled up.
    each = DataLoaderConfiguration(even_batches=False)
    accelerator = Accelerator(mixed_precision=mixed_precision, dataloader_config=each)
    best, start = Best(patience), 0
    if resume and (folder / CHECKPOINT).is_file():
        start = _restore(task, accelerator, best, load_checkpoint(folder / CHECKPOINT, settings))
    if best.exhausted:
        steps = start
    if accelerator.is_main_process:
        _trim_log(folder / LOG, start)
    for group in (task.modules, task.optimizers):
        for name, item in group.items():
            group[name] = accelerator.prepare(item)
    world = accelerator.num_processes
    size_at = batch_size if callable(batch_size) else lambda step: batch_size
    batches = _batches(size_at, start, steps, world)
    stream = DataLoader(_Stream(draw), batch_sampler=batches, num_workers=workers)
    loader = accelerator.prepare(stream) if batches else []
    bar = tqdm(
        loader, initial=start, total=steps, disable=not (progress and accelerator.is_main_process), mininterval=2.0
    )
    with bar, (folder / LOG).open("a", newline="") as file:
        log = csv.writer(file)
        for step, batch in enumerate(bar, start=start + 1):
            torch.manual_seed(seed * 1_000_003 + step * world + accelerator.process_index)
            numbers = {name: float(value) for name, value in task.step(batch, accelerator).items()}
            bar.set_postfix({name: f"{value:.3g}" for name, value in numbers.items()}, refresh=False)
            if validate and validate_every and (step % validate_every == 0 or step == steps):
                found = [{name: float(value) for name, value in validate(step).items()}]
                numbers |= broadcast_object_list(found)[0]
                if monitor not in ("", *numbers):
                    raise ValueError(f"monitor: expected one of {', '.join(numbers)}, found {monitor!r}")
                if monitor:
                    best.update(numbers[monitor], step, keep() if keep else _networks(task, accelerator))
            last = step == steps or best.exhausted
            if accelerator.is_main_process:
                log.writerows((step, name, repr(value)) for name, value in numbers.items())
                if step % save_every == 0 or last:
                    file.flush()
                    save_checkpoint(folder / CHECKPOINT, _state(task, accelerator, best, step), settings)
            if last:
                break
    accelerator.wait_for_everyone()
    for name, item in task.modules.items():
        task.modules[name] = accelerator.unwrap_model(item, keep_fp32_wrapper=False)
    kept = keep() if keep else task.modules
    for name, state in best.modules.items():
        kept[name].load_state_dict(state)
    return read_log(folder)


def read_log(folder: str | Path) -> pd.DataFrame:
    """The log of a run: one row a step, one column a logged number (NaN where a step did not log it)."""
    path = Path(folder) / LOG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the log of a training run, found nothing")
    long = pd.read_csv(path)
    return long.pivot(index="step", columns="name", values="value")[list(dict.fromkeys(long["name"]))]


def _networks(task: Task, accelerator: Accelerator) -> dict[str, nn.Module]:
    """The networks below what Accelerate put around them, which stays on."""
    return {name: accelerator.unwrap_model(item) for name, item in task.modules.items()}


def _state(task: Task, accelerator: Accelerator, best: Best, step: int) -> dict[str, Any]:
    scaler = accelerator.scaler
    return {
        "step": step,
        "modules": {name: item.state_dict() for name, item in _networks(task, accelerator).items()},
        "optimizers": {name: item.state_dict() for name, item in task.optimizers.items()},
        "schedulers": {name: item.state_dict() for name, item in task.schedulers.items()},
        "scaler": scaler.state_dict() if scaler is not None else {},
        "extra": task.extra_state(),
        "best": best.state(),
    }


def _restore(task: Task, accelerator: Accelerator, best: Best, state: Mapping[str, Any]) -> int:
    for kind in ("modules", "optimizers", "schedulers"):
        for name, item in getattr(task, kind).items():
            item.load_state_dict(state[kind][name])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    task.load_extra_state(state["extra"])
    best.load(state["best"])
    return int(state["step"])


def _trim_log(path: Path, last_step: int) -> None:
    """Start the log, or drop the rows that a killed run wrote after its last checkpoint (a cut line among them)."""
    kept = io.StringIO(newline="")
    writer = csv.writer(kept)
    writer.writerow(("step", "name", "value"))
    if last_step and path.is_file():
        with path.open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        writer.writerows(row for row in rows if len(row) == 3 and row[0].isdigit() and int(row[0]) <= last_step)
    with replacing(path) as temporary:
        temporary.write_text(kept.getvalue(), newline="")
