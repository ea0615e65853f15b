"""A tiny CycleGAN training; as a script, `killed_run.py FOLDER` kills itself with SIGKILL between two checkpoints."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from histolib.config import PROFILES
from histolib.imaging import Patch
from histolib.translation import train_cyclegan

SETTINGS = replace(
    PROFILES["quick"].cyclegan, mpp=0.5, width=4, blocks=1, discriminator_width=4, patch_px=32, warm_steps=2, steps=4,
    ema=0.9, spectral_norm=True, content_limit=-1.0,
)  # fmt: skip


def train(folder: str | Path, resume: bool = False, kill_at: int = 0) -> None:
    torch.set_num_threads(1)
    rng, calls = np.random.default_rng(0), []
    ihc, he = (Patch(rng.integers(60, 220, (48, 48, 3), dtype=np.uint8), 0.5) for _ in range(2))

    def score(generators):
        """A score that depends on the weights; it draws random numbers of its own."""
        calls.append(torch.rand(3))
        if len(calls) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with torch.no_grad():
            return {"score": -generators["ihc_to_he"](torch.full((1, 3, 16, 16), 0.5)).mean().item()}

    options = {"validate": score, "validate_every": 1, "monitor": "score", "save_every": 3, "progress": False}
    train_cyclegan([ihc], [he], SETTINGS, folder, resume=resume, **options)


if __name__ == "__main__":
    train(sys.argv[1], kill_at=5)
