"""Conversion of PanNuke as published, 37 GB of float64, into a compact store, one row in memory at a time."""

import logging
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..io import writable_folder
from .download import extract
from .pannuke import IMAGE, MASKS, TABLE, PanNuke, existing_folds, fold_places, members

logger = logging.getLogger(__name__)


def prepare_pannuke(root: str | Path, output: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Write a compact store of every fold: uint8 images, uint16 instances, types and tissues.

    `PanNuke(output)` reads it. A store appears when it is complete; folds that have one are skipped. The published
    files stay as they are. A zip is unpacked beside the store for the time of its conversion, about 13 GB per fold.

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
            _write(tqdm(samples, f"fold{number}", disable=not progress), samples.tissues, target)
            target.replace(store)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return stores


def _write(samples: tqdm, tissues: tuple[str, ...], store: Path) -> None:
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
