"""A tiny HoVer-Net training; as a script, `killed_run.py FOLDER` kills itself with SIGKILL between two checkpoints."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from histolib.config import profile
from histolib.data.samples import InstanceSample
from histolib.imaging import Patch
from histolib.nuclei import train_hovernet

TINY = replace(
    profile("quick").hovernet,
    types=("round", "odd"), width=1 / 16, map_px=20, batch_size=2, steps=4, jitter=0.0, learning_rate=1e-3,
)  # fmt: skip


class Tiles(list):
    """Tiles of which the read number `kill_at` kills the process."""

    reads, kill_at = 0, 0

    def __getitem__(self, index):
        self.reads += 1
        if self.reads == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def train(folder: str | Path, resume: bool = False, kill_at: int = 0) -> None:
    torch.set_num_threads(1)
    drawn = []
    for shift in range(9):
        ids = np.zeros((60, 50), np.int32)
        ids[8:20, 9 + shift : 22 + shift], ids[30:44, 25:37] = 1, 2
        image = np.where(ids[..., None] > 0, (120, 60, 140), 245).astype(np.uint8)
        drawn.append(InstanceSample(Patch(image, 0.5, "tile"), ids, np.array([1, 2]), "", ""))
    tiles = Tiles(drawn * 1000)  # a tile that is drawn again is not read again
    tiles.kill_at = kill_at
    settings = replace(TINY, jitter=0.15, ema=0.9, validate_every=2)
    train_hovernet(tiles, settings, folder, validation=drawn[3:4], resume=resume, save_every=2, progress=False)


if __name__ == "__main__":
    assert "albumentations" not in sys.modules, "it is imported when a crop is drawn"
    train(sys.argv[1], kill_at=8)
