"""Recipes: which data, which split and which settings the course trains with, for notebooks and `histolib train`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from . import nuclei, translation
from .agreement import NucleiAgreement
from .config import PROFILES, Profile, phantom_folder, profile
from .data import BCI, EndoNuke, InstanceSample, PanNuke, in_groups, open_outlined, phantom, read_split
from .ensemble import HE_REFERENCE, IHC_REFERENCE
from .imaging import Patch
from .materials import Patches, StainSet, Translated, detection_after, open_stain, split_runs, training_groups
from .nuclei import HoverSettings
from .parameters import assignment, check_parameters
from .translation import ContentLost, StainReference, TranslationSettings

__all__ = [
    "Patches",
    "Sets",
    "StainSet",
    "Translated",
    "add_parsers",
    "detection_after",
    "hover_settings",
    "open_sets",
    "open_stain",
    "split_runs",
    "train_cyclegan",
    "train_hovernet",
    "translation_settings",
]

logger = logging.getLogger(__name__)

QUICK_MPP = 0.5  # of HoVer-Net on the quick profile: EndoNuke's own scale, a quarter of the pixels
OUTLINED = "PanNuke's layout (folds 1 and 2 are used) or CoNSeP's tiles"
LEARNT_FROM = f"{OUTLINED}, or EndoNuke's layout, whose points become discs"
IHC_LAYOUTS = "folder in EndoNuke's layout (without a split its last runs are held out) or BCI's (train is used)"
HE_LAYOUTS = f"{OUTLINED}, or BCI's (train is used)"
Settings = TypeVar("Settings", HoverSettings, TranslationSettings)


@dataclass(frozen=True, slots=True)
class Sets:
    """The three data sets of the course.

    Attributes:
        bci, pannuke, endonuke: their readers.
        phantom: True where they are drawn, False where they were read from disk.
    """

    bci: BCI
    pannuke: PanNuke
    endonuke: EndoNuke
    phantom: bool


def open_sets(data: str | Path, size: Profile, data_dir: str = "", seed: int = 0) -> Sets:
    """Open `bci`, `pannuke` and `endonuke` in `data_dir`, or draw their phantoms below `data` where it is empty.

    Args:
        data: the course's data folder; phantoms go to `data/phantom/<profile>`.
        size: how many phantom patches to draw.
        data_dir: folder of the real sets in their official layouts.
        seed: of the phantom; other seeds go to other folders.

    Raises:
        FileNotFoundError, ValueError: as the readers.
    """
    if data_dir:
        root = Path(data_dir).expanduser()
    else:
        root = phantom_folder(data, size, seed)
        phantom.write_all(root, size.pannuke_per_fold, size.endonuke_runs, size.bci_pairs, size.bci_px, seed)
    return Sets(BCI(root / "bci"), PanNuke(root / "pannuke"), EndoNuke(root / "endonuke"), phantom=not data_dir)


def translation_settings(size: Profile, seed: int = 0) -> TranslationSettings:
    """Settings of the CycleGAN at a profile's size."""
    quick = size.name == "quick"
    return TranslationSettings(
        mpp=PanNuke.mpp,
        patch_px=128 if quick else 256,
        width=size.translation_width,
        discriminator_width=2 * size.translation_width if quick else size.translation_width,
        blocks=size.translation_blocks,
        warm_steps=size.translation_warm_steps,
        steps=size.translation_steps,
        lr_generator=3e-4 if quick else 2e-4,
        seed=seed,
    )


def hover_settings(size: Profile, types: Sequence[str], seed: int = 0) -> HoverSettings:
    """Settings of HoVer-Net at a profile's size."""
    quick = size.name == "quick"
    return HoverSettings(
        types=tuple(types),
        width=size.nuclei_width,
        mpp=QUICK_MPP if quick else PanNuke.mpp,
        map_px=100 if quick else 164,
        batch_size=size.nuclei_batch,
        steps=size.nuclei_steps,
        learning_rate=8e-3 if quick else 1e-3,
        affine=0.0 if quick else 0.2,  # a hundred steps have no time for more variety
        seed=seed,
    )


def train_cyclegan(
    ihc: Sequence[Patch],
    he: Sequence[Patch],
    settings: TranslationSettings,
    folder: str | Path,
    resume: bool = False,
    **more: Any,
) -> pd.DataFrame:
    """Train the CycleGAN, and keep the colours of the IHC beside it for the route `od`; as `translation.train`."""
    StainReference.fit(ihc, "ihc").save(Path(folder) / IHC_REFERENCE)
    return translation.train(ihc, he, settings, folder, resume=resume, **more)


def train_hovernet(
    samples: Sequence[InstanceSample], settings: HoverSettings, folder: str | Path, resume: bool = False, **more: Any
) -> pd.DataFrame:
    """Train HoVer-Net, and keep the colours of its H&E beside it for the classical routes; as `nuclei.train`."""
    StainReference.fit(Patches(samples), "he").save(Path(folder) / HE_REFERENCE)
    return nuclei.train(samples, settings, folder, resume=resume, **more)


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` to the command line."""
    parser = subparsers.add_parser("train", help="train a network as the notebooks do")
    networks = parser.add_subparsers(dest="network", required=True, metavar="NETWORK")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--profile", choices=list(PROFILES), default="quick", help="where unset settings come from")
    common.add_argument("--output", type=Path, required=True, help="folder of weights, log and checkpoint")
    common.add_argument("--resume", action="store_true", help="continue the run in the output folder")
    common.add_argument("--seed", type=int, default=0)
    common.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; lists are comma-separated"
    )
    common.add_argument("--mixed-precision", choices=["no", "bf16", "fp16"], default="no")
    common.add_argument("--save-every", type=int, metavar="STEPS", help="between checkpoints (default: 500)")
    translating = networks.add_parser(
        "cyclegan", parents=[common], help="IHC to H&E and back", epilog=_settings(TranslationSettings)
    )
    translating.add_argument("--ihc", type=Path, required=True, help=IHC_LAYOUTS)
    translating.add_argument("--he", type=Path, required=True, help=HE_LAYOUTS)
    translating.add_argument(
        "--ihc-split", type=Path, help="JSON of EndoNuke's id blocks to train on, to choose by and to leave for a test"
    )
    translating.add_argument("--he-split", type=Path, help="the same of groups of the H&E, which are not chosen by")
    translating.add_argument(
        "--start", type=Path, help="folder of an earlier run to fine-tune; sets warm_steps to 0 (see also freeze)"
    )
    translating.add_argument(
        "--detector", type=Path, help="HoVer-Net weights: keep the generators whose val part gives it the best F1"
    )
    translating.add_argument(
        "--agree-with",
        type=Path,
        help="weights of a HoVer-Net for IHC: with --detector, and he_reference.safetensors beside it, they are the "
        "task of the setting `agreement`",
    )
    translating.add_argument("--validate-every", type=int, metavar="STEPS", help="default: with every checkpoint")
    translating.add_argument(
        "--patience", type=int, default=0, metavar="STEPS", help="end when no F1 was better for so long (0: never)"
    )
    translating.set_defaults(run=_run_cyclegan)
    finding = networks.add_parser("hovernet", parents=[common], help="nuclei on H&E", epilog=_settings(HoverSettings))
    finding.add_argument("--data", type=Path, required=True, help=LEARNT_FROM)
    finding.add_argument(
        "--split", type=Path, help="JSON of the groups to train on, to choose by and to leave for a test"
    )
    finding.add_argument(
        "--encoder", type=Path, help="ImageNet weights to begin with (see `data download resnetv2-50`)"
    )
    finding.add_argument("--start", type=Path, help="HoVer-Net weights of an earlier run to fine-tune")
    finding.add_argument(
        "--translate", type=Path, help="generator weights: learn from what they make of the H&E, as IHC, say"
    )
    finding.set_defaults(run=_run_hovernet)


def _settings(kind: type) -> str:
    """What `--set` may change, for the help."""
    return f"settings, described by {kind.__name__}: {', '.join(field.name for field in fields(kind))}"


def _run_cyclegan(args: argparse.Namespace) -> int:
    ihc, he = open_stain(args.ihc, "ihc", args.ihc_split), open_stain(args.he, "he", args.he_split)
    settings = translation_settings(profile(args.profile), args.seed)
    if args.start:
        settings = replace(settings, warm_steps=0)
    if args.detector and not ihc.chosen_by and not args.agree_with:
        raise ValueError("--detector: expected --ihc-split with EndoNuke's id blocks to choose by, found none")
    settings = _changed(settings, args.set)
    more = {"patience": args.patience, **_loop(args)}
    if args.validate_every:
        more["validate_every"] = args.validate_every
    if args.detector and ihc.chosen_by:
        more |= {"validate": detection_after(*nuclei.load_hovernet(args.detector), ihc.chosen_by), "monitor": "val_f1"}
    if args.agree_with:
        more["agreement"] = _agreement(args, settings.mpp)
    try:
        history = train_cyclegan(
            ihc.patches,
            he.patches,
            settings,
            args.output,
            args.resume,
            start=args.start,
            groups={"ihc": ihc.groups, "he": he.groups},
            trained_on=f"IHC of {ihc.described}; H&E of {he.described}",
            **more,
        )
    except ContentLost as error:
        logger.error(error)
        return 2
    print(f"{len(history)} steps; weights in {args.output}")
    return 0


def _agreement(args: argparse.Namespace, mpp: float) -> NucleiAgreement:
    if not args.detector:
        raise ValueError("--agree-with: expected --detector with the HoVer-Net of the H&E, found none")
    he_net, card = nuclei.load_hovernet(args.detector)
    ihc_net, other = nuclei.load_hovernet(args.agree_with)
    for path, found in ((args.detector, card["mpp"]), (args.agree_with, other["mpp"])):
        if found != mpp:
            raise ValueError(f"{path}: expected {mpp} microns per pixel as the translation, found {found}")
    return NucleiAgreement(he_net, ihc_net, StainReference.load(args.detector.parent / HE_REFERENCE), mpp)


def _run_hovernet(args: argparse.Namespace) -> int:
    samples, types = open_outlined(args.data)
    through, ihc_seen = "", ()
    if args.translate:
        generator, card = translation.load_generator(args.translate)
        samples, ihc_seen = Translated(samples, generator), (card.get("groups") or {}).get("ihc", ())
        through = f"; through {args.translate.stem} ({card.get('trained_on')})"
    settings = _changed(hover_settings(profile(args.profile), types, args.seed), args.set)
    parts = read_split(args.split) if args.split else {"train": training_groups(samples), "val": ()}
    history = train_hovernet(
        in_groups(samples, parts["train"]),
        settings,
        args.output,
        args.resume,
        validation=in_groups(samples, parts["val"]),
        groups=(*parts["train"], *parts["val"], *ihc_seen),
        trained_on=f"{args.data.name}: {', '.join(parts['train'])}; chosen by: {', '.join(parts['val']) or 'the same'}"
        + through,
        encoder=args.encoder,
        start=args.start,
        **_loop(args),
    )
    print(f"{len(history)} steps; weights in {args.output}")
    return 0


def _loop(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the training loop."""
    every = {"save_every": args.save_every} if args.save_every else {}
    return {"mixed_precision": args.mixed_precision, **every}


def _changed(settings: Settings, changes: Sequence[str]) -> Settings:
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values = dict(assignment(text) for text in changes)
    for name, value in values.items():
        if isinstance(known.get(name), tuple) and isinstance(value, str):
            values[name] = tuple(part for part in value.split(",") if part)
    check_parameters(values, known, "--set")
    return replace(settings, **values)
