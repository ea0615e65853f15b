"""A folder of outlined nuclei, whichever layout it has."""

from __future__ import annotations

from pathlib import Path

from histolib.data.endonuke import EndoNuke
from histolib.data.instance_tiles import InstanceTiles, consep_images
from histolib.data.pannuke import PanNuke
from histolib.data.point_discs import PointDiscs
from histolib.data.samples import InstanceReader

__all__ = ["open_outlined"]


def open_outlined(root: str | Path) -> tuple[InstanceReader, list[str]]:
    """The samples of a folder, and the names of their types 1, 2, ...

    Args:
        root: in PanNuke's layout, of CoNSeP's tiles (whole images come out), or in EndoNuke's layout (a disc for every
            point).

    Raises:
        FileNotFoundError, ValueError: as `PanNuke`, `consep_images` and `EndoNuke`.
    """
    if (Path(root) / "types.json").is_file():
        return consep_images(root), list(InstanceTiles.types.values())
    if any((folder / "labels").is_dir() for folder in (Path(root), Path(root) / "dataset")):
        tiles = EndoNuke(root)
        return PointDiscs(tiles), list(tiles.types.values())
    return PanNuke(root), list(PanNuke.types.values())
