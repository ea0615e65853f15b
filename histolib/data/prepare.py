"""Turns PanNuke as published, 37 GB of float64, into a compact store, row by row and from where it last stopped."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from histolib.config import replacing, writable_folder
from histolib.data.pannuke import OfficialFold
from histolib.data.store import ARRAYS, MANIFEST, TABLES, VERSION, StoredFold, crc32_of, store_folder, store_of

__all__ = ["prepare_pannuke"]

logger = logging.getLogger(__name__)

JOURNAL = "rows.jsonl"  # a line for the source, then one for each row that is written; gone when the store is finished


def prepare_pannuke(root: str | Path, output: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Write a compact store of every fold that is there: uint8 images, uint16 instances, types and tissues.

    `PanNuke(output)` reads it. One row is in memory at a time. Killed at any moment and started again it goes on after
    the last whole row, and the bytes are those of an unbroken run. What is finished is kept. The sources stay.

    Args:
        root: PanNuke's folder, with `Fold N` or `fold_N.zip`.
        output: folder that gets `compact/foldN`; default `root`.
        progress: show a bar on stderr.

    Returns:
        The folder of each fold's store.

    Raises:
        FileNotFoundError, ValueError: as `PanNuke`; an error in a row names it, and the rows before it are kept.
        OSError: `output` cannot be written to.
    """
    root = Path(root)
    output = root if output is None else Path(output)
    folds = [fold for fold in (1, 2, 3) if OfficialFold.is_at(root, fold) or store_of(output, fold)]
    if not folds:
        raise FileNotFoundError(f"{root}: expected a folder 'Fold 1' or fold_1.zip, found neither")
    return [_prepare(root, output, fold, progress) for fold in folds]


def _prepare(root: Path, output: Path, number: int, progress: bool) -> Path:
    folder = store_folder(output, number)
    if store_of(output, number):
        stored = StoredFold(output, number)
        stored.check_sources(root)
        (folder / JOURNAL).unlink(missing_ok=True)
        logger.info("%s: %d samples are there already, skipped", folder, len(stored.tissues))
        return folder
    writable_folder(folder)
    source = OfficialFold(root, number)
    sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in source.files}
    # A zip tells only at its end whether its bytes were right, so rows from a zip that was replaced are not believed.
    replaced = [path.stat().st_mtime_ns for path in source.files] if source.zipped else []
    count = len(source.tissues)
    first = _line({"version": VERSION, "count": count, "sources": sizes, "changed": replaced})
    records = _take_up(folder, first, count)
    done = len(records)
    with ExitStack() as stack:
        *arrays, journal = (stack.enter_context((folder / name).open("ab")) for name in (*ARRAYS, JOURNAL))
        start = 0 if source.zipped else done
        for index in tqdm(range(start, count), source.name, count, initial=start, disable=not progress):
            if index < done:  # read all the same: a zip's checksum is of all its bytes, and a jump would leave it out
                source.images.row(index), source.masks.row(index)
                continue
            sample = source.read(index)
            data = sample.patch.image.tobytes(), sample.instances.astype("<u2").tobytes()
            for file, row in zip(arrays, data, strict=True):
                file.write(row)
                file.flush()
            records.append([*map(zlib.crc32, data), sample.types.tolist()])
            journal.write(_line(records[-1]))
            journal.flush()
        for file in arrays:
            os.fsync(file.fileno())
    whole = sum(1 for _ in _whole(folder, records, count))
    if whole < count:
        raise ValueError(f"{folder}: expected row {whole} as it was written, found other bytes; run again")
    _finish(folder, sizes, source.tissues, [record[-1] for record in records])
    return folder


def _take_up(folder: Path, first: bytes, count: int) -> list[Any]:
    """Records of the rows that are whole on disk: two checksums and the types. Whatever lies behind them is cut off."""
    journal = folder / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True) if journal.is_file() else []
    records = list(_whole(folder, map(_record, lines[1:]), count)) if lines[:1] == [first] else []
    if records:
        logger.info("%s: going on after row %d of %d", folder, len(records), count)
    elif lines[:1] not in ([], [first]):
        logger.info("%s: begun with other source files, so it is made anew", folder)
    for name in ARRAYS:
        head, size = _head(name, count)
        with (folder / name).open("ab") as file:
            file.truncate(len(head) + len(records) * size if records else 0)
            file.write(b"" if records else head)
    with replacing(journal) as temporary:
        temporary.write_bytes(first + b"".join(map(_line, records)))
    return records


def _whole(folder: Path, records: Iterable[Any], count: int) -> Iterator[Any]:
    """The records, up to the first whose row on disk is not what was written."""
    with ExitStack() as stack:
        files = []
        for name in ARRAYS:
            head, size = _head(name, count)
            if not (folder / name).is_file():
                return
            files.append((stack.enter_context((folder / name).open("rb")), size))
            if files[-1][0].read(len(head)) != head:
                return
        for record in records:
            if record is None or [zlib.crc32(file.read(size)) for file, size in files] != record[:-1]:
                return
            yield record


def _finish(folder: Path, sources: dict[str, int], tissues: Sequence[str], types: list[list[int]]) -> None:
    """Write the tables, then the manifest, by which the store is there."""
    flat = np.array([kind for row in types for kind in row], np.uint8)
    tables: tuple[np.ndarray, ...] = (flat, np.array(list(map(len, types)), np.uint32), np.array(tissues, dtype=str))
    for name, table in zip(TABLES, tables, strict=True):
        with replacing(folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, table)
    paths = [folder / name for name in (*ARRAYS, *TABLES)]
    files = {path.name: {"bytes": path.stat().st_size, "crc32": crc32_of(path)} for path in paths}
    manifest = {"version": VERSION, "count": len(types), "nuclei": len(flat), "sources": sources, "files": files}
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    (folder / JOURNAL).unlink()


def _head(name: str, count: int) -> tuple[bytes, int]:
    """What comes before the rows of a .npy file, and the bytes of a row."""
    (kind, shape), file = ARRAYS[name], io.BytesIO()
    header = {"descr": np.dtype(kind).newbyteorder("<").str, "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue(), math.prod(shape) * np.dtype(kind).itemsize


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _record(line: bytes) -> Any:
    """The record of a line, None where it was cut short."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
