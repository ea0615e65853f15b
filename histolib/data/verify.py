"""Check of a data set: open every file through its reader and collect problems."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

from tqdm import tqdm

from . import BCI, EndoNuke, InstanceTiles, PanNuke

READERS: dict[str, Any] = {"bci": BCI, "pannuke": PanNuke, "endonuke": EndoNuke, "consep": InstanceTiles}


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of a check.

    Attributes:
        samples, nuclei: numbers that could be read.
        problems: errors that stop a reader, one line each.
        warnings: defects that a reader repairs, one line each.
    """

    samples: int
    nuclei: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def verify(name: str, folder: str | Path, progress: bool = True) -> Verification:
    """Open every file of a data set through its reader.

    Args:
        name: bci, pannuke, endonuke or consep.
        folder: folder of the data set.
        progress: show a bar on stderr.
    """
    nuclei: list[int] = []  # of each sample
    problems: list[str] = []

    def check(read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except (ValueError, OSError) as error:
            problems.append(str(error))

    # The warnings of the readers are collected instead of shown.
    logger, collected = logging.getLogger("histolib.data"), BufferingHandler(sys.maxsize)
    logger.addHandler(collected)
    logger.propagate = False
    try:
        for reader in check(open_readers, name, folder) or []:
            for index in tqdm(range(len(reader)), desc=name, disable=not progress):
                sample = check(reader.__getitem__, index)
                nuclei += [len(getattr(sample, "types", ()))] if sample else []
            for tile in tqdm(getattr(reader, "unlabelled", ()), desc=f"{name}, no labels", disable=not progress):
                check(reader.patch, tile)
    finally:
        logger.removeHandler(collected)
        logger.propagate = True
    warnings = dict.fromkeys(record.getMessage() for record in collected.buffer)
    return Verification(len(nuclei), sum(nuclei), tuple(dict.fromkeys(problems)), tuple(warnings))


def open_readers(name: str, folder: str | Path) -> list[Any]:
    """Open a data set: one reader for each study of EndoNuke, else one reader."""
    if name != "endonuke":
        return [READERS[name](Path(folder))]
    return [EndoNuke(folder, study=study) for study in EndoNuke.studies(folder)] or [EndoNuke(folder)]


def find_folders(name: str, root: Path) -> list[Path]:
    """Folders of a data set below the data folder `root` that are not empty: the set itself and its phantom."""
    return [folder for folder in (root / name, root / "phantom" / name) if folder.is_dir() and any(folder.iterdir())]
