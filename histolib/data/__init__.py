"""Data room: readers of the official layouts, downloads and phantom tissue."""

from histolib.data.bci import BCI
from histolib.data.download import download, unpack
from histolib.data.endonuke import EndoNuke, id_runs
from histolib.data.instance_tiles import InstanceTiles, consep_images, stitch
from histolib.data.outlined import open_outlined
from histolib.data.pannuke import PanNuke
from histolib.data.point_discs import PointDiscs, draw_discs
from histolib.data.prepare import prepare_pannuke
from histolib.data.samples import InstanceReader, InstanceSample, KeypointSample, PairSample
from histolib.data.sources import Source, sources
from histolib.data.splits import PARTS, Subset, in_groups, read_split, split_ids, within

__all__ = [
    "BCI",
    "PARTS",
    "EndoNuke",
    "InstanceReader",
    "InstanceSample",
    "InstanceTiles",
    "KeypointSample",
    "PairSample",
    "PanNuke",
    "PointDiscs",
    "Source",
    "Subset",
    "consep_images",
    "download",
    "draw_discs",
    "id_runs",
    "in_groups",
    "open_outlined",
    "prepare_pannuke",
    "read_split",
    "sources",
    "split_ids",
    "stitch",
    "unpack",
    "within",
]
