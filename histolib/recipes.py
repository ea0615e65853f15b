"""Recipes: which data and which settings the course trains with, for notebooks and `histolib train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import nuclei, translation
from .config import Profile, phantom_folder
from .data import BCI, EndoNuke, InstanceSample, PanNuke, phantom
from .ensemble import HE_REFERENCE, IHC_REFERENCE
from .imaging import Patch
from .materials import Patches, StainSet, Translated, detection_after, open_stain, split_runs, training_groups
from .nuclei import HoverSettings
from .translation import StainReference, TranslationSettings

__all__ = [
    "Patches",
    "Sets",
    "StainSet",
    "Translated",
    "detection_after",
    "hover_settings",
    "open_sets",
    "open_stain",
    "split_runs",
    "train_cyclegan",
    "train_hovernet",
    "training_groups",
    "translation_settings",
]

QUICK_MPP = 0.5  # of HoVer-Net on the quick profile: EndoNuke's own scale, a quarter of the pixels


@dataclass(frozen=True, slots=True)
class Sets:
    """The three data sets of the course.

    Attributes:
        bci, pannuke, endonuke: their readers.
        phantom: True where they are drawn, False where they were read from disk.
    """

    bci: BCI
    pannuke: PanNuke
    endonuke: EndoNuke
    phantom: bool


def open_sets(data: str | Path, size: Profile, data_dir: str = "", seed: int = 0) -> Sets:
    """Open `bci`, `pannuke` and `endonuke` in `data_dir`, or draw their phantoms below `data` where it is empty.

    Args:
        data: the course's data folder; phantoms go to `data/phantom/<profile>`.
        size: how many phantom patches to draw.
        data_dir: folder of the real sets in their official layouts.
        seed: of the phantom; other seeds go to other folders.

    Raises:
        FileNotFoundError, ValueError: as the readers.
    """
    if data_dir:
        root = Path(data_dir).expanduser()
    else:
        root = phantom_folder(data, size, seed)
        phantom.write_all(root, size.pannuke_per_fold, size.endonuke_runs, size.bci_pairs, size.bci_px, seed)
    return Sets(BCI(root / "bci"), PanNuke(root / "pannuke"), EndoNuke(root / "endonuke"), phantom=not data_dir)


def translation_settings(size: Profile, seed: int = 0) -> TranslationSettings:
    """Settings of the CycleGAN at a profile's size."""
    quick = size.name == "quick"
    return TranslationSettings(
        mpp=PanNuke.mpp,
        patch_px=128 if quick else 256,
        width=size.translation_width,
        discriminator_width=2 * size.translation_width if quick else size.translation_width,
        blocks=size.translation_blocks,
        warm_steps=size.translation_warm_steps,
        steps=size.translation_steps,
        lr_generator=3e-4 if quick else 2e-4,
        seed=seed,
    )


def hover_settings(size: Profile, types: Sequence[str], seed: int = 0) -> HoverSettings:
    """Settings of HoVer-Net at a profile's size."""
    quick = size.name == "quick"
    return HoverSettings(
        types=tuple(types),
        width=size.nuclei_width,
        mpp=QUICK_MPP if quick else PanNuke.mpp,
        map_px=100 if quick else 164,
        batch_size=size.nuclei_batch,
        steps=size.nuclei_steps,
        learning_rate=8e-3 if quick else 1e-3,
        affine=0.0 if quick else 0.2,  # a hundred steps have no time for more variety
        seed=seed,
    )


def train_cyclegan(
    ihc: Sequence[Patch],
    he: Sequence[Patch],
    settings: TranslationSettings,
    folder: str | Path,
    resume: bool = False,
    **more: Any,
) -> pd.DataFrame:
    """Train the CycleGAN, and keep the colours of the IHC beside it for the route `od`; as `translation.train`."""
    StainReference.fit(ihc, "ihc").save(Path(folder) / IHC_REFERENCE)
    return translation.train(ihc, he, settings, folder, resume=resume, **more)


def train_hovernet(
    samples: Sequence[InstanceSample], settings: HoverSettings, folder: str | Path, resume: bool = False, **more: Any
) -> pd.DataFrame:
    """Train HoVer-Net, and keep the colours of its H&E beside it for the classical routes; as `nuclei.train`."""
    StainReference.fit(Patches(samples), "he").save(Path(folder) / HE_REFERENCE)
    return nuclei.train(samples, settings, folder, resume=resume, **more)
