"""Typed samples and the base classes of all readers."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..imaging import Patch

T = TypeVar("T", covariant=True)
NAMED = 5  # names that an error message lists before it counts the rest


@dataclass(frozen=True, slots=True)
class PairSample:
    """Registered patches of the same tissue in both stains.

    Attributes:
        name: name of the pair.
        he: H&E patch.
        ihc: IHC patch of the same size.
        level: HER2 level of the slide (not of the patch): 0, 1+, 2+ or 3+.
    """

    name: str
    he: Patch
    ihc: Patch
    level: str


@dataclass(frozen=True, slots=True)
class InstanceSample:
    """A patch with outlined nuclei.

    Attributes:
        patch: the image, (H, W, 3).
        instances: int32 (H, W); 0 is background, nuclei are 1..K without gaps.
        types: int64 (K,), the type of nucleus i at i - 1.
        tissue: organ as the data set spells it, empty if unknown.
        group: fold, image or tile id; a split keeps each group in one part.
    """

    patch: Patch
    instances: np.ndarray
    types: np.ndarray
    tissue: str
    group: str

    @property
    def xy(self) -> np.ndarray:
        """Centroids in pixels: float64 (K, 2)."""
        rows, columns = np.nonzero(self.instances)
        ids, count = self.instances[rows, columns], len(self.types) + 1
        total = np.stack([np.bincount(ids, values, count) for values in (columns, rows)], axis=1)
        return total[1:] / np.bincount(ids, minlength=count)[1:, None]


@dataclass(frozen=True, slots=True)
class KeypointSample:
    """A patch with one point per nucleus.

    Attributes:
        patch: the image, (H, W, 3).
        xy: points in pixels of the image, float64 (K, 2).
        types: class of each point, int64 (K,).
    """

    patch: Patch
    xy: np.ndarray
    types: np.ndarray


class Reader(Sequence[T]):
    """A data set on disk as a sequence: opening is cheap, each sample is read on access.

    Args:
        keys: key of each sample, such as its file name; `_read` turns a key into a sample.
    """

    def __init__(self, keys: Iterable[Any]) -> None:
        self._keys = tuple(keys)

    @abstractmethod
    def _read(self, key: Any) -> T: ...

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._read(key) for key in self._keys[index]]
        return self._read(self._keys[index])


class InstanceReader(Reader[InstanceSample]):
    """A data set of outlined nuclei that can be split without reading images; `groups` holds the group of each."""

    groups: tuple[str, ...]


def locate(root: str | Path, needs: Sequence[str], *children: str) -> Path:
    """Find the folder that holds all of `needs`: `root` or one of its `children`.

    Raises:
        FileNotFoundError: there is no such folder; the message names what `root` lacks.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: expected a folder, found {'a file' if root.exists() else 'nothing'}")
    for folder in (root, *(root / child for child in children)):
        if all((folder / need).exists() for need in needs):
            return folder
    missing = [need for need in needs if not (root / need).exists()]
    raise FileNotFoundError(f"{root}: expected {' and '.join(needs)}, found no {' and no '.join(missing)}")


def list_files(folder: Path, *suffixes: str) -> dict[str, Path]:
    """Sorted files with one of the suffixes, by stem; hidden files (macOS leaves `._x.png`) are skipped."""
    locate(folder, ())
    found = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes)
    return {path.stem: path for path in found if not path.name.startswith(".")}


def shorten(names: Sequence[str]) -> str:
    """The first names and the number of the others, for one line of an error message."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def contiguous(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Renumber the ids of a label map to 1..K, keeping their order.

    Returns:
        int32 (H, W), and the old ids (K,): new id i was `old[i - 1]`.
    """
    old = np.unique(labels)
    old = old[old != 0]
    return np.where(labels == 0, 0, np.searchsorted(old, labels) + 1).astype(np.int32), old
