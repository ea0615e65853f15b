"""A start that is wrong on purpose: generators that exchange dark and light, which no cycle loss can see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..imaging import Patch
from ..training import fit
from .content import DENSITY_STEP, stain_amount
from .cyclegan import DIRECTIONS
from .settings import TranslationSettings
from .training import build
from .translate import save_generator

__all__ = ["inverted_start"]

DENSEST = 0.99  # quantile of the amount of stain that turns into glass
CROPS = 20  # that it is taken of


def inverted_start(
    ihc: Sequence[Patch], he: Sequence[Patch], settings: TranslationSettings, folder: str | Path
) -> pd.DataFrame:
    """Warm-start both generators on reversed colour tables: glass becomes nucleus, nucleus becomes glass.

    What a CycleGAN falls into by itself when nothing breaks the symmetry; made on purpose, to be shown and tested.
    Writes `ihc_to_he.safetensors` and `he_to_ihc.safetensors`, for `train(start=folder)`.

    Args:
        ihc, he: patches of each stain, as for `train`.
        settings: with `warm_steps`, all of which are done; no adversarial step is.
        folder: receives the run.

    Returns:
        the log, as `train`.
    """
    settings = replace(settings, steps=1)  # none is done, but learning rates fall over them
    task, draw = build(ihc, he, settings)
    crops = [draw(i) for i in range(CROPS)]
    for source, target in DIRECTIONS.values():
        amounts = stain_amount(torch.stack([crop[source] for crop in crops]), task.weights[source])
        densest = round(float(amounts.flatten().quantile(DENSEST)) / DENSITY_STEP)
        table = task.tables[target]
        task.tables[target] = table[np.clip(densest - np.arange(len(table)), 0, None)]
    history = fit(
        task,
        draw,
        steps=settings.warm_steps,
        batch_size=settings.batch_size,
        settings=asdict(settings) | {"start": "inverted"},
        folder=folder,
        seed=settings.seed,
        progress=False,
    )
    for direction in DIRECTIONS:
        card = {"direction": direction, "marker": settings.marker, "trained_on": "reversed colours, on purpose"}
        save_generator(Path(folder) / f"{direction}.safetensors", task.generator(direction), card)
    return history
