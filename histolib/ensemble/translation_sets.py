"""Samples for the evaluation of translations, and the evaluation with the weights of `Models`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data import BCI, EndoNuke, PanNuke, phantom
from ..data.splits import in_groups, leaked_groups, read_split, split_ids
from ..data.training_sets import open_outlined
from ..imaging import Patch
from ..metrics.distribution import inception_features, inception_network
from ..nuclei import detect_log, encoder_features, find_nuclei
from ..nuclei.log_detector import THRESHOLDS
from ..translation import TRANSLATIONS, TranslationSample, evaluate_translations
from .evaluation import tile_blocks
from .models import Models

PHANTOM_PX, PHANTOM_MPP = 400, 0.25  # 100 microns, the size of EndoNuke's tiles
PHANTOM_SLIDE = 100_000  # the phantom data sets use smaller numbers, so no training saw these slides
MEASURES_NEED = ("hovernet", "he_reference", "ihc_reference")


@dataclass(frozen=True, slots=True)
class TranslationSet:
    """Samples to evaluate translations on.

    Attributes:
        samples: IHC patches, some with their H&E, read one at a time.
        total: number of samples.
        groups: tile ids, images, folds or splits of all images, for the leak check.
        he: further H&E patches, each with its group for intervals.
        marker: structure that DAB stains.
    """

    samples: Iterable[TranslationSample]
    total: int
    groups: Sequence[str] = ()
    he: Iterable[tuple[Patch, str]] = ()
    marker: str = EndoNuke.marker


def phantom_pairs(images: int | None = None, tissue: str | None = None) -> TranslationSet:
    """Registered pairs of phantom tissue (default 24), one slide each; `tissue` is a name of PanNuke, None all 19."""
    slides = range(PHANTOM_SLIDE, PHANTOM_SLIDE + (images or 24))
    pairs = (phantom.draw(0, PHANTOM_PX, PHANTOM_MPP, slide=slide, tissue=tissue) for slide in slides)
    return TranslationSet((TranslationSample(pair.ihc, pair.ihc.name, pair.he, pair.xy) for pair in pairs), len(slides))


def bci_pairs(root: Path, images: int | None = None) -> TranslationSet:
    """BCI's test pairs, or its training pairs if there are no others; each pair is a group."""
    split = "test" if any("_test_" in name for name in BCI(root).names) else "train"
    data = BCI(root, split)
    positions = _evenly(len(data), images)
    samples = (TranslationSample(pair.ihc, pair.name, pair.he) for pair in map(data.__getitem__, positions))
    return TranslationSet(samples, len(positions), [split], marker=BCI.marker)


def unpaired_tiles(
    root: Path, he: Path, *, images: int | None = None, split: Path | None = None, part: str = "test",
    he_split: Path | None = None,
) -> TranslationSet:  # fmt: skip
    """The tiles in one part of an EndoNuke split (default: all tiles), and H&E of other tissue (part `test`).

    Raises:
        FileNotFoundError, ValueError: as the readers and splits.
    """
    data = EndoNuke(root)
    outlined, _ = open_outlined(he)
    pannuke = isinstance(outlined, PanNuke)
    if he_split:
        outlined = in_groups(outlined, read_split(he_split)["test"])
    # PanNuke has only three folds as groups; neighbouring images share a slide.
    he_groups = tile_blocks(range(len(outlined))) if pannuke else outlined.groups
    if not len(data):
        raise ValueError(f"{root}: expected tiles, found none")
    chosen = split_ids(data.ids, read_split(split))[part] if split else range(len(data))
    position_of = {data.ids[position]: position for position in chosen}  # one sample of each tile
    tiles = [list(position_of)[i] for i in _evenly(len(position_of), images)]
    patches = (data[position_of[tile]].patch for tile in tiles)
    samples = (TranslationSample(patch, block) for patch, block in zip(patches, tile_blocks(tiles), strict=True))
    others = ((outlined[i].patch, group) for i, group in enumerate(he_groups))
    return TranslationSet(samples, len(tiles), [*map(str, tiles), *outlined.groups], others)


def evaluate_with_models(
    data: TranslationSet, models: Models, names: Sequence[str], *, features: Sequence[str] = ("encoder",),
    radius_um: float = 3.0,
) -> dict[str, Any]:  # fmt: skip
    """`evaluate_translations` with the detector, the stain references and the translations of `Models`.

    Args:
        data: samples.
        models: weights of the translations, the detector and the feature encoder.
        names: keys of `TRANSLATIONS`.
        features: "encoder" (of the HoVer-Net) and "inception".
        radius_um: as `evaluate_translations`.

    Returns:
        as `evaluate_translations`; the protocol also describes the weights and, per network, the leaked groups.

    Raises:
        FileNotFoundError: the HoVer-Net or a stain reference is missing.
        ValueError: as `evaluate_translations`.
    """
    models.require(MEASURES_NEED, "translations")
    detector, threshold = models.load("hovernet"), THRESHOLDS[data.marker]
    gain = models.load("he_reference").gain(models.load("ihc_reference"), data.marker)
    extractors = {"encoder": lambda patches: encoder_features(patches, detector)}
    if "inception" in features:
        inception_network()  # raises before the work if the package or its weights are missing
        extractors["inception"] = lambda patches: inception_features([patch.image for patch in patches])
    results = evaluate_translations(
        data.samples,
        {name: partial(TRANSLATIONS[name].run, marker=data.marker, load=models.load) for name in names},
        features={name: extractors[name] for name in features},
        detect=lambda patch: find_nuclei(patch, detector)[["x", "y"]].to_numpy(),
        find_blobs=lambda patch, factor: detect_log(patch, marker=data.marker, threshold=factor * threshold)[0],
        he=data.he, gain=gain, marker=data.marker, radius_um=radius_um,
    )  # fmt: skip
    roles = {role for name in names for role in TRANSLATIONS[name].needs} | {"hovernet"}
    networks = [role for role in sorted(roles) if hasattr(models.load(role), "provenance")]
    leaked = {role: leaked_groups(data.groups, models.load(role).provenance.groups) for role in networks}
    results["protocol"] |= {"weights": models.describe(sorted(roles)), "leaked": leaked}
    return results


def _evenly(count: int, wanted: int | None) -> list[int]:
    """Evenly spaced positions; default: all."""
    return np.linspace(0, count - 1, min(count, wanted or count)).round().astype(int).tolist()
