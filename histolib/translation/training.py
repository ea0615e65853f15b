"""Training of a CycleGAN on unpaired patches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from torch import Tensor

from ..config import CycleGANSettings
from ..imaging import Patch, resample
from ..io import Provenance, file_digest, reading
from ..training import fit
from ..training.checkpoint import load_checkpoint
from ..training.loop import CHECKPOINT
from .content import DENSITY_STEP, stain_amount
from .cyclegan import DIRECTIONS, Consistency, CycleGAN
from .inference import to_tensor
from .networks import Generator
from .stain_transfer import StainReference, save_stain_reference

REFERENCE_PATCHES = 100  # patches of each stain for the colour tables of the warm start
INVERSION_CROPS = 20  # crops that the densest stain amount is estimated from
DENSEST = 0.99  # quantile of the stain amount that `inverted_start` maps to glass
Draw = Callable[[int], dict[str, Tensor]]
Restain = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def train_cyclegan(
    ihc: Sequence[Patch], he: Sequence[Patch], settings: CycleGANSettings, folder: str | Path, *,
    validate: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None,
    consistency: Consistency | None = None, restain: Restain | None = None, start: str | Path | None = None,
    provenance: Provenance = Provenance(), resume: bool = False, **loop: Any,  # noqa: B008 - immutable
) -> pd.DataFrame:  # fmt: skip
    """Train a CycleGAN between two unpaired sets of patches.

    Writes `ihc_to_he.safetensors`, `he_to_ihc.safetensors` (`Generator.load`) and `ihc_reference.safetensors`
    (`StainReference.load`) next to checkpoint and log. Patches may be read lazily: each is read when a crop of it is
    drawn.

    Args:
        ihc, he: patches of each stain, of any scale; pairs are not needed.
        settings: what to train and how.
        folder: receives the run.
        validate: scores the generators {"ihc_to_he", "he_to_ihc"} as they would be saved (averaged with `ema`). Its
            numbers join the log; with `monitor`, the generators with the highest number are saved.
        consistency: loss between IHC and its translation, see `CycleGAN`.
        restain: changes the stain of an IHC crop, uint8 (H, W, 3), with a random generator.
        start: folder of an earlier run to fine-tune: its generators and, if it has a checkpoint, its discriminators.
            Use it with `warm_steps` 0, because a warm start would overwrite them.
        provenance: training data and groups, for the weights files.
        resume: continue the run in `folder` if there is one; on a CPU the weights equal those of an uninterrupted run.
        loop: further arguments of `histolib.training.fit`: `validate_every` (default: `save_every`), `monitor`,
            `mixed_precision`, `save_every`, `progress`.

    Returns:
        one row per step, one column per loss (NaN in steps without it), indexed by step.

    Raises:
        FileNotFoundError: `start` has no generators.
        ValueError: a set is empty, a patch is smaller than a crop, the checkpoint has other settings or another start,
            or the networks of `start` have another size.
        ContentLost: the translations no longer show the tissue.
    """
    task, draw = _build(ihc, he, settings, consistency, restain)
    made_by = asdict(settings)
    if start is not None:
        made_by["start"] = _start_from(task, Path(start))
    history = fit(
        task, draw, steps=settings.warm_steps + settings.steps, batch_size=settings.batch_size, settings=made_by,
        folder=folder, seed=settings.seed, resume=resume, ema=settings.ema,
        validate=(lambda networks, step: validate(networks)) if validate else None,
        **{"validate_every": loop.get("save_every", 500)} | loop,
    )  # fmt: skip
    state = PartialState()  # not before `fit`: the first Accelerator decides whether processes use the CPU
    details = {**provenance.details, "processes": state.num_processes, "settings": made_by}
    if state.is_main_process:
        save_stain_reference(ihc, "ihc", Path(folder) / "ihc_reference.safetensors")
        _save(task, folder, replace(provenance, details=details))
    state.wait_for_everyone()
    return history


def inverted_start(
    ihc: Sequence[Patch], he: Sequence[Patch], settings: CycleGANSettings, folder: str | Path
) -> pd.DataFrame:
    """Warm-start both generators on reversed colour tables: glass becomes nucleus, and nucleus becomes glass.

    A plain CycleGAN can converge to this state, which no cycle loss detects; here it is produced on purpose. Writes
    `ihc_to_he.safetensors` and `he_to_ihc.safetensors`, for `train_cyclegan(start=folder)`.

    Args:
        ihc, he: patches of each stain, as for `train_cyclegan`.
        settings: only the `warm_steps` are done.
        folder: receives the run.

    Returns:
        the log, as `train_cyclegan`.
    """
    task, draw = _build(ihc, he, settings)
    crops = [draw(i) for i in range(INVERSION_CROPS)]
    for source, target in DIRECTIONS.values():
        amounts = stain_amount(torch.stack([crop[source] for crop in crops]), task.weights[source])
        densest = round(float(amounts.flatten().quantile(DENSEST)) / DENSITY_STEP)
        table = task.tables[target]
        task.tables[target] = table[np.clip(densest - np.arange(len(table)), 0, None)]
    history = fit(
        task, draw, settings=asdict(settings) | {"start": "inverted"}, folder=folder, progress=False,
        steps=settings.warm_steps, batch_size=settings.batch_size, seed=settings.seed,
    )  # fmt: skip
    _save(task, folder, Provenance("reversed colours, on purpose"))
    return history


def unpaired_crops(
    ihc: Sequence[Patch], he: Sequence[Patch], settings: CycleGANSettings, restain: Restain | None = None
) -> Draw:
    """Endless stream of samples: a random crop of each stain, {"ihc", "he"}: float (3, patch_px, patch_px).

    Each crop is resampled to the scale of the settings and has one of eight orientations. Sample i depends only on the
    seed and i. `restain` changes the stain of the IHC crops.

    Raises:
        ValueError: from the stream, if a patch is smaller than a crop.
    """

    def crop(patches: Sequence[Patch], rng: np.random.Generator, restain: Restain | None = None) -> Tensor:
        patch = patches[int(rng.integers(len(patches)))]
        side = max(1, round(settings.patch_px * settings.mpp / patch.mpp))
        height, width = patch.image.shape[:2]
        if side > min(height, width):
            wanted = f"{settings.patch_px * settings.mpp:.1f} um for crops of {settings.patch_px} px"
            found = "{:.1f} x {:.1f} um".format(*patch.size_um)
            raise ValueError(f"{patch.name or 'patch'}: expected sides of at least {wanted}, found {found}")
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        pixels = resample(patch.image[top : top + side, left : left + side], settings.patch_px / side)
        pixels = np.rot90(pixels, int(rng.integers(4)))
        pixels = pixels[:, ::-1] if rng.integers(2) else pixels
        return to_tensor(restain(pixels, rng) if restain else pixels)

    def draw(index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((settings.seed, index))
        return {"ihc": crop(ihc, rng, restain), "he": crop(he, rng)}

    return draw


def _build(
    ihc: Sequence[Patch], he: Sequence[Patch], settings: CycleGANSettings, consistency: Consistency | None = None,
    restain: Restain | None = None,
) -> tuple[CycleGAN, Draw]:  # fmt: skip
    tables, references = {}, {}
    for domain, patches in (("ihc", ihc), ("he", he)):
        if not len(patches):
            raise ValueError(f"train_cyclegan: expected {domain} patches, found none")
        if settings.warm_steps or settings.on_od:
            spread = range(0, len(patches), -(-len(patches) // REFERENCE_PATCHES))
            references[domain] = StainReference.fit((patches[i] for i in spread), domain)
    for source, target in DIRECTIONS.values() if references else ():
        gain = references[target].gain(references[source], settings.marker)
        tables[target] = references[target].colours(settings.marker, gain)
    return CycleGAN(settings, tables, consistency), unpaired_crops(ihc, he, settings, restain)


def _start_from(task: CycleGAN, folder: Path) -> str:
    """Load the networks of an earlier run; returns a text that identifies its generators."""
    paths = [folder / f"{direction}.safetensors" for direction in DIRECTIONS]
    for path in paths:
        generator, own = Generator.load(path), task.generators[path.stem]
        if generator.config != own.config:
            raise ValueError(f"{path}: expected a generator with {own.config}, found {generator.config}")
        own.load_state_dict(generator.state_dict())
    if (folder / CHECKPOINT).is_file():
        modules = load_checkpoint(folder / CHECKPOINT)["modules"]
        size = f"width {task.settings.discriminator_width}, spectral_norm {task.settings.spectral_norm}"
        with reading(folder / CHECKPOINT, f"discriminators of {size}", KeyError, RuntimeError):
            for domain, network in task.discriminators.items():
                network.load_state_dict(modules[f"discriminator_{domain}"])
    return f"{folder.resolve().name} {'-'.join(map(file_digest, paths))}"


def _save(task: CycleGAN, folder: str | Path, provenance: Provenance) -> None:
    for name, generator in task.generators.items():
        generator.provenance = provenance
        generator.save(Path(folder) / f"{name}.safetensors")
