"""Reader of PanNuke: folds of H&E patches with outlined nuclei, read and converted row by row."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from tqdm import tqdm

from ..imaging import Patch
from ..io import reading, writable_folder
from .download import extract
from .samples import InstanceReader, InstanceSample, contiguous

logger = logging.getLogger(__name__)

IMAGE, MASKS = (256, 256, 3), (256, 256, 6)
PREPARE = "`histolib data prepare pannuke`"
TABLE = "nuclei.npz"  # of a compact store: type of every nucleus, number of nuclei and tissue of every sample


class PanNuke(InstanceReader):
    """Patches of the chosen folds, in file order; the group of a sample is its fold.

    A fold is read from its compact store `compact/foldN`, which `prepare_pannuke` writes, if there is one, else from
    the folder `Fold N` with `images/foldN/{images,types}.npy` and `masks/foldN/masks.npy`. The samples are the same.
    One row is in memory at a time.
    Gamper et al., PanNuke Dataset Extension, Insights and Baselines, arXiv:2003.10778 (2020).

    Args:
        root: folder that holds the folds.
        folds: which of 1, 2 and 3 to read; None for all that exist.

    Raises:
        FileNotFoundError: a fold or one of its files is missing, or the fold is a zip that is not prepared.
        ValueError: a file is damaged, has another shape or dtype, the number of rows differs within a fold, or (on
            access) values are not intensities or ids.

    >>> from tempfile import TemporaryDirectory
    >>> from histolib.data import phantom
    >>> with TemporaryDirectory() as folder:
    ...     samples = PanNuke(phantom.write_pannuke(f"{folder}/pannuke", per_fold=1), folds=(1, 2))
    ...     print(samples.groups, samples[0].instances.shape, samples[0].instances.max() == len(samples[0].types))
    ('fold1', 'fold2') (256, 256) True
    """

    mpp = 0.25
    types = {1: "neoplastic", 2: "inflammatory", 3: "connective", 4: "dead", 5: "epithelial"}  # noqa: RUF012 - a constant

    def __init__(self, root: str | Path, folds: Sequence[int] | None = None) -> None:
        self.root = Path(root)
        opened = [_open_fold(self.root, fold) for fold in (existing_folds(self.root) if folds is None else folds)]
        super().__init__((fold, row) for fold in opened for row in range(len(fold.tissues)))
        self.tissues = tuple(fold.tissues[row] for fold, row in self._keys)
        self.groups = tuple(fold.name for fold, _ in self._keys)

    def _read(self, key: "tuple[_Fold, int]") -> InstanceSample:
        fold, row = key
        # Mapped on every access: no file stays open, and a worker process never receives a copy of the fold.
        image, masks = (np.load(path, mmap_mode="r")[row] for path in (fold.images, fold.masks))
        if fold.types is None:
            image, instances, types = _convert_row(image, masks, row, fold)
        else:
            image, instances, types = np.array(image), np.array(masks, np.int32), fold.types[row].astype(np.int64)
        patch = Patch(image, self.mpp, f"{fold.name}_{row:05d}")
        return InstanceSample(patch, instances, types, fold.tissues[row], fold.name)


def prepare_pannuke(root: str | Path, output: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Write a compact store of every fold: uint8 images, uint16 instances, types and tissues.

    `PanNuke(output)` reads it. A store appears when it is complete; folds that have one are skipped. The published
    files, 37 GB of float64, stay as they are. A zip is unpacked beside the store for the time of its conversion, about
    13 GB per fold.

    Args:
        root: folder of PanNuke, with `Fold N` or `fold_N.zip`.
        output: folder that receives `compact/foldN`; default `root`.
        progress: show a bar on stderr.

    Returns:
        The folder of each store.

    Raises:
        FileNotFoundError, ValueError: as `PanNuke`, or a zip is damaged; the message names the file and the row.
        OSError: `output` is not writable, or the disk is full.
    """
    root, output, stores = Path(root), Path(output or root), []
    for number in existing_folds(root, output):
        store = fold_places(output, number)[0]
        stores.append(store)
        if store.is_dir():
            logger.info("%s: complete, skipped", store)
            continue
        temporary = store.with_name(f".{store.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            _, folder, archive = fold_places(root, number)
            target = writable_folder(temporary / "store")
            if not folder.is_dir() and archive.is_file():
                extract(archive, temporary, members(number))
            samples = PanNuke(root if folder.is_dir() else temporary, [number])
            _write_store(tqdm(samples, f"fold{number}", disable=not progress), samples.tissues, target)
            target.replace(store)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return stores


def _write_store(samples: tqdm, tissues: tuple[str, ...], store: Path) -> None:
    types = []
    with (store / "images.npy").open("wb") as images, (store / "instances.npy").open("wb") as instances:
        for file, kind, shape in ((images, "|u1", IMAGE), (instances, "<u2", MASKS[:2])):
            header = {"descr": kind, "fortran_order": False, "shape": (len(tissues), *shape)}
            np.lib.format.write_array_header_1_0(file, header)
        for sample in samples:
            images.write(sample.patch.image.tobytes())
            instances.write(sample.instances.astype("<u2").tobytes())
            types.append(sample.types)
    counts, kinds = np.array([len(row) for row in types], np.int64), np.concatenate([[], *types]).astype(np.uint8)
    np.savez(store / TABLE, types=kinds, counts=counts, tissues=np.array(tissues, dtype=str))


@dataclass(frozen=True, slots=True)
class _Fold:
    """Files of a fold; `types` by sample in a compact store, None where masks are as published."""

    name: str
    images: Path
    masks: Path
    tissues: tuple[str, ...]
    types: list[np.ndarray] | None = None


def existing_folds(*roots: Path) -> list[int]:
    """Numbers of the folds that exist below any of the folders in any form.

    Raises:
        FileNotFoundError: there is none.
    """
    found = [n for n in (1, 2, 3) if any(path.exists() for root in roots for path in fold_places(root, n))]
    if not found:
        raise FileNotFoundError(f"{roots[0]}: expected a folder 'Fold 1' or fold_1.zip, found neither")
    return found


def fold_places(root: Path, number: int) -> tuple[Path, Path, Path]:
    """Compact store, folder and zip of a fold, in the order of preference."""
    return root / "compact" / f"fold{number}", root / f"Fold {number}", root / f"fold_{number}.zip"


def members(number: int) -> list[str]:
    """Files of a fold as published: images, masks and tissues."""
    kinds = (("images", "images"), ("masks", "masks"), ("images", "types"))
    return [f"Fold {number}/{kind}/fold{number}/{file}.npy" for kind, file in kinds]


def _open_fold(root: Path, number: int) -> _Fold:
    name = f"fold{number}"
    store, folder, archive = fold_places(root, number)
    if store.is_dir():
        return _open_store(store, name)
    if not folder.is_dir():
        if archive.is_file():
            raise FileNotFoundError(f"{archive}: expected a folder or a compact store, found a zip; run {PREPARE}")
        raise FileNotFoundError(f"{root}: expected the folder {folder.name!r} or {archive.name}, found neither")
    images, masks, types = (root / member for member in members(number))
    tissues = tuple(map(str, _mapped(types, "U", ())))
    for path, shape in ((images, IMAGE), (masks, MASKS)):
        count = len(_mapped(path, "f", shape))
        if count != len(tissues):
            raise ValueError(f"{path}: expected {len(tissues)} rows as in {types}, found {count}")
    return _Fold(name, images, masks, tissues)


def _open_store(store: Path, name: str) -> _Fold:
    try:
        with np.load(store / TABLE) as table:
            types, counts, tissues = (table[key] for key in ("types", "counts", "tissues"))
        images, instances = store / "images.npy", store / "instances.npy"
        rows = [*map(len, (_mapped(images, "u", IMAGE), _mapped(instances, "u", MASKS[:2]), counts, tissues))]
        if len(set(rows)) > 1 or counts.sum() != len(types):
            raise ValueError(f"{rows} rows and {len(types)} nuclei instead of {counts.sum()}")
    except (ValueError, TypeError, KeyError, OSError, EOFError, BadZipFile) as error:
        message = f"{store}: expected a complete compact store, found {error}; delete it and run {PREPARE}"
        raise ValueError(message) from None
    return _Fold(name, images, instances, tuple(map(str, tissues)), np.split(types, np.cumsum(counts[:-1])))


def _mapped(path: Path, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Map an array without reading it; it must have the kind of dtype (f, u or U) and the shape of its rows."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a .npy file, found nothing")
    with reading(path, "a .npy file", ValueError, EOFError, OSError):
        array: np.ndarray = np.load(path, mmap_mode="r")
    if array.dtype.kind != kind or array.ndim < 1 or array.shape[1:] != shape:
        wanted = {"f": "floats", "u": "unsigned integers", "U": "text"}[kind]
        rows = str(("N", *shape)).replace("'", "")
        raise ValueError(f"{path}: expected {wanted} {rows}, found {array.dtype} {array.shape}")
    return array


def _convert_row(image: np.ndarray, masks: np.ndarray, row: int, fold: _Fold) -> tuple[np.ndarray, ...]:
    """Image as uint8, ids 1..K as int32 (256, 256), and their types as int64 (K,)."""
    masks, low, high = masks[..., : len(PanNuke.types)], image.min(), image.max()
    if not (low >= 0 and high <= 255):  # also refuses NaN
        raise ValueError(f"{fold.images}: expected 0 to 255 in row {row}, found {low:g} to {high:g}")
    if not (masks.min() >= 0 and np.array_equal(masks, np.rint(masks))):
        raise ValueError(f"{fold.masks}: expected integer ids >= 0 in row {row}, found other values")
    instances, types, hidden = merge_channels(masks)
    if hidden:
        logger.warning("%s: in row %d, %d nuclei are hidden by nuclei of other types", fold.masks, row, hidden)
    return np.rint(image).astype(np.uint8), instances, types


def merge_channels(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Merge one map of ids per type into one map of nuclei.

    Ids repeat across channels, so the ids of each channel are shifted past those of the channel before. Where channels
    overlap, the later one wins, as in the data set's own evaluation code; a nucleus that is hidden entirely is dropped.

    Args:
        masks: ids (H, W, C) of C types, 0 is background, without the background channel.

    Returns:
        int32 (H, W) of ids 1..K, the type 1..C of each, int64 (K,), and the number of hidden nuclei.
    """
    span = int(masks.max(initial=0)) + 1
    codes = np.where(masks > 0, masks + span * np.arange(masks.shape[2]), 0).astype(np.int64)
    instances, kept = contiguous(codes.max(axis=2))
    hidden = len(np.unique(codes[codes > 0])) - len(kept)
    return instances, kept // span + 1, hidden
