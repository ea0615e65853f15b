"""Where things lie, how large a run is, and what makes it repeatable."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

import numpy as np

__all__ = [
    "PROFILES",
    "Paths",
    "Profile",
    "best_device",
    "phantom_folder",
    "profile",
    "replacing",
    "seed_everything",
    "writable_folder",
]

MARKERS = ("nuclear", "membrane", "cytoplasm")
HEADLESS = "HISTOLIB_HEADLESS"  # set in the environment where nobody can click a viewer


@dataclass(frozen=True, slots=True)
class Profile:
    """How much work a run of the course does.

    Attributes:
        name: quick (minutes on two CPU cores) or full (hours, a GPU pays).
        pannuke_per_fold: phantom H&E patches of 256 px a fold.
        endonuke_runs: phantom IHC tiles in each run of ids, one run a slide.
        bci_pairs: phantom pairs to train on and to test on.
        bci_px: side of a phantom pair in pixels (officially 1024).
        translation_width: channels of the generators' first layer.
        translation_blocks: residual blocks of the generators.
        translation_warm_steps: steps that imitate a classical recolouring.
        translation_steps: adversarial steps after these.
        nuclei_width: factor on every channel of HoVer-Net.
        nuclei_steps: optimisation steps of HoVer-Net.
        nuclei_batch: crops in one step of HoVer-Net.
    """

    name: str
    pannuke_per_fold: int
    endonuke_runs: tuple[int, ...]
    bci_pairs: tuple[int, int]
    bci_px: int
    translation_width: int
    translation_blocks: int
    translation_warm_steps: int
    translation_steps: int
    nuclei_width: float
    nuclei_steps: int
    nuclei_batch: int


PROFILES = {
    "quick": Profile("quick", 40, (12,) * 6, (8, 4), 512, 16, 6, 150, 200, 0.125, 110, 4),
    "full": Profile("full", 400, (60,) * 10, (160, 40), 1024, 64, 9, 1000, 40_000, 1.0, 20_000, 8),
}


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in PROFILES:
        raise ValueError(f"profile: expected one of {', '.join(PROFILES)}, found {name!r}")
    return PROFILES[name]


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of a course run, all below one root.

    Attributes:
        root: the checkout, or on Colab the folder (a mounted drive, say) where results should stay.
    """

    root: Path

    @property
    def data(self) -> Path:
        """Data sets: `bci`, `pannuke`, `endonuke`, and below `phantom` their stand-ins."""
        return self.root / "data"

    @property
    def figures(self) -> Path:
        """Figures for the presentation."""
        return self.root / "figures"

    @property
    def runs(self) -> Path:
        """Executed notebooks, checkpoints and weights."""
        return self.root / "runs"

    @classmethod
    def find(cls, start: str | Path | None = None) -> Paths:
        """The checkout around `start` (default: the working folder), else `start` itself."""
        start = Path(start or os.environ.get("HISTOLIB_ROOT") or Path.cwd()).expanduser().resolve()
        for folder in (start, *start.parents):
            if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
                return cls(folder)
        return cls(start)


def phantom_folder(data: str | Path, size: Profile, seed: int = 0) -> Path:
    """Where phantom tissue of a profile lies below the data folder; each seed has its own."""
    return Path(data) / "phantom" / (size.name if seed == 0 else f"{size.name}-{seed}")


def seed_everything(seed: int) -> np.random.Generator:
    """Seed Python, NumPy and torch, and return a NumPy generator for the caller's own draws."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries that we call still draw from it
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def writable_folder(path: str | Path) -> Path:
    """Make the folder where there is none, so that a result without a place is refused before the work, not after it.

    Raises:
        OSError: it cannot be made, or nothing can be written there; the message names it.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=path).close()
    except OSError as error:
        raise OSError(f"{path}: expected a folder to write to, found none ({error.strerror})") from None
    return path


def best_device() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file so that it is either whole or untouched: yields a temporary sibling, then renames it over `path`.

    The temporary file is removed when the block raises (a full disk, say), so that what was there before survives.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
