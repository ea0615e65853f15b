"""A fold of PanNuke in a fourteenth of its published bytes: how the compact store lies on disk, and its reader."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

from histolib.data.rows import Rows
from histolib.data.samples import InstanceSample
from histolib.imaging import Patch

__all__ = ["ARRAYS", "MANIFEST", "PREPARE", "TABLES", "VERSION", "StoredFold", "crc32_of", "store_folder", "store_of"]

VERSION = 1  # of the layout
MANIFEST = "manifest.json"  # written last: a store without it is unfinished
ARRAYS = {"images.npy": ("u1", (256, 256, 3)), "instances.npy": ("u2", (256, 256))}  # one row a sample
TABLES = ("types.npy", "counts.npy", "tissues.npy")  # of all nuclei in a row; nuclei of each sample; its tissue
PREPARE = "`histolib data prepare pannuke` makes a store that is fast in any order"
CHUNK = 1 << 20


def store_folder(root: str | Path, fold: int) -> Path:
    """Where the store of a fold belongs below PanNuke's folder."""
    return Path(root) / "compact" / f"fold{fold}"


def store_of(root: str | Path, fold: int) -> bool:
    """Whether a fold has a finished store."""
    return (store_folder(root, fold) / MANIFEST).is_file()


def crc32_of(path: Path) -> str:
    """CRC-32 of a file as eight hexadecimal digits."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            crc = zlib.crc32(block, crc)
    return f"{crc:08x}"


class StoredFold:
    """One fold as `prepare_pannuke` wrote it.

    Attributes:
        name: fold1, fold2 or fold3.
        tissues: of each sample.
        folder: where its files lie.

    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: sizes or counts are not those of the manifest, or what it was made of has another size by now.
    """

    mpp = 0.25

    def __init__(self, root: str | Path, number: int) -> None:
        self.name, self.folder = f"fold{number}", store_folder(root, number)
        path = self.folder / MANIFEST
        try:
            manifest = json.loads(path.read_text("utf-8"))
            version, count, nuclei = (manifest[key] for key in ("version", "count", "nuclei"))
            self._crcs = {name: manifest["files"][name]["crc32"] for name in (*ARRAYS, *TABLES)}
            sizes = {self.folder / name: manifest["files"][name]["bytes"] for name in self._crcs}
            self._sources: dict[str, int] = dict(manifest["sources"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: expected the manifest of a store, found another ({error})") from None
        if version != VERSION:
            raise ValueError(f"{path}: expected version {VERSION}, found {version}; {self._anew}")
        for file, size in sizes.items():
            if not file.is_file():
                raise FileNotFoundError(f"{file}: expected {size} bytes, found nothing; {self._anew}")
            if file.stat().st_size != size:
                raise ValueError(f"{file}: expected {size} bytes, found {file.stat().st_size}; {self._anew}")
        self._images, self._instances = (Rows(self.folder / name) for name in ARRAYS)
        try:
            types, counts, tissues = (np.load(self.folder / name) for name in TABLES)
        except ValueError as error:
            raise ValueError(f"{self.folder}: expected {', '.join(TABLES)}, found damage ({error})") from None
        rows = [*(array.shape[0] for array in (self._images, self._instances, counts, tissues)), counts.sum()]
        if rows != [count] * 4 + [nuclei] or len(types) != nuclei:
            raise ValueError(f"{self.folder}: expected {count} rows and {nuclei} nuclei, found others; {self._anew}")
        self.tissues = tuple(map(str, tissues))
        self._types, self._starts = types, np.append(0, np.cumsum(counts, dtype=np.int64))
        self.check_sources(root)

    @property
    def _anew(self) -> str:
        return f"delete {self.folder} and run `histolib data prepare pannuke` again"

    def check_sources(self, root: str | Path) -> None:
        """Refuse to stand in for files below `root` that have another size than those that the store was made of."""
        for name, size in self._sources.items():
            path = Path(root) / name
            if path.is_file() and path.stat().st_size != size:
                raise ValueError(
                    f"{path}: expected {size} bytes as when {self.folder} was made of it, "
                    f"found {path.stat().st_size}; {self._anew}"
                )

    def check(self) -> list[str]:
        """Files whose bytes are no longer those that were written, a line each."""
        found = {name: crc32_of(self.folder / name) for name in self._crcs}
        return [
            f"{self.folder / name}: expected CRC-32 {crc}, found {found[name]}; {self._anew}"
            for name, crc in self._crcs.items()
            if found[name] != crc
        ]

    def read(self, index: int) -> InstanceSample:
        """Sample of a row, equal to the one of the published files."""
        patch = Patch(np.array(self._images.row(index)), self.mpp, f"{self.name}_{index:05d}")
        instances = np.array(self._instances.row(index), np.int32)
        types = self._types[self._starts[index] : self._starts[index + 1]].astype(np.int64)
        return InstanceSample(patch, instances, types, self.tissues[index], self.name)
