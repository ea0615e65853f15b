"""Data room: readers of the official layouts, downloads and phantom tissue."""

from histolib.data.bci import BCI
from histolib.data.endonuke import EndoNuke, id_runs
from histolib.data.instance_tiles import InstanceTiles, consep_images, stitch
from histolib.data.pannuke import PanNuke
from histolib.data.samples import InstanceSample, KeypointSample, PairSample

__all__ = [
    "BCI",
    "EndoNuke",
    "InstanceSample",
    "InstanceTiles",
    "KeypointSample",
    "PairSample",
    "PanNuke",
    "consep_images",
    "id_runs",
    "stitch",
]
