"""Training data of one stain or of outlined nuclei, opened by folder and split by slide, run, image or fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging import Patch
from .bci import BCI
from .endonuke import BELOW, EndoNuke, PointDiscs, id_runs
from .instance_tiles import InstanceTiles, consep_images
from .pannuke import PanNuke
from .samples import InstanceReader, KeypointSample, Reader
from .splits import in_groups, read_split, split_ids


class Patches(Reader[Patch]):
    """Patches of some samples of a data set, read on access.

    Args:
        samples: a sequence of samples.
        positions: which samples; default all.
        stain: attribute that holds the patch: "patch", or "ihc" or "he" of a pair.
    """

    def __init__(self, samples: Sequence[Any], positions: Sequence[int] | None = None, stain: str = "patch") -> None:
        super().__init__(range(len(samples)) if positions is None else positions)
        self.samples, self.stain = samples, stain

    def _read(self, key: int) -> Patch:
        return getattr(self.samples[key], self.stain)


@dataclass(frozen=True, slots=True)
class StainSet:
    """Patches of one stain for training a translation.

    Attributes:
        patches: training patches.
        validation: annotated samples of the split's part `val`, if any.
        groups: groups that training and validation see: id blocks, images, folds.
        description: data set and split in words.
    """

    patches: Sequence[Patch]
    validation: Sequence[KeypointSample]
    groups: tuple[str, ...]
    description: str


def open_outlined(root: str | Path, layout: str | None = None) -> tuple[InstanceReader, list[str]]:
    """Open a folder of outlined nuclei.

    Args:
        root: folder in one of the layouts.
        layout: "pannuke", "consep" (whole images) or "endonuke" (a disc around every point); None chooses the layout by
            the files of the folder.

    Returns:
        The samples, and the names of their types 1, 2, ...

    Raises:
        FileNotFoundError, ValueError: as the reader of the layout.
    """
    root = Path(root)
    if layout is None:
        points = any((root / folder / "labels").is_dir() for folder in ("", *BELOW))
        layout = "consep" if (root / "types.json").is_file() else "endonuke" if points else "pannuke"
    if layout == "consep":
        return consep_images(root), list(InstanceTiles.types.values())
    if layout == "endonuke":
        return PointDiscs(EndoNuke(root)), list(EndoNuke.types.values())
    return PanNuke(root), list(PanNuke.types.values())


def open_stain(root: str | Path, stain: str, split: str | Path | None = None) -> StainSet:
    """Open one stain of BCI's training pairs, the tiles of EndoNuke, or the images of PanNuke or CoNSeP.

    Without a split, the last runs of EndoNuke and the third fold of PanNuke are held out.

    Args:
        root: folder in one of these layouts.
        stain: "ihc" or "he".
        split: JSON file as for `read_split`, of blocks of EndoNuke ids ("321-784") or of groups.

    Raises:
        FileNotFoundError, ValueError: as the readers and splits, or a split is given for BCI, which has its own.
    """
    root = Path(root)
    parts = None if split is None else read_split(split)
    if any((root / folder).is_dir() for folder in ("HE", "IHC", "BCI_dataset")):
        if parts:
            raise ValueError(f"{root}: expected no split, because BCI has its own, found {split}")
        return StainSet(Patches(BCI(root, "train"), stain=stain), (), ("train",), f"{root.name}: train")
    if stain == "he":
        outlined, _ = open_outlined(root)
        trained = parts["train"] if parts else training_groups(outlined)
        return StainSet(Patches(in_groups(outlined, trained)), (), trained, f"{root.name}: {', '.join(trained)}")
    tiles = EndoNuke(root)
    if parts is None:
        positions, _ = split_runs(tiles.ids)
        groups = tuple(f"{run[0]}-{run[-1]}" for run in id_runs(tiles.ids[position] for position in positions))
        return StainSet(Patches(tiles, positions), (), groups, f"{root.name}: {', '.join(groups)}")
    places = split_ids(tiles.ids, parts)
    description = f"{root.name}: {', '.join(parts['train'])}; validation: {', '.join(parts['val']) or 'none'}"
    validation = [tiles[position] for position in places["val"]]
    return StainSet(Patches(tiles, places["train"]), validation, parts["train"] + parts["val"], description)


def split_runs(ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Split tiles between runs of ids, the best available proxy for slides.

    A third of the runs, rounded down, but at least one, is held out: the last ones.

    Args:
        ids: id of each tile; repeats stay together.

    Returns:
        Positions in `ids` to train on and to test on.

    Raises:
        ValueError: all tiles belong to one run.
    """
    runs = id_runs(ids)
    if len(runs) < 2:
        raise ValueError(f"split_runs: expected tiles of at least two runs, found one run of {len(ids)} tiles")
    held = np.isin(ids, np.concatenate(runs[-max(1, len(runs) // 3) :]))
    return np.flatnonzero(~held).tolist(), np.flatnonzero(held).tolist()


def training_groups(samples: InstanceReader) -> tuple[str, ...]:
    """All groups of a data set, except the third fold of PanNuke, which is held out."""
    groups = tuple(dict.fromkeys(samples.groups))
    return groups[:2] if isinstance(samples, PanNuke) else groups
