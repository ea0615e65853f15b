"""Training of a CycleGAN on unpaired patches: what it is shown, and what a run leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accelerate import PartialState
from torch import Tensor

from ..imaging import Patch, resample
from ..training import fit, load_checkpoint
from ..training.loop import CHECKPOINT
from .classical import StainReference
from .cyclegan import DIRECTIONS, CycleGAN
from .networks import Generator
from .settings import TranslationSettings
from .translate import load_generator, save_generator, to_tensor

__all__ = ["random_crop", "train", "unpaired_crops"]

REFERENCE_PATCHES = 100  # patches of each stain that the colour tables of the warm start are made of


def train(
    ihc: Sequence[Patch],
    he: Sequence[Patch],
    settings: TranslationSettings,
    folder: str | Path,
    *,
    validate: Callable[[Mapping[str, Generator]], Mapping[str, float]] | None = None,
    agreement: Callable[[Tensor, Tensor], Tensor] | None = None,
    start: str | Path | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    trained_on: str = "",
    resume: bool = False,
    **loop: Any,
) -> pd.DataFrame:
    """Train a CycleGAN between two unpaired sets of patches.

    Writes `ihc_to_he.safetensors` and `he_to_ihc.safetensors` (read by `load_generator`) beside the loop's checkpoint
    and log. Patches may be read lazily: each is asked for when a crop of it is drawn.

    Args:
        ihc, he: patches of each stain, of any scale; no pairs needed.
        settings: what to train and how.
        folder: receives the run.
        validate: scores the generators, {"ihc_to_he", "he_to_ihc"}, as they would be saved (in evaluation mode, the
            averaged ones where `ema` is on). Its numbers join the log after every `validate_every` steps, and the
            generators saved are those of the highest `monitor`: a kernel distance goes in as its negative.
        agreement: a loss between IHC and its translation, as of `CycleGAN`.
        start: folder of an earlier run to begin with: its generators and, where its checkpoint is there, its
            discriminators as they were last. Usually without `warm_steps`, which would undo them.
        groups: by stain, which groups (id block, image, fold) training and validation saw, for the card.
        trained_on: data and split in words, for the card.
        resume: continue the run in `folder` when there is one; bit-identical to a run without interruption on a CPU.
        loop: more arguments of `histolib.training.fit`: `validate_every` (default: with every checkpoint), `monitor`,
            `patience` (steps without a better score), `mixed_precision`, `save_every` in place of the settings',
            `workers` or `progress`.

    Returns:
        one row a step, one column a loss (NaN where a step has none of it), indexed by step.

    Raises:
        FileNotFoundError: there are no generators in `start`.
        ValueError: a set is empty, a patch is smaller than a crop, the checkpoint was made by other settings or another
            start, or the networks of `start` are not of the settings' size.
        ContentLost: the translations stopped showing the tissue.
    """
    task, draw = build(ihc, he, settings, agreement)
    made_by = asdict(settings)
    if start is not None:
        made_by["start"] = start_from(task, start)

    def scores(step: int) -> Mapping[str, float]:
        kept = {name: generator.eval() for name, generator in task.kept().items()}
        numbers = validate(kept) if validate else {}
        for generator in kept.values():
            generator.train()
        return numbers

    every = loop.pop("save_every", settings.save_every)
    history = fit(
        task,
        draw,
        steps=settings.warm_steps + settings.steps,
        batch_size=settings.batch_size,
        settings=made_by,
        folder=folder,
        seed=settings.seed,
        resume=resume,
        validate=scores if validate else None,
        keep=task.kept,
        save_every=every,
        **{"validate_every": every} | loop,
    )
    state = PartialState()
    for direction in DIRECTIONS if state.is_main_process else ():
        card = {
            "direction": direction,
            "marker": settings.marker,
            "trained_on": trained_on,
            "groups": None if groups is None else {stain: sorted(set(names)) for stain, names in groups.items()},
            "start": "" if start is None else f"{Path(start).resolve().name} {made_by['start']}",
            "processes": state.num_processes,
            "settings": asdict(settings),
        }
        save_generator(Path(folder) / f"{direction}.safetensors", task.generator(direction), card)
    state.wait_for_everyone()
    return history


def start_from(task: CycleGAN, folder: str | Path) -> str:
    """Fill a task with the networks of an earlier run; returns a digest of its generators.

    Raises:
        FileNotFoundError, ValueError: a generator is missing, or a network is not of the task's size.
    """
    folder, digest = Path(folder), sha256()
    for direction in DIRECTIONS:
        path = folder / f"{direction}.safetensors"
        generator, _ = load_generator(path)
        wanted = task.generators[direction].config
        if generator.config != wanted:
            raise ValueError(f"{path}: expected a generator of {wanted}, found one of {generator.config}")
        task.start_from({direction: generator.state_dict()})
        digest.update(path.read_bytes())
    checkpoint = folder / CHECKPOINT
    if checkpoint.is_file():
        modules = load_checkpoint(checkpoint)["modules"]
        try:
            task.start_from({name: modules[name] for name in (f"discriminator_{domain}" for domain in ("he", "ihc"))})
        except (KeyError, RuntimeError) as error:
            settings = task.settings
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{checkpoint}: expected discriminators of width {settings.discriminator_width}, spectral_norm "
                f"{settings.spectral_norm}, found others ({reason})"
            ) from None
    return digest.hexdigest()[:12]


def build(
    ihc: Sequence[Patch],
    he: Sequence[Patch],
    settings: TranslationSettings,
    agreement: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[CycleGAN, Callable[[int], dict[str, Tensor]]]:
    """The task and the stream of samples that `train` gives to the loop."""
    domains = {"ihc": ihc, "he": he}
    for domain, patches in domains.items():
        if not len(patches):
            raise ValueError(f"train: expected {domain} patches, found none")
    tables = {}
    if settings.warm_steps or settings.on_od:
        references = {}
        for domain, patches in domains.items():
            some = range(0, len(patches), -(-len(patches) // REFERENCE_PATCHES))
            references[domain] = StainReference.fit((patches[i] for i in some), domain)
        for source, target in DIRECTIONS.values():
            gain = references[target].gain(references[source], settings.marker)
            tables[target] = references[target].colours(settings.marker, gain)
    return CycleGAN(settings, tables, agreement), unpaired_crops(ihc, he, settings)


def unpaired_crops(
    ihc: Sequence[Patch], he: Sequence[Patch], settings: TranslationSettings
) -> Callable[[int], dict[str, Tensor]]:
    """An endless stream: sample i is a random crop of each stain, {"ihc", "he"}: float (3, patch_px, patch_px)."""

    def draw(index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((settings.seed, index))
        sample = {}
        for domain, patches in (("ihc", ihc), ("he", he)):
            patch = patches[int(rng.integers(len(patches)))]
            sample[domain] = to_tensor(random_crop(patch, settings.patch_px, settings.mpp, rng))
        return sample

    return draw


def random_crop(patch: Patch, size_px: int, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """A random square of a patch at another scale, in one of its eight orientations.

    Args:
        patch: at least `size_px * mpp` microns high and wide.
        size_px: side of the crop, after resampling.
        mpp: microns per pixel of the crop.
        rng: draws place and orientation.

    Returns:
        uint8 (size_px, size_px, 3).

    Raises:
        ValueError: the patch is too small.
    """
    side = max(1, round(size_px * mpp / patch.mpp))
    height, width = patch.image.shape[:2]
    if side > min(height, width):
        raise ValueError(
            f"{patch.name or 'patch'}: expected at least {size_px * mpp:.1f} um a side for crops of {size_px} px at "
            f"{mpp} um, found {patch.size_um[0]:.1f} x {patch.size_um[1]:.1f} um"
        )
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = resample(patch.image[top : top + side, left : left + side], size_px / side)
    crop = np.rot90(crop, int(rng.integers(4)))
    return crop[:, ::-1] if rng.integers(2) else crop
