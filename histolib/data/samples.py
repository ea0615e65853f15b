"""What a data set hands out, so that rooms downstream see typed samples and never a file layout."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, overload

import numpy as np

from histolib.imaging import Patch

__all__ = ["InstanceReader", "InstanceSample", "KeypointSample", "PairSample", "Reader"]

T = TypeVar("T")
NAMED = 5  # missing files that one message lists before it counts the rest


@dataclass(frozen=True, slots=True)
class PairSample:
    """The same place of a slide in both stains, registered.

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
    """A patch whose nuclei are outlined.

    Attributes:
        patch: the image, (H, W, 3).
        instances: int32 (H, W); 0 is background, nuclei are 1..K without a gap.
        types: int64 (K,), the type of nucleus i at i - 1.
        tissue: organ as the data set spells it, empty where it does not say.
        group: what must not be torn apart by a split (fold, image).

    Raises:
        ValueError: the shapes of image, instances and types disagree.
    """

    patch: Patch
    instances: np.ndarray
    types: np.ndarray
    tissue: str
    group: str

    def __post_init__(self) -> None:
        expected, found = self.patch.image.shape[:2], self.instances.shape
        if found != expected:
            raise ValueError(f"{self.patch.name}: expected an instance map of {expected} px, found {found}")
        if self.instances.max() != len(self.types):
            raise ValueError(
                f"{self.patch.name}: expected one type for each of {self.instances.max()} instances, "
                f"found {len(self.types)}"
            )

    @property
    def type_map(self) -> np.ndarray:
        """Type of every pixel's nucleus: uint8 (H, W), 0 is background."""
        return np.concatenate([[0], self.types]).astype(np.uint8)[self.instances]

    @property
    def xy(self) -> np.ndarray:
        """Centroids in pixels: float64 (K, 2)."""
        rows, columns = np.nonzero(self.instances)
        ids, count = self.instances[rows, columns], len(self.types) + 1
        total = np.stack([np.bincount(ids, values, count) for values in (columns, rows)], axis=1)
        return total[1:] / np.bincount(ids, minlength=count)[1:, None]


@dataclass(frozen=True, slots=True)
class KeypointSample:
    """A patch whose nuclei are marked by a point.

    Attributes:
        patch: the image, (H, W, 3).
        xy: points in pixels of the image, float64 (K, 2).
        types: class of each point, int64 (K,).
        annotator: who set the points.
        problems: what was wrong with the label file and what was done about it, a line each.
    """

    patch: Patch
    xy: np.ndarray
    types: np.ndarray
    annotator: str
    problems: tuple[str, ...]


class Reader(Sequence[T], ABC, Generic[T]):
    """A data set on disk as a sequence: cheap to open, a sample is read when it is asked for."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _read(self, index: int) -> T:
        """Read the sample at an index in [0, len)."""

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(len(self)))]
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"{type(self).__name__}: expected an index below {len(self)}, found {position}")
        return self._read(position % len(self))

    def __iter__(self) -> Iterator[T]:
        return (self._read(i) for i in range(len(self)))


class InstanceReader(Reader[InstanceSample]):
    """A set of outlined nuclei, which can be split before an image is read."""

    @property
    @abstractmethod
    def groups(self) -> tuple[str, ...]:
        """`group` of each sample, without reading it."""


def locate(root: str | Path, needs: Sequence[str], children: Sequence[str] = ()) -> Path:
    """The folder that holds all of `needs`: `root`, or one of its named `children`.

    Raises:
        FileNotFoundError: no such folder; the message names what `root` lacks.
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
    """Files with one of the suffixes by stem, in order; hidden ones (macOS leaves `._x.png`) are not data."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder, found {'a file' if folder.exists() else 'nothing'}")
    found = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes)
    return {path.stem: path for path in found if not path.name.startswith(".")}


def shorten(names: Sequence[str]) -> str:
    """A few names and how many more there are, for one line of message."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def contiguous(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Renumber the ids of a label map to 1..K in their order.

    Returns:
        int32 (H, W) and the old ids, (K,): new id i was `old[i - 1]`.
    """
    old = np.unique(labels)
    old = old[old != 0]
    return np.where(labels == 0, 0, np.searchsorted(old, labels) + 1).astype(np.int32), old
