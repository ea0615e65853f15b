"""PanNuke as published: folds of H&E patches with outlined nuclei, read row by row from .npy files or the zips."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from histolib.data.rows import Rows
from histolib.data.samples import InstanceReader, InstanceSample, contiguous
from histolib.data.store import PREPARE, StoredFold, store_of
from histolib.imaging import Patch

__all__ = ["OfficialFold", "PanNuke", "merge_channels"]

logger = logging.getLogger(__name__)

PATCH_PX = 256
TYPES = {1: "neoplastic", 2: "inflammatory", 3: "connective", 4: "dead", 5: "epithelial"}
TISSUES = (
    *("Adrenal_gland", "Bile-duct", "Bladder", "Breast", "Cervix", "Colon", "Esophagus", "HeadNeck", "Kidney", "Liver"),
    *("Lung", "Ovarian", "Pancreatic", "Prostate", "Skin", "Stomach", "Testis", "Thyroid", "Uterus"),
)


class PanNuke(InstanceReader):
    """Patches of the chosen folds, in the order of the files; the group of a sample is its fold.

    A fold is its store `compact/foldN` as `prepare_pannuke` writes it, else the folder `Fold N` with
    `images/foldN/{images,types}.npy` and `masks/foldN/masks.npy`, else `fold_N.zip` with the same members; the samples
    are the same. One row is in memory at a time. Stores and folders are read in any order; a zip only forwards, where
    a jump back starts over, so prepare what is trained on: `histolib data prepare pannuke`.
    Gamper et al., PanNuke Dataset Extension, Insights and Baselines, arXiv:2003.10778 (2020).

    Args:
        root: folder that holds the folds.
        folds: which of 1, 2 and 3 to read; None for all that are there.

    Raises:
        FileNotFoundError: a fold or one of its files is missing.
        ValueError: a file has another shape or type, the counts of a fold disagree, a store is not what its manifest
            says, or (on access) a file is damaged or holds values that are no intensities or ids.

    >>> from tempfile import TemporaryDirectory
    >>> from histolib.data import phantom
    >>> with TemporaryDirectory() as folder:
    ...     samples = PanNuke(phantom.write_pannuke(f"{folder}/pannuke", per_fold=1), folds=(1, 2))
    ...     print(samples.groups, samples[0].instances.shape, samples[0].instances.max() == len(samples[0].types))
    ('fold1', 'fold2') (256, 256) True
    """

    mpp = 0.25
    types = TYPES
    tissue_names = TISSUES

    def __init__(self, root: str | Path, folds: Sequence[int] | None = None) -> None:
        self.root = Path(root)
        if folds is None:
            folds = [fold for fold in (1, 2, 3) if store_of(self.root, fold) or OfficialFold.is_at(self.root, fold)]
            if not folds:
                raise FileNotFoundError(f"{self.root}: expected a folder 'Fold 1' or fold_1.zip, found neither")
        if not folds or not set(folds) <= {1, 2, 3}:
            raise ValueError(f"PanNuke: expected folds out of 1, 2 and 3, found {list(folds)}")
        self.folds = tuple(folds)
        self._folds = [
            StoredFold(self.root, fold) if store_of(self.root, fold) else OfficialFold(self.root, fold)
            for fold in self.folds
        ]
        self._ends = list(accumulate(len(fold.tissues) for fold in self._folds))

    @property
    def tissues(self) -> tuple[str, ...]:
        """Tissue of each sample, without reading its image."""
        return tuple(tissue for fold in self._folds for tissue in fold.tissues)

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(fold.name for fold in self._folds for _ in fold.tissues)

    def check(self) -> list[str]:
        """Files of the stores whose bytes are no longer those that were written, a line each."""
        return [line for fold in self._folds if isinstance(fold, StoredFold) for line in fold.check()]

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


class OfficialFold:
    """One fold's three arrays as published, checked against each other; arguments and errors as `PanNuke`.

    Attributes:
        tissues: of each sample.
        zipped: whether they lie in a zip.
        files: the files that they lie in.
    """

    def __init__(self, root: Path, number: int) -> None:
        self.name = f"fold{number}"
        folder, archive = _places(root, number)
        kinds = ("images", "images"), ("masks", "masks"), ("images", "types")
        members = [f"{folder.name}/{kind}/{self.name}/{file}.npy" for kind, file in kinds]
        self.zipped = not folder.is_dir()
        self._next = 0
        if not self.zipped:
            self.files = [root / member for member in members]
            self.images, self.masks, types = map(Rows, self.files)
        elif archive.is_file():
            self.files = [archive]
            self.images, self.masks, types = (Rows(archive, member) for member in members)
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

    @staticmethod
    def is_at(root: Path, number: int) -> bool:
        """Whether there is something of the fold, whole or not."""
        return any(path.exists() for path in _places(root, number))

    def read(self, index: int) -> InstanceSample:
        """Sample of a row; errors as `PanNuke` has them on access."""
        if self.zipped and index < self._next:
            logger.warning("%s: read out of order, and a zip starts over each time; %s", self.files[0], PREPARE)
            self._next = -1  # said once
        elif self._next >= 0:
            self._next = index + 1
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
