"""Is the CycleGAN a colour table? Distil it into 1 x 1 convolutions, which see one pixel at a time, and compare F1.

    python -m histolib.experiments.colour_student --endonuke DIR --ki67 DIR --output data/results/colour_student.json

The student learns the pretrained generator's output on EndoNuke's tiles, without labels. Both are scored on Ki-67 of
other laboratories, which neither has seen.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data import EndoNuke, InstanceTiles
from ..ensemble import ROUTES, Models, evaluate
from ..imaging import Patch
from ..io import write_json
from ..translation import translate

PIXELS, STEPS, BATCH, WIDTH = 2000, 2000, 4096, 64  # pixels of each tile, and the training of the student


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endonuke", type=Path, required=True)
    parser.add_argument("--ki67", type=Path, required=True, help="folder of outlined nuclei in Ki-67 IHC")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    models = Models()
    generator = models.load("ihc_to_he")
    rng = np.random.default_rng(0)
    before, after = list[np.ndarray](), list[np.ndarray]()
    for sample in EndoNuke(args.endonuke):
        seen, translated = (each.image.reshape(-1, 3) for each in (sample.patch, translate(sample.patch, generator)))
        drawn = rng.choice(len(seen), PIXELS, replace=False)
        before.append(seen[drawn])
        after.append(translated[drawn])
    student = fit_student(*(torch.from_numpy(np.concatenate(part) / 255).float() for part in (before, after)))
    samples: list[Any] = list(InstanceTiles(args.ki67))
    views = {
        "cyclegan": [translate(one.patch, generator) for one in samples],
        "student": [recolour(one.patch, student) for one in samples],
        "direct": [one.patch for one in samples],
    }
    found = {name: [ROUTES["direct"](view, models=models) for view in views[name]] for name in views}
    results = evaluate(samples, found, blocks=[one.patch.name for one in samples])
    pairs = zip(views["cyclegan"], views["student"], strict=True)
    results["mean_difference"] = np.mean([np.abs(a.image - b.image.astype(float)).mean() for a, b in pairs])
    results["protocol"]["weights"] = models.describe(["ihc_to_he", "hovernet"])
    write_json(args.output, results)


def fit_student(before: torch.Tensor, after: torch.Tensor) -> nn.Module:
    """Fit colours (N, 3) in [0, 1] to colours (N, 3) by the mean absolute difference."""
    torch.manual_seed(0)
    layers = [nn.Linear(3, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3)]
    student = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(student.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, STEPS)
    for _ in range(STEPS):
        drawn = torch.randint(len(before), (BATCH,))
        optimizer.zero_grad()
        (student(before[drawn]) - after[drawn]).abs().mean().backward()
        optimizer.step()
        schedule.step()
    return student


def recolour(patch: Patch, student: nn.Module) -> Patch:
    """Every pixel through the student."""
    with torch.inference_mode():
        colours = student(torch.from_numpy(patch.image / 255).float())
    return Patch((colours.clamp(0, 1) * 255).round().byte().numpy(), patch.mpp, patch.name)


if __name__ == "__main__":
    main()
