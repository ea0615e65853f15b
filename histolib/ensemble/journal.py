"""Finished tiles of a slide on disk, so that an interrupted detection can continue."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..io import reading, replacing


class Journal:
    """A folder with the settings of a detection and one JSON file for each finished tile.

    Args:
        folder: created if needed; several processes may share it.
        settings: JSON values that the tiles depend on.

    Raises:
        ValueError: an earlier run had other settings.
        OSError: a file cannot be written.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, file = folder, folder / "settings.json"
        if not file.is_file():
            self._write("settings", settings)
        with reading(file, "the settings of a detection", ValueError):
            known = json.loads(file.read_text("utf-8"))
        if known != settings:
            raise ValueError(f"{folder}: expected tiles of the same image and settings; run without --resume")

    @property
    def done(self) -> set[int]:
        """Numbers of the finished tiles."""
        return {int(path.stem) for path in self.folder.glob("[0-9]*.json")}

    def append(self, record: dict[str, Any]) -> None:
        """Add a tile; it is on disk, completely or not at all, when the function returns."""
        self._write(str(record["tile"]), record)

    def records(self) -> Iterator[dict[str, Any]]:
        """All tiles in ascending order, one in memory at a time."""
        for tile in sorted(self.done):
            yield json.loads((self.folder / f"{tile}.json").read_text("utf-8"))

    def _write(self, name: str, content: dict[str, Any]) -> None:
        with replacing(self.folder / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(content))
