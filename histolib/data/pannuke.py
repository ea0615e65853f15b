"""PanNuke as published: folds of H&E patches with outlined nuclei, read row by row from .npy files or the zips."""

from __future__ import annotations

import logging
import math
import os
import sys
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

import numpy as np

from histolib.data.samples import InstanceSample, Reader, contiguous
from histolib.imaging import Patch

__all__ = ["PanNuke", "merge_channels"]

logger = logging.getLogger(__name__)

PATCH_PX = 256
TYPES = {1: "neoplastic", 2: "inflammatory", 3: "connective", 4: "dead", 5: "epithelial"}
TISSUES = (
    *("Adrenal_gland", "Bile-duct", "Bladder", "Breast", "Cervix", "Colon", "Esophagus", "HeadNeck", "Kidney", "Liver"),
    *("Lung", "Ovarian", "Pancreatic", "Prostate", "Skin", "Stomach", "Testis", "Thyroid", "Uterus"),
)
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


class PanNuke(Reader[InstanceSample]):
    """Patches of the chosen folds, in the order of the files; the group of a sample is its fold.

    A fold is the folder `Fold N` with `images/foldN/{images,types}.npy` and `masks/foldN/masks.npy`, or `fold_N.zip`
    with the same members. Folders are memory-mapped. A zip can only be read forwards: a pass in order is cheap, a jump
    back starts over, so unpack what is trained on. Either way one row is in memory at a time.
    Gamper et al., PanNuke Dataset Extension, Insights and Baselines, arXiv:2003.10778 (2020).

    Args:
        root: folder that holds the folds.
        folds: which of 1, 2 and 3 to read; None for all that are there.

    Raises:
        FileNotFoundError: a fold or one of its files is missing.
        ValueError: a file has another shape or type, the counts of a fold disagree, or (on access) a file is damaged or
            holds values that are no intensities or ids.
    """

    mpp = 0.25
    types = TYPES
    tissue_names = TISSUES

    def __init__(self, root: str | Path, folds: Sequence[int] | None = None) -> None:
        self.root = Path(root)
        if folds is None:
            folds = [fold for fold in (1, 2, 3) if any(path.exists() for path in _places(self.root, fold))]
            if not folds:
                raise FileNotFoundError(f"{self.root}: expected a folder 'Fold 1' or fold_1.zip, found neither")
        if not folds or not set(folds) <= {1, 2, 3}:
            raise ValueError(f"PanNuke: expected folds out of 1, 2 and 3, found {list(folds)}")
        self.folds = tuple(folds)
        self._folds = [_Fold(self.root, fold) for fold in self.folds]
        self._ends = list(accumulate(len(fold.tissues) for fold in self._folds))

    @property
    def tissues(self) -> tuple[str, ...]:
        """Tissue of each sample, without reading its image."""
        return tuple(tissue for fold in self._folds for tissue in fold.tissues)

    def __len__(self) -> int:
        return self._ends[-1]

    def _read(self, index: int) -> InstanceSample:
        number = bisect_right(self._ends, index)
        fold = self._folds[number]
        return fold.read(index - self._ends[number] + len(fold.tissues))


def _places(root: Path, fold: int) -> tuple[Path, Path]:
    return root / f"Fold {fold}", root / f"fold_{fold}.zip"


def merge_channels(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn one map of ids a type into one map of nuclei.

    Ids repeat from channel to channel, so each channel's are shifted past those of the channels before. Where channels
    overlap the later one wins, as in the data set's own evaluation code; a nucleus that is covered entirely is gone.

    Args:
        masks: ids (H, W, C) of C types, 0 is background; the background channel left out.

    Returns:
        int32 (H, W) of ids 1..K, and the type 1..C of each, int64 (K,).
    """
    merged, owner, offset = np.zeros(masks.shape[:2], np.int64), [np.zeros(0, np.int64)], 0
    for channel in range(masks.shape[2]):
        ids, old = contiguous(masks[..., channel])
        merged[ids > 0] = ids[ids > 0] + offset
        owner.append(np.full(len(old), channel + 1))
        offset += len(old)
    instances, kept = contiguous(merged)
    return instances, np.concatenate(owner)[kept - 1]


class _Fold:
    """One fold's three arrays, checked against each other."""

    def __init__(self, root: Path, number: int) -> None:
        self.name = f"fold{number}"
        folder, archive = _places(root, number)
        files = ("images", "images"), ("masks", "masks"), ("images", "types")
        members = [f"{folder.name}/{kind}/{self.name}/{file}.npy" for kind, file in files]
        if folder.is_dir():
            self.images, self.masks, types = (_Rows(root / member) for member in members)
        elif archive.is_file():
            self.images, self.masks, types = (_Rows(archive, member) for member in members)
        else:
            raise FileNotFoundError(f"{root}: expected the folder {folder.name!r} or {archive.name}, found neither")
        count = types.expect("U", ())
        for rows, shape in ((self.images, (PATCH_PX, PATCH_PX, 3)), (self.masks, (PATCH_PX, PATCH_PX, 6))):
            if rows.expect("f", shape) != count:
                raise ValueError(f"{rows}: expected {count} rows as in {types}, found {rows.shape[0]}")
        self.tissues = tuple(str(types.row(i)) for i in range(count))
        unknown = sorted(set(self.tissues) - set(TISSUES))
        if unknown:
            logger.warning("%s: expected one of %d tissues, found %s", types, len(TISSUES), ", ".join(unknown))

    def read(self, index: int) -> InstanceSample:
        image, masks = self.images.row(index), self.masks.row(index)[..., : len(TYPES)]
        low, high = image.min(), image.max()
        if not (low >= 0 and high <= 255):  # NaN fails as well
            raise ValueError(f"{self.images}: expected 0 to 255 in row {index}, found {low:g} to {high:g}")
        if not (masks.min() >= 0 and np.array_equal(masks, np.rint(masks))):
            raise ValueError(f"{self.masks}: expected whole ids >= 0 in row {index}, found others")
        instances, types = merge_channels(masks)
        patch = Patch(np.rint(image).astype(np.uint8), PanNuke.mpp, f"{self.name}_{index:05d}")
        lost = sum(np.count_nonzero(np.unique(channel)) for channel in np.moveaxis(masks, -1, 0)) - len(types)
        if lost:
            logger.warning("%s: in row %d, %d nuclei lie entirely under another type's", self.masks, index, lost)
        return InstanceSample(patch, instances, types, self.tissues[index], self.name)


class _Rows:
    """Rows of one .npy file, on disk or inside a zip, one at a time."""

    def __init__(self, path: Path, member: str = "") -> None:
        self._path, self._member = path, member
        self._stream: tuple[int, IO[bytes]] | None = None
        self._whole = sys.maxsize  # rows before a damage in the zip; all after it are lost
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected a .npy file, found nothing")
        try:
            with self._open() as file:
                self.shape, fortran, self.dtype = _read_header(file)
                self._offset = file.tell()
            size = zipfile.ZipFile(path).getinfo(member).file_size if member else path.stat().st_size
        except KeyError:
            raise FileNotFoundError(f"{path}: expected the member {member}, found none") from None
        except (ValueError, *DAMAGE) as error:
            raise ValueError(f"{self}: expected a .npy file, found a damaged one ({error})") from None
        if fortran or self.dtype.hasobject:
            raise ValueError(f"{self}: expected plain numbers in C order, found {self.dtype}, Fortran order {fortran}")
        expected = self._offset + math.prod(self.shape) * self.dtype.itemsize
        if size < expected:
            raise ValueError(f"{self}: expected {expected} bytes, found {size}: the file is cut short")

    def __str__(self) -> str:
        return f"{self._path}:{self._member}" if self._member else str(self._path)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stream": None}  # a worker process opens its own

    def expect(self, kind: str, shape: tuple[int, ...]) -> int:
        """Check the type and the shape of a row; return the number of rows."""
        if self.dtype.kind != kind or len(self.shape) < 1 or self.shape[1:] != shape:
            kinds, wanted = {"f": "float64", "U": "text"}, ", ".join(("N", *map(str, shape)))
            raise ValueError(f"{self}: expected {kinds[kind]} ({wanted}), found {self.dtype} {self.shape}")
        return self.shape[0]

    def row(self, index: int) -> np.ndarray:
        """One row, read from disk."""
        if not self._member:
            # Mapped anew each time: nothing stays open, and a worker process never inherits a copy of the fold.
            return np.memmap(self._path, self.dtype, "r", self._offset, self.shape)[index]
        # A forked worker shares its parent's file position, so the process owns the stream.
        if self._stream is None or self._stream[0] != os.getpid():
            self._stream = os.getpid(), self._open()
        file, size = self._stream[1], math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            if index >= self._whole:
                raise EOFError(f"row {self._whole} could not be read")
            file.seek(self._offset + index * size)
            data = file.read(size)
        except DAMAGE as error:
            self._stream, self._whole = None, min(index, self._whole)
            raise ValueError(f"{self}: expected a whole file, found damage at row {index} ({error})") from None
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])

    def _open(self) -> IO[bytes]:
        return zipfile.ZipFile(self._path).open(self._member) if self._member else self._path.open("rb")


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)
