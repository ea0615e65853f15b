"""Check of a data set: open every file through its reader and collect problems."""

from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from . import BCI, EndoNuke, InstanceTiles, PanNuke

READERS: dict[str, Any] = {"bci": BCI, "pannuke": PanNuke, "endonuke": EndoNuke, "consep": InstanceTiles}


def verify(name: str, folder: str | Path, progress: bool = True) -> tuple[int, int, list[str]]:
    """Open every sample of a data set. The reader logs the defects that it repairs.

    Args:
        name: bci, pannuke, endonuke or consep.
        folder: folder of the data set.
        progress: show a bar on stderr.

    Returns:
        Numbers of samples and of nuclei that could be read, and the errors that stop the reader, one line each.
    """
    samples, nuclei, problems = 0, 0, list[str]()
    try:
        reader = READERS[name](folder)
    except (ValueError, OSError) as error:
        return 0, 0, [str(error)]
    with logging_redirect_tqdm():  # warnings between two updates of the bar, not inside it
        for index in tqdm(range(len(reader)), desc=name, disable=not progress):
            try:
                sample = reader[index]
            except (ValueError, OSError) as error:
                problems.append(str(error))
            else:
                samples, nuclei = samples + 1, nuclei + len(getattr(sample, "types", ()))
    return samples, nuclei, list(dict.fromkeys(problems))


def find_folders(name: str, root: Path) -> list[Path]:
    """Folders of a data set below the data folder `root` that are not empty: the set itself and its phantom."""
    return [folder for folder in (root / name, root / "phantom" / name) if folder.is_dir() and any(folder.iterdir())]
