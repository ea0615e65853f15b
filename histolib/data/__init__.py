"""Data room: readers of the official layouts, splits, downloads and synthetic tissue."""

from .bci import BCI
from .brca_m2c import BRCAM2C
from .endonuke import EndoNuke, id_runs
from .instance_tiles import InstanceTiles
from .pannuke import PanNuke
from .samples import InstanceSample
from .training_sets import Patches, split_runs

__all__ = [
    "BCI", "BRCAM2C", "EndoNuke", "InstanceSample", "InstanceTiles", "PanNuke", "Patches", "id_runs", "split_runs",
]  # fmt: skip
