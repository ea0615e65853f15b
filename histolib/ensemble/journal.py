"""Finished tiles of a slide on disk, so that an interrupted detection can continue."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..io import reading


class Journal:
    """Finished tiles of one slide on disk: a line with the settings, then one JSON line per tile.

    Every process appends to its own file and reads those of all. A line that was cut short by a kill is dropped.

    Args:
        path: files are this path with `.0`, `.1`, ... for each process.
        settings: JSON values that the tiles depend on.
        process: number of this process.

    Raises:
        ValueError: an earlier run had other settings.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, settings: dict[str, Any], process: int = 0) -> None:
        self.path = path
        self._settings = settings
        self._own = path.with_name(f"{path.name}.{process}")
        self._index: dict[int, tuple[Path, int]] = {}
        self.refresh()

    @property
    def done(self) -> set[int]:
        """Tiles that were finished by all processes at the last `refresh`."""
        return set(self._index)

    def refresh(self) -> None:
        """Read which tiles all processes have finished; a cut line of the own file is removed."""
        self._index.clear()
        for file in _journals(self.path):
            with file.open("rb+") as lines:
                end = 0
                for line in iter(lines.readline, b""):
                    if not line.endswith(b"\n"):
                        break
                    with reading(file, "a JSON line for each tile", ValueError):
                        row = json.loads(line)
                    if end == 0 and row != self._settings:
                        raise ValueError(f"{file}: expected tiles of the same image and settings; run without --resume")
                    if end:
                        self._index[row["tile"]] = file, end
                    end += len(line)
                if file == self._own:
                    lines.truncate(end)

    def append(self, record: dict[str, Any]) -> None:
        """Add a tile; it is on disk when the function returns."""
        try:
            with self._own.open("ab") as file:
                start = file.tell()
                try:
                    rows = [record] if start else [self._settings, record]
                    file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(self._own, start)
                    raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._own)) from None

    def records(self) -> Iterator[dict[str, Any]]:
        """All tiles in ascending order, one in memory at a time."""
        for _, (path, start) in sorted(self._index.items()):
            with path.open("rb") as file:
                file.seek(start)
                yield json.loads(file.readline())

    @staticmethod
    def delete(path: Path) -> None:
        """Remove the files of all processes."""
        for file in _journals(path):
            file.unlink()


def _journals(path: Path) -> list[Path]:
    """The files of all processes."""
    return sorted(file for file in path.parent.iterdir() if file.name.startswith(f"{path.name}."))
