"""Conversion of PanNuke as published, 37 GB of float64, into a compact store, one row in memory at a time."""

from __future__ import annotations

import logging
import math
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from ..io import writable_folder
from .pannuke import IMAGE, MASKS, TABLE, check_form, check_tissues, convert_row, existing_folds, fold_places, members

logger = logging.getLogger(__name__)


def prepare_pannuke(root: str | Path, output: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Write a compact store of every fold: uint8 images, uint16 instances, types and tissues.

    `PanNuke(output)` reads it. A store appears when it is complete; folds that have one are skipped. The published
    files stay as they are.

    Args:
        root: folder of PanNuke, with `Fold N` or `fold_N.zip`.
        output: folder that receives `compact/foldN`; default `root`.
        progress: show a bar on stderr.

    Returns:
        The folder of each store.

    Raises:
        FileNotFoundError, ValueError: as `PanNuke`; the message names the file and the row.
        OSError: `output` is not writable.
    """
    root = Path(root)
    output = root if output is None else Path(output)
    stores = []
    for number in existing_folds(root, output):
        store = fold_places(output, number)[0]
        if store.is_dir():
            logger.info("%s: complete, skipped", store)
        else:
            temporary = store.with_name(f".{store.name}.part")
            shutil.rmtree(temporary, ignore_errors=True)
            try:
                _write(root, number, writable_folder(temporary), progress)
                temporary.replace(store)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        stores.append(store)
    return stores


def _write(root: Path, number: int, store: Path, progress: bool) -> None:
    _, folder, archive = fold_places(root, number)
    names = members(number)
    with ExitStack() as stack:
        if folder.is_dir():
            labels = [str(root / name) for name in names]
            files: list[IO[bytes]] = [stack.enter_context(_open(root / name)) for name in names]
        else:
            labels = [f"{archive}:{name}" for name in names]
            try:
                zipped = stack.enter_context(zipfile.ZipFile(archive))
                files = [stack.enter_context(zipped.open(name)) for name in names]
            except KeyError as error:
                raise FileNotFoundError(f"{archive}: expected the files of a fold, found no {error}") from None
            except zipfile.BadZipFile as error:
                raise ValueError(f"{archive}: expected a zip, found a damaged one ({error})") from None
        forms: tuple[tuple[str, tuple[int, ...]], ...] = (("f", IMAGE), ("f", MASKS), ("U", ()))
        streams = [_Rows(*one) for one in zip(files, labels, forms, strict=True)]
        images, masks, tissue_rows = streams
        for rows in (images, masks):
            if rows.count != tissue_rows.count:
                raise ValueError(
                    f"{rows.name}: expected {tissue_rows.count} rows as in {labels[2]}, found {rows.count}"
                )
        tissues = check_tissues(np.array([str(tissue) for tissue in tissue_rows], dtype=str), labels[2])
        targets = []
        for name, kind, shape in (("images.npy", "|u1", IMAGE), ("instances.npy", "<u2", MASKS[:2])):
            targets.append(stack.enter_context((store / name).open("wb")))
            header = {"descr": kind, "fortran_order": False, "shape": (images.count, *shape)}
            np.lib.format.write_array_header_1_0(targets[-1], header)
        types = []
        pairs = tqdm(zip(images, masks, strict=True), f"fold{number}", images.count, disable=not progress)
        for row, (image, mask) in enumerate(pairs):
            converted, instances, kinds = convert_row(image, mask, row, labels[0], labels[1])
            targets[0].write(converted.tobytes())
            targets[1].write(instances.astype("<u2").tobytes())
            types.append(kinds.astype(np.uint8))
    flat = np.concatenate([np.zeros(0, np.uint8), *types])
    np.savez(store / TABLE, types=flat, counts=np.array([len(row) for row in types], np.int64), tissues=tissues)


def _open(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a .npy file, found nothing")
    return path.open("rb")


class _Rows:
    """Rows of a .npy stream, in order; the form is checked on opening."""

    def __init__(self, file: IO[bytes], name: str, form: tuple[str, tuple[int, ...]]) -> None:
        self.name, self._file = name, file
        try:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, self._dtype = header(file)
        except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise ValueError(f"{name}: expected a .npy file, found a damaged one ({error})") from None
        check_form(self._dtype, shape, *form, name)
        if fortran and len(shape) > 1:
            raise ValueError(f"{name}: expected an array in C order, found Fortran order")
        self.count, self._shape = shape[0], shape[1:]

    def __iter__(self) -> Iterator[np.ndarray]:
        size = math.prod(self._shape) * self._dtype.itemsize
        for row in range(self.count):
            try:
                data = self._file.read(size)
                if len(data) < size:
                    raise EOFError("the file is cut short")
                if row == self.count - 1:
                    self._file.read(1)  # a zip compares the checksum of a file at its end
            except (EOFError, zlib.error, zipfile.BadZipFile) as error:
                raise ValueError(f"{self.name}: expected a whole file, found damage at row {row} ({error})") from None
            yield np.frombuffer(data, self._dtype).reshape(self._shape)
