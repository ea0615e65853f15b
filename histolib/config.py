"""Profiles with all training settings, folders and random seeds."""

import ast
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from .imaging import MARKERS

Settings = TypeVar("Settings", bound=Any)
HEADLESS = "HISTOLIB_HEADLESS"  # environment variable: show viewers as still figures
STAGES = ("encoder", "blocks", "decoder")  # parts of a generator that can be frozen


# Numbers with the lowest and the highest value that a setting may have.
Scale = Annotated[float, (0.05, 2)]
Size = Annotated[int, (1, 4096)]
Count = Annotated[int, (0, math.inf)]
Weight = Annotated[float, (0, 1e6)]
Share = Annotated[float, (0, 1)]
Decay = Annotated[float, (0, 0.999999)]


def check_ranges(settings: Any) -> None:
    """Refuse settings outside the limits of their types (ValueError that names the setting)."""
    for field in fields(settings):
        for low, high in getattr(field.type, "__metadata__", ()):
            value = getattr(settings, field.name)
            if not low <= value <= high:
                limits = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
                raise ValueError(f"{field.name}: expected {limits}, found {value}")


@dataclass(frozen=True, slots=True)
class CycleGANSettings:
    """Settings of one CycleGAN training; `PROFILES` holds complete sets.

    Raises:
        ValueError: a setting is out of range; the message names it.
    """

    mpp: Scale  # microns per pixel of the training crops
    patch_px: Annotated[int, (16, 4096)]  # side of the square crops
    marker: str  # what DAB stains in the IHC, one of `imaging.MARKERS`
    width: Size  # channels of the generators
    blocks: Count  # residual blocks of the generators
    on_od: bool  # the generators start as the `od` recolouring and learn a correction to it
    discriminator_width: Size  # channels of the discriminators
    spectral_norm: bool  # spectral instead of instance normalisation in the discriminators
    batch_size: Size  # crops of each stain per step
    warm_steps: Count  # steps that imitate the `od` recolouring before adversarial training
    steps: Count  # adversarial steps; the learning rates decay linearly over the second half
    cycle: Weight  # loss weights relative to the adversarial loss; 0 skips a term
    identity: Weight
    content: Weight
    consistency: Weight
    label_smoothing: Annotated[float, (0, 0.5)]  # discriminators aim at 1 minus this value on real images
    lr_generator: Share  # learning rates of Adam
    lr_discriminator: Share
    ema: Decay  # exponential moving average of the generators; 0 disables it
    freeze: tuple[str, ...]  # generator stages with fixed weights (Mo et al. 2020, arXiv:2002.10964)
    content_limit: Annotated[float, (-1, 1)]  # `ContentLost` if the content correlation is below it; -1 never stops
    grace_steps: Count  # adversarial steps before the limit holds
    seed: Count  # random seed of weights, crops and image pools

    def __post_init__(self) -> None:
        if self.marker not in MARKERS:
            raise ValueError(f"marker: expected one of {', '.join(MARKERS)}, found {self.marker!r}")
        if not set(self.freeze) < set(STAGES):
            raise ValueError(f"freeze: expected at most two of {', '.join(STAGES)}, found {self.freeze!r}")
        check_ranges(self)


@dataclass(frozen=True, slots=True)
class HoverNetSettings:
    """Settings of one HoVer-Net training; `PROFILES` holds complete sets.

    Raises:
        ValueError: a setting is out of range; the message names it.
    """

    types: tuple[str, ...]  # names of the nucleus types 1, 2, ... without background; empty trains no type decoder
    width: Annotated[float, (1 / 64, 4)]  # factor on the number of channels; 1 is the published size
    mpp: Scale  # microns per pixel of the network's input
    map_px: Annotated[int, (4, 4096)]  # side of the output map of a crop; the input is larger by the network's margins
    batch_size: Size  # crops per step
    steps: Annotated[int, (1, math.inf)]  # of AdamW, one-cycle schedule (Smith & Topin 2018, arXiv:1708.07120)
    learning_rate: Share  # peak of the schedule
    affine: Annotated[float, (0, 0.9)]  # half width of the random zoom range
    jitter: Annotated[float, (0, 2)]  # standard deviation of the logarithm of each stain's random factor
    painted: Share  # share of crops painted as nuclear IHC, see `nuclei.augmentation.paint_ihc`
    recoloured: Share  # share of crops recoloured by optical density; painted + recoloured is at most 1
    ema: Decay  # exponential moving average of the weights; 0 disables it
    validate_every: Count  # steps between validations; 0 validates only at the end
    seed: Count  # random seed of weights and crops

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.painted + self.recoloured > 1:
            found = f"{self.painted:g} + {self.recoloured:g}"
            raise ValueError(f"painted, recoloured: expected shares that sum to at most 1, found {found}")


@dataclass(frozen=True, slots=True)
class Profile:
    """Amount of work in one run.

    Attributes:
        name: quick (minutes on two CPU cores), full (published sizes, needs a GPU), or pretrained (the weights that
            ship: small networks trained on a CPU).
        pannuke_per_fold: phantom H&E patches of 256 px per fold.
        endonuke_runs: phantom IHC tiles in each run of ids; one run stands for one slide.
        bci_pairs: phantom pairs for training and for testing.
        bci_px: side of a phantom pair in pixels (1024 in BCI).
        cyclegan, hovernet: training settings.
    """

    name: str
    pannuke_per_fold: int
    endonuke_runs: tuple[int, ...]
    bci_pairs: tuple[int, int]
    bci_px: int
    cyclegan: CycleGANSettings
    hovernet: HoverNetSettings


_QUICK = Profile(
    "quick", pannuke_per_fold=40, endonuke_runs=(12,) * 6, bci_pairs=(8, 4), bci_px=512,
    cyclegan=CycleGANSettings(
        mpp=0.25, patch_px=128, marker="nuclear", width=16, blocks=6, on_od=False, discriminator_width=32,
        spectral_norm=False, batch_size=1, warm_steps=150, steps=200, cycle=10.0, identity=5.0, content=3.0,
        consistency=0.0, label_smoothing=0.0, lr_generator=3e-4, lr_discriminator=2e-4, ema=0.0, freeze=(),
        content_limit=0.3, grace_steps=100, seed=0,
    ),
    hovernet=HoverNetSettings(
        types=(), width=0.125, mpp=0.5, map_px=100, batch_size=4, steps=110, learning_rate=8e-3, affine=0.0,
        jitter=0.15, painted=0.0, recoloured=0.0, ema=0.0, validate_every=0, seed=0,
    ),
)  # fmt: skip
_FULL = Profile(
    "full", pannuke_per_fold=400, endonuke_runs=(60,) * 10, bci_pairs=(160, 40), bci_px=1024,
    cyclegan=replace(
        _QUICK.cyclegan, patch_px=256, width=64, blocks=9, discriminator_width=64, warm_steps=1000, steps=40_000,
        lr_generator=2e-4,
    ),
    hovernet=replace(
        _QUICK.hovernet, width=1.0, mpp=0.25, map_px=164, batch_size=8, steps=20_000, learning_rate=1e-3, affine=0.2
    ),
)  # fmt: skip
_PRETRAINED = replace(
    _QUICK, name="pretrained",
    cyclegan=replace(
        _QUICK.cyclegan, mpp=0.5, patch_px=112, width=24, on_od=True, warm_steps=0, steps=1050, identity=2.0,
        content=5.0, label_smoothing=0.1, lr_generator=2e-4, lr_discriminator=5e-5, ema=0.99,
    ),
    hovernet=replace(
        _QUICK.hovernet, width=0.1875, map_px=164, steps=900, learning_rate=2e-3, affine=0.2, jitter=0.2,
        validate_every=225,
    ),
)  # fmt: skip
PROFILES = {each.name: each for each in (_QUICK, _FULL, _PRETRAINED)}


def profile(name: str) -> Profile:
    """Look up a profile.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in PROFILES:
        raise ValueError(f"profile: expected one of {', '.join(PROFILES)}, found {name!r}")
    return PROFILES[name]


class Paths:
    """Folders of a course run below one root.

    Attributes:
        root: the checkout, or on Colab the folder that keeps results (a mounted drive, for example).
        data: data sets `bci`, `pannuke`, `endonuke`, and their phantoms below `phantom`.
        figures: figures for the presentation.
        runs: executed notebooks, checkpoints and weights.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data, self.figures, self.runs = (root / name for name in ("data", "figures", "runs"))

    @classmethod
    def find(cls) -> Self:
        """The checkout that contains HISTOLIB_ROOT or else the working folder; outside a checkout that folder."""
        start = Path(os.environ.get("HISTOLIB_ROOT") or Path.cwd()).expanduser().resolve()
        for folder in (start, *start.parents):
            if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
                return cls(folder)
        return cls(start)


def phantom_folder(data: str | Path, size: Profile, seed: int = 0) -> Path:
    """Folder of a profile's phantom data sets; each seed has its own."""
    return Path(data) / "phantom" / (size.name if seed == 0 else f"{size.name}-{seed}")


def best_device() -> str:
    """`cuda` if a GPU is available, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def parse_assignments(texts: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Parse `NAME=VALUE` texts.

    A value that is no Python literal is a string; so is any value whose default is a string. Where the default is a
    tuple, a comma-separated text becomes a tuple.

    Args:
        texts: assignments; the last one of a name counts.
        known: default values by name.

    Raises:
        ValueError: a text is no assignment.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, raw = text.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"--set: expected NAME=VALUE, found {text!r}")
        try:
            values[name] = raw if isinstance(known.get(name), str) else ast.literal_eval(raw)
        except (ValueError, SyntaxError):
            parts = tuple(part for part in raw.split(",") if part)
            values[name] = parts if isinstance(known.get(name), tuple) else raw
    return values


def check_parameters(given: Mapping[str, Any], known: Mapping[str, Any], name: str = "notebook") -> None:
    """Refuse parameters with an unknown name, another type than the default, or a value out of range.

    Args:
        given: values by name.
        known: default values by name; an int is accepted for a float.
        name: prefix of the error message.

    Raises:
        ValueError: the message names the parameter, what was expected and what was found.
    """
    for parameter, value in given.items():
        if parameter not in known:
            raise ValueError(f"{name}: unknown parameter {parameter!r}, expected {', '.join(known)}")
        default = known[parameter]
        kind = float | int if isinstance(default, float) else type(default)
        if not isinstance(value, kind) or (isinstance(value, bool) and not isinstance(default, bool)):
            wanted, found = f"{type(default).__name__} (as {default!r})", f"{type(value).__name__} {value!r}"
            raise ValueError(f"{name}: expected {parameter} to be {wanted}, found {found}")
        if parameter == "seed" and value < 0:
            raise ValueError(f"{name}: expected seed to be 0 or more, found {value}")
        if parameter == "radius_um" and not 0 < value < math.inf:
            raise ValueError(f"{name}: expected radius_um to be a positive length in microns, found {value:g}")


def changed(settings: Settings, texts: Iterable[str]) -> Settings:
    """Apply `NAME=VALUE` texts to settings.

    Raises:
        ValueError: a text is no assignment, or the setting is unknown, of another type or out of range.
    """
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values = parse_assignments(texts, known)
    check_parameters(values, known, "--set")
    return replace(settings, **values)
