"""Data room: readers of the official layouts, downloads and phantom tissue."""

from histolib.data.bci import BCI
from histolib.data.download import download, unpack
from histolib.data.endonuke import EndoNuke, id_runs
from histolib.data.instance_tiles import InstanceTiles, consep_images, stitch
from histolib.data.pannuke import PanNuke
from histolib.data.prepare import prepare_pannuke
from histolib.data.samples import InstanceReader, InstanceSample, KeypointSample, PairSample
from histolib.data.sources import Source, sources

__all__ = [
    "BCI",
    "EndoNuke",
    "InstanceReader",
    "InstanceSample",
    "InstanceTiles",
    "KeypointSample",
    "PairSample",
    "PanNuke",
    "Source",
    "consep_images",
    "download",
    "id_runs",
    "prepare_pannuke",
    "sources",
    "stitch",
    "unpack",
]
