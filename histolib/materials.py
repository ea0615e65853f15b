"""What a training is shown and what it is kept from: patches of one stain, parted by slide, run, image or fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

from .data import (
    BCI,
    EndoNuke,
    InstanceReader,
    InstanceSample,
    KeypointSample,
    PanNuke,
    id_runs,
    in_groups,
    open_outlined,
    read_split,
    split_ids,
)
from .imaging import Patch
from .metrics import detection_scores, scores_from_counts
from .nuclei import HoVerNet, find_nuclei
from .translation import Generator, translate

__all__ = ["Patches", "StainSet", "Translated", "detection_after", "open_stain", "split_runs", "training_groups"]

RADIUS_UM = 3.0
KEPT = 300  # translated samples kept in memory: 0.14 GB of PanNuke's, 2 GB of 1000 px


class Patches(Sequence[Patch]):
    """The patches of some samples of a set, read when asked for.

    Args:
        samples: a sequence of samples.
        positions: which of them; default all.
        stain: attribute that holds the patch: "patch", or "ihc" or "he" of a pair.
    """

    def __init__(self, samples: Sequence[Any], positions: Sequence[int] | None = None, stain: str = "patch") -> None:
        self.samples, self.stain = samples, stain
        self.positions = range(len(samples)) if positions is None else positions

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, index: int) -> Patch: ...
    @overload
    def __getitem__(self, index: slice) -> list[Patch]: ...
    def __getitem__(self, index: int | slice) -> Patch | list[Patch]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return getattr(self.samples[self.positions[index]], self.stain)


class Translated(InstanceReader):
    """Outlined samples whose images went through a generator, their outlines kept.

    Each is translated when it is first asked for; the first few hundred are kept, for crops ask again and again.

    Args:
        samples: with H&E.
        generator: H&E to IHC.
    """

    def __init__(self, samples: InstanceReader, generator: Generator) -> None:
        self.samples, self.generator = samples, generator
        self._kept: dict[int, InstanceSample] = {}

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each sample."""
        return self.samples.groups

    def __len__(self) -> int:
        return len(self.samples)

    def _read(self, index: int) -> InstanceSample:
        if index in self._kept:
            return self._kept[index]
        sample = self.samples[index]
        translated = replace(sample, patch=translate(sample.patch, self.generator))
        if len(self._kept) < KEPT:
            self._kept[index] = translated
        return translated


@dataclass(frozen=True, slots=True)
class StainSet:
    """Patches of one stain to train a translation on, and what must be known of them.

    Attributes:
        patches: what is trained on.
        chosen_by: annotated samples of the split's part `val`, where there are any.
        groups: what training and choice see: id blocks, images, folds.
        described: data and split in words.
    """

    patches: Sequence[Patch]
    chosen_by: Sequence[KeypointSample]
    groups: tuple[str, ...]
    described: str


def open_stain(root: str | Path, stain: str, split: str | Path | None = None) -> StainSet:
    """One stain of BCI's training pairs, the tiles of EndoNuke, or the images of PanNuke and CoNSeP.

    Without a split the last runs of EndoNuke and PanNuke's third fold are left for a test.

    Args:
        root: folder in one of these layouts.
        stain: "ihc" or "he".
        split: JSON as `data.read_split` takes it, of blocks of EndoNuke's ids ("321-784") or of groups.

    Raises:
        FileNotFoundError, ValueError: as the readers and splits; BCI takes no split but its own.
    """
    root = Path(root)
    parts = None if split is None else read_split(split)
    if any((root / folder).is_dir() for folder in ("HE", "IHC", "BCI_dataset")):
        if parts:
            raise ValueError(f"{root}: expected no split beside BCI's own, found {split}")
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
    described = f"{root.name}: {', '.join(parts['train'])}; chosen by: {', '.join(parts['val']) or 'nothing'}"
    chosen_by = [tiles[position] for position in places["val"]]
    return StainSet(Patches(tiles, places["train"]), chosen_by, parts["train"] + parts["val"], described)


def detection_after(
    net: HoVerNet, card: Mapping[str, Any], samples: Sequence[KeypointSample]
) -> Callable[[Mapping[str, Generator]], dict[str, float]]:
    """A score of generators for `translation.train`: `val_f1` of a HoVer-Net on translated IHC, pooled, within 3 um.

    Args:
        net, card: as `nuclei.load_hovernet` gives them.
        samples: annotated IHC that neither network is trained on.
    """

    def validate(generators: Mapping[str, Generator]) -> dict[str, float]:
        counts = dict.fromkeys(("tp", "fp", "fn"), 0)
        device = next(generators["ihc_to_he"].parameters()).device
        for sample in samples:
            translated = translate(sample.patch, generators["ihc_to_he"])
            found = find_nuclei(translated, net, card["mpp"], thresholds=card["thresholds"], device=device)
            mpp = sample.patch.mpp
            scores = detection_scores(found[["x", "y"]].to_numpy() * mpp, sample.xy * mpp, RADIUS_UM)
            for name in counts:
                counts[name] += int(scores[name])
        return {"val_f1": scores_from_counts(**counts)["f1"]}

    return validate


def split_runs(ids: Sequence[int], held_out: float = 1 / 3) -> tuple[list[int], list[int]]:
    """Positions of the tiles to train on and to test on, parted between runs of ids (the best proxy for slides).

    The last runs are held out, as many as come closest to the share from below, one at least.

    Raises:
        ValueError: all tiles are of one run.
    """
    runs = id_runs(sorted(set(ids)))
    if len(runs) < 2:
        raise ValueError(f"split_runs: expected tiles of at least two runs, found one of {len(ids)} tiles")
    test_runs = runs[-max(1, int(held_out * len(runs))) :]
    held = {tile for run in test_runs for tile in run}
    test = [position for position, tile in enumerate(ids) if tile in held]
    return [position for position in range(len(ids)) if position not in set(test)], test


def training_groups(samples: InstanceReader) -> tuple[str, ...]:
    """All groups to train on, but the last fold of PanNuke, which is left for a test."""
    groups = tuple(dict.fromkeys(samples.groups))
    return groups[:2] if isinstance(samples, PanNuke) else groups
