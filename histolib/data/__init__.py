"""Data room: readers of the official layouts, splits, downloads and synthetic tissue."""

from .bci import BCI
from .brca_m2c import BRCAM2C
from .endonuke import EndoNuke, id_runs
from .instance_tiles import InstanceTiles, consep_images
from .pannuke import PanNuke
from .samples import InstanceSample, KeypointSample
from .splits import read_split
from .training_sets import Patches, open_stain, split_runs

__all__ = [
    "BCI", "BRCAM2C", "EndoNuke", "InstanceSample", "InstanceTiles", "KeypointSample", "PanNuke", "Patches",
    "consep_images", "id_runs", "open_stain", "read_split", "split_runs",
]  # fmt: skip
