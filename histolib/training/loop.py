"""The training loop: any task, any number of devices, bit-identical after an interruption."""

import csv
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ..io import replacing
from .checkpoint import load_checkpoint, save_checkpoint

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
Validate = Callable[[Mapping[str, nn.Module], int], Mapping[str, float]]


class Task(Protocol):
    """Networks, their optimisers, and one training step.

    `fit` replaces the entries of `modules` and `optimizers` by those that Accelerate prepares, so a step must access
    them through these dictionaries.

    Attributes:
        kept: names of the modules that are averaged, validated and saved.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    schedulers: dict[str, LRScheduler]
    kept: tuple[str, ...]

    def step(self, batch: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """Do one optimisation step (gradients by `accelerator.backward`) and return the detached losses."""

    def extra_state(self) -> dict[str, Any]:
        """Further plain values and tensors for the checkpoint."""

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `extra_state`."""


class _Stream(Dataset):
    """Sample i of an endless stream."""

    def __init__(self, draw: Callable[[int], Mapping[str, Tensor]]) -> None:
        self.draw = draw

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        return self.draw(index)


class _Run:
    """State of one run beyond its task: moving averages and the best validated weights."""

    def __init__(self, task: Task, accelerator: Accelerator, ema: float) -> None:
        self.task, self.accelerator = task, accelerator
        self.best_value, self.best_modules = -math.inf, dict[str, dict[str, Tensor]]()
        self.averages = {
            name: AveragedModel(task.modules[name], multi_avg_fn=_moving_average(ema), use_buffers=True)
            for name in (task.kept if ema else ())
        }

    def network(self, name: str) -> nn.Module:
        return self.accelerator.unwrap_model(self.task.modules[name])

    def kept(self) -> dict[str, nn.Module]:
        """Networks to validate and save."""
        return {n: self.averages[n].module if self.averages else self.network(n) for n in self.task.kept}

    def update_averages(self) -> None:
        for name, average in self.averages.items():
            network = self.network(name)
            average.to(next(network.parameters()).device).update_parameters(network)

    def validated(self, validate: Validate, step: int, monitor: str) -> dict[str, float]:
        """Numbers of the first process; if `monitor` is the highest so far (NaN never is), copy the kept networks."""
        found = [{name: float(value) for name, value in validate(self.kept(), step).items()}]
        numbers = broadcast_object_list(found)[0]
        if monitor not in ("", *numbers):
            raise ValueError(f"monitor: expected one of {', '.join(numbers)}, found {monitor!r}")
        if monitor and numbers[monitor] > self.best_value:
            self.best_value = numbers[monitor]
            self.best_modules = {
                name: {key: tensor.detach().cpu().clone() for key, tensor in network.state_dict().items()}
                for name, network in self.kept().items()
            }
        return numbers

    def finish(self) -> None:
        """Leave the weights to save in the task's modules."""
        states = self.best_modules or {name: network.state_dict() for name, network in self.kept().items()}
        for name, module in self.task.modules.items():
            self.task.modules[name] = self.accelerator.unwrap_model(module, keep_fp32_wrapper=False)
        for name, state in states.items():
            self.task.modules[name].load_state_dict(state)

    def parts(self) -> dict[str, Mapping[str, Any]]:
        """Everything with a `state_dict`, by kind and name."""
        task, scaler = self.task, self.accelerator.scaler
        return {
            "modules": {name: self.network(name) for name in task.modules}, "optimizers": task.optimizers,
            "schedulers": task.schedulers, "averages": self.averages, "scaler": {"scaler": scaler} if scaler else {},
        }  # fmt: skip

    def state(self, step: int) -> dict[str, Any]:
        parts = {kind: {name: item.state_dict() for name, item in own.items()} for kind, own in self.parts().items()}
        best = {"value": self.best_value, "modules": self.best_modules}
        return {**parts, "step": step, "extra": self.task.extra_state(), "best": best}

    def restore(self, state: Mapping[str, Any]) -> int:
        for kind, own in self.parts().items():
            for name, item in own.items():
                item.load_state_dict(state[kind][name])
        self.task.load_extra_state(state["extra"])
        self.best_value, self.best_modules = state["best"]["value"], state["best"]["modules"]
        return int(state["step"])


def fit(
    task: Task, draw: Callable[[int], Mapping[str, Tensor]], *, steps: int, batch_size: int,
    settings: Mapping[str, Any], folder: str | Path, seed: int = 0, resume: bool = False, save_every: int = 500,
    mixed_precision: str = "no", ema: float = 0.0, validate: Validate | None = None, validate_every: int = 0,
    monitor: str = "", progress: bool = True, workers: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Train for a number of steps, log every loss and save checkpoints.

    The random state of step k depends on `seed` and k alone (torch is seeded at each step, and `draw(i)` must depend
    on i alone), so a run that is killed and resumed gives the same weights, bit for bit on a CPU.

    Args:
        task: what to train. At the end its `kept` modules hold the weights to save: those with the best monitored
            number, else the averaged ones if `ema` is set, else the last ones.
        draw: sample i of an endless stream, a dictionary of tensors.
        steps: total number of optimisation steps, including those before a resume.
        batch_size: samples per step on each process.
        settings: plain values that define this run; a checkpoint with other settings is refused.
        folder: receives `checkpoint.pt` and `log.csv` (columns step, name, value).
        seed: random seed of the run.
        resume: continue from the checkpoint in `folder` if there is one.
        save_every: steps between checkpoints; the last step is always saved.
        mixed_precision: no, fp16 or bf16, as in Accelerate.
        ema: decay of the exponential moving average of the kept modules, with a shorter memory during the first
            steps (Polyak and Juditsky 1992, doi 10.1137/0330046, in the exponential form); 0 disables it.
        validate: function of the networks to keep and the step, called after every `validate_every` steps and the
            last step; its numbers are logged. Every process calls it, the numbers of the first one count.
        validate_every: steps between validations.
        monitor: name of a validated number, higher is better.
        progress: show a progress bar with the losses on stderr.
        workers: processes that draw the samples while a GPU computes; the samples do not depend on their number.

    Returns:
        One row per step, one column per logged number, as `read_log`.

    Raises:
        ValueError: the checkpoint is damaged or has other settings, or `monitor` is not among the validated numbers.
        OSError: a checkpoint could not be written; the previous one is unchanged.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Accelerate keeps one global state; without a reset, a second run in this process could not change the precision.
    AcceleratorState._reset_state()
    loader_config = DataLoaderConfiguration(even_batches=False)
    accelerator = Accelerator(mixed_precision=mixed_precision, dataloader_config=loader_config)
    main, world = accelerator.is_main_process, accelerator.num_processes
    run, start = _Run(task, accelerator, ema), 0
    if resume and (folder / CHECKPOINT).is_file():
        start = run.restore(load_checkpoint(folder / CHECKPOINT, settings))
    if main:
        _trim_log(folder / LOG, start)
    for group in (task.modules, task.optimizers):
        for name, item in group.items():
            group[name] = accelerator.prepare(item)
    batches = [list(range(i * batch_size, (i + 1) * batch_size)) for i in range(start * world, steps * world)]
    # OpenCV must not use threads in a forked process.
    how: dict[str, Any] = {"num_workers": workers, "worker_init_fn": lambda _: cv2.setNumThreads(0)} if workers else {}
    loader = accelerator.prepare(DataLoader(_Stream(draw), batch_sampler=batches, **how)) if batches else []
    bar = tqdm(loader, initial=start, total=steps, disable=not (progress and main), mininterval=2.0)
    with bar, (folder / LOG).open("a", newline="") as file:
        log = csv.writer(file)
        for step, batch in enumerate(bar, start=start + 1):
            torch.manual_seed(seed * 1_000_003 + step * world + accelerator.process_index)
            numbers = {name: float(value) for name, value in task.step(batch, accelerator).items()}
            run.update_averages()
            bar.set_postfix({name: f"{value:.3g}" for name, value in numbers.items()}, refresh=False)
            if validate and validate_every and (step % validate_every == 0 or step == steps):
                numbers |= run.validated(validate, step, monitor)
            if main:
                log.writerows((step, name, repr(value)) for name, value in numbers.items())
                if step % save_every == 0 or step == steps:
                    file.flush()
                    save_checkpoint(folder / CHECKPOINT, run.state(step), settings)
    accelerator.wait_for_everyone()
    run.finish()
    return read_log(folder)


def read_log(folder: str | Path) -> pd.DataFrame:
    """Log of a run: one row per step, one column per logged number (NaN where a step did not log it)."""
    path = Path(folder) / LOG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the log of a training run, found nothing")
    long = pd.read_csv(path)
    return long.pivot(index="step", columns="name", values="value")[list(dict.fromkeys(long["name"]))]


def _moving_average(decay: float) -> Callable[[Any, Any, Tensor | int], None]:
    """Update rule of `AveragedModel` for tensors of one type; counters of batch norms are copied."""

    @torch.no_grad()
    def update(averages: Any, values: Any, updates: Tensor | int) -> None:
        if averages[0].is_floating_point():
            memory = min(decay, (1 + int(updates)) / (10 + int(updates)))
            torch._foreach_lerp_(averages, values, 1 - memory)
        else:
            torch._foreach_copy_(averages, values)

    return update


def _trim_log(path: Path, last_step: int) -> None:
    """Create the log, or drop the rows that an interrupted run wrote after its last checkpoint."""
    rows = path.read_text().splitlines()[1:] if last_step and path.is_file() else []
    kept = [row for row in rows if re.fullmatch(r"\d+,[^,]+,[^,]+", row) and int(row.partition(",")[0]) <= last_step]
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{row}\r\n" for row in ("step,name,value", *kept)), newline="")
