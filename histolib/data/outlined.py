"""A folder of outlined nuclei, whichever layout it has."""

from __future__ import annotations

from pathlib import Path

from histolib.data.instance_tiles import InstanceTiles, consep_images
from histolib.data.pannuke import PanNuke
from histolib.data.samples import InstanceReader

__all__ = ["open_outlined"]


def open_outlined(root: str | Path) -> tuple[InstanceReader, list[str]]:
    """The samples of PanNuke's layout or of CoNSeP's tiles (whole images), and the names of their types 1, 2, ...

    Raises:
        FileNotFoundError, ValueError: as `PanNuke` and `consep_images`.
    """
    if (Path(root) / "types.json").is_file():
        return consep_images(root), list(InstanceTiles.types.values())
    return PanNuke(root), list(PanNuke.types.values())
