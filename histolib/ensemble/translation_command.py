"""`histolib evaluate` of translations: on BCI's pairs, on phantom twins, on EndoNuke's tiles against unpaired H&E."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import __version__
from ..data import BCI, EndoNuke, PanNuke, in_groups, open_outlined, phantom, read_split, split_ids, within
from ..imaging import Patch
from ..metrics import inception_features
from ..nuclei import encoder_features
from .evaluation import tile_blocks
from .feature_sets import Features
from .models import HE_REFERENCE, HE_TO_IHC, HOVERNET, IHC_REFERENCE, IHC_TO_HE, Models
from .routes import find_on_he
from .translation_scores import TranslationSample, evaluate_translations
from .translations import TRANSLATIONS

__all__ = ["PHANTOM_IMAGES", "Material", "phantom_material", "score_material", "score_translations"]

logger = logging.getLogger(__name__)

PHANTOM_IMAGES = 24
PHANTOM_PX, PHANTOM_MPP = 400, 0.25  # 100 microns, as EndoNuke's tiles
PHANTOM_SLIDE = 100_000  # the writers of the phantom's sets use smaller numbers, so no network saw these


@dataclass(frozen=True, slots=True)
class Material:
    """What to score on.

    Attributes:
        samples: with IHC.
        total: images in all, for the progress bar.
        groups: by stain, what a training must not have seen: tile ids, images, folds, splits.
        he: more H&E, with the group of each for intervals.
    """

    samples: Iterable[TranslationSample]
    total: int
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    he: Iterable[tuple[Patch, str]] = ()


def score_translations(args: argparse.Namespace) -> dict[str, Any]:
    """Score the translations whose weights are there, as the options of `histolib evaluate` say.

    Raises:
        FileNotFoundError, ValueError: what is missing or cannot be read.
    """
    models = Models.open(args.weights)
    names = args.translations or [name for name, entry in TRANSLATIONS.items() if not models.missing(entry.needs)]
    for name in names:
        models.require(TRANSLATIONS[name].needs, f"translation {name}")
    for name, entry in TRANSLATIONS.items():
        if name not in names and not args.translations:
            logger.warning("translation %s left out: %s not found", name, ", ".join(models.missing(entry.needs)))
    marker = BCI.marker if args.dataset == "bci" else EndoNuke.marker
    material = {"bci": _bci, "phantom": _phantom, "endonuke": _endonuke}[args.dataset](args)
    results = score_material(
        material, models, names, features=args.features, marker=marker, radius_um=args.radius_um, seed=args.seed
    )
    results["protocol"] |= {
        "dataset": args.dataset,
        "split": str(args.split) if args.split else None,
        "he_split": str(args.he_split) if args.he_split else None,
        "tissue": args.tissue,
        "histolib": __version__,
    }
    return results


def score_material(
    material: Material,
    models: Models,
    names: Sequence[str],
    *,
    features: Sequence[str] | None = None,
    marker: str = "nuclear",
    radius_um: float = 3.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Score translations by all measures whose weights are there; those that are not are named in a warning.

    Args:
        material: what to score on.
        models: weights of the translations, of the detector, and of the encoder that gives features.
        names: of `TRANSLATIONS`.
        features: "encoder", "inception"; by default the encoder where the detector is there.
        marker, radius_um, seed: as of `evaluate_translations`.

    Returns:
        as `evaluate_translations`; the protocol also says which weights, what they were trained on, and what leaks.

    Raises:
        FileNotFoundError, ValueError: what is missing or cannot be read.
    """
    detect = None
    if models.missing([HOVERNET]):
        logger.warning("nuclei found after translation left out: %s not found", HOVERNET)
    else:
        detect = partial(_centroids, models=models)
    gain = None
    if models.missing([HE_REFERENCE, IHC_REFERENCE]):
        missing = ", ".join(models.missing([HE_REFERENCE, IHC_REFERENCE]))
        logger.warning("nuclei before and after left out: %s not found", missing)
    else:
        gain = models.he_reference.gain(models.ihc_reference, marker)
    with tqdm(total=material.total, unit="image", disable=None) as bar:
        results = evaluate_translations(
            _counted(material.samples, bar),
            {name: TRANSLATIONS[name].bind(marker, models) for name in names},
            he=_counted(material.he, bar),
            features=_features(features, models),
            detect=detect,
            marker=marker,
            gain=gain,
            radius_um=radius_um,
            seed=seed,
        )
    needs = {need for name in names for need in (*TRANSLATIONS[name].needs, *TRANSLATIONS[name].back_needs)}
    files = [need for need in sorted({*needs, HOVERNET}) if models.find(need)]
    cards = {name: models.card(name) for name in (HOVERNET, IHC_TO_HE, HE_TO_IHC) if name in files}
    results["protocol"] |= {
        "weights": {name: str(models.find(name)) for name in files},
        "trained_on": {name: card.get("trained_on") or "unknown" for name, card in cards.items()},
        "leaked": {name: _leaked(card.get("groups"), material.groups) for name, card in cards.items()},
    }
    return results


def phantom_material(images: int = PHANTOM_IMAGES, seed: int = 0, tissue: str | None = None) -> Material:
    """Twins of slides that no writer of the phantom's data sets draws, a slide each.

    Args:
        images: how many.
        seed: of the phantom.
        tissue: one of PanNuke's names; None draws all 19, of which the phantom's EndoNuke set shows "Uterus" alone.
    """
    slides = range(PHANTOM_SLIDE, PHANTOM_SLIDE + images)
    drawn = (phantom.draw(seed, PHANTOM_PX, PHANTOM_MPP, slide=slide, tissue=tissue) for slide in slides)
    return Material((TranslationSample(twin.ihc, twin.ihc.name, twin.he, twin.xy) for twin in drawn), images)


def _bci(args: argparse.Namespace) -> Material:
    """Pairs of the test split, or of training where there is no other; each is a group, for names tell no slide."""
    there = BCI(args.root).names
    split = "test" if any("_test_" in name for name in there) else "train"
    data = BCI(args.root, split)
    positions = _evenly(len(data), args.images)
    samples = (TranslationSample(pair.ihc, pair.name, pair.he) for pair in map(data.__getitem__, positions))
    return Material(samples, len(positions), {"ihc": [split], "he": [split]})


def _phantom(args: argparse.Namespace) -> Material:
    return phantom_material(args.images or PHANTOM_IMAGES, args.seed, args.tissue)


def _endonuke(args: argparse.Namespace) -> Material:
    """Each tile once, however many annotators it has, and H&E of other tissue."""
    data = EndoNuke(args.root, annotator=args.annotator, study=args.study)
    outlined, _ = open_outlined(args.he)
    if args.he_split:
        outlined = in_groups(outlined, read_split(args.he_split)["test"])
    tiles: Sequence[int] = sorted(set(data.ids) | (set() if args.split else set(data.unlabelled)))
    if args.split:
        tiles = [tiles[i] for i in split_ids(tiles, read_split(args.split))["test"]]
    tiles = [tiles[i] for i in _evenly(len(tiles), args.images)]
    if not tiles:
        raise ValueError(f"{args.root}: expected tiles, found none")
    blocks = tile_blocks(tiles)
    groups = outlined.groups
    if isinstance(outlined, PanNuke) or isinstance(getattr(outlined, "samples", None), PanNuke):
        groups = tuple(tile_blocks(range(len(outlined))))  # folds are three; slides lie beside each other
    samples = (TranslationSample(data.patch(tile), block) for tile, block in zip(tiles, blocks, strict=True))
    he = ((outlined[i].patch, groups[i]) for i in range(len(outlined)))
    seen = {"ihc": [str(tile) for tile in tiles], "he": outlined.groups}
    return Material(samples, len(tiles) + len(outlined), seen, he)


def _leaked(trained: Mapping[str, Sequence[str]] | Sequence[str] | None, scored: Mapping[str, Sequence[str]]) -> Any:
    """The scored groups that a training saw, which names groups by stain, or of H&E alone; None: it does not say."""
    if trained is None:
        return None
    by_stain = trained if isinstance(trained, Mapping) else {"he": trained}
    return sorted({g for stain, groups in scored.items() for g in groups if within(g, by_stain.get(stain, ()))})


def _features(asked: Sequence[str] | None, models: Models) -> dict[str, Features]:
    if asked is None and models.missing([HOVERNET]):
        logger.warning("KID and FID left out: %s not found", HOVERNET)
        return {}
    found: dict[str, Features] = {}
    for name in asked or ["encoder"]:
        if name == "encoder":
            models.require([HOVERNET], "features encoder")
            net, card = models.hovernet
            found[name] = partial(_encoder, net=net, mpp=card["mpp"])
        else:
            inception_features([])  # what is missing is said before the work
            found[name] = _inception
    return found


def _encoder(patches: Sequence[Patch], net: Any, mpp: float) -> np.ndarray:
    return encoder_features(net, patches, mpp)


def _inception(patches: Sequence[Patch]) -> np.ndarray:
    return inception_features([patch.image for patch in patches])


def _centroids(patch: Patch, models: Models) -> np.ndarray:
    return find_on_he(patch, models).xy


def _evenly(count: int, wanted: int | None) -> list[int]:
    """Positions of as many as wanted, evenly over all; default all."""
    return np.linspace(0, count - 1, min(count, wanted or count)).round().astype(int).tolist()


def _counted(items: Iterable[Any], bar: Any) -> Iterator[Any]:
    for item in items:
        yield item
        bar.update()
