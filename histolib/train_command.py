"""`histolib train`: the recipes of the course with other data, splits and settings."""

from __future__ import annotations

import argparse
import logging
import textwrap
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from . import nuclei, translation
from .agreement import NucleiAgreement
from .config import PROFILES, profile
from .data import in_groups, open_outlined, read_split
from .ensemble import HE_REFERENCE
from .materials import Translated, detection_after, open_stain, training_groups
from .nuclei import HoverSettings
from .parameters import assignment, check_parameters
from .recipes import hover_settings, train_cyclegan, train_hovernet, translation_settings
from .translation import ContentLost, StainReference, TranslationSettings

__all__ = ["add_parsers"]

logger = logging.getLogger(__name__)

OUTLINED = "PanNuke's layout (folds 1 and 2 are used) or CoNSeP's tiles"
LEARNT_FROM = f"{OUTLINED}, or EndoNuke's layout, whose points become discs"
IHC_LAYOUTS = "folder in EndoNuke's layout (without a split its last runs are held out) or BCI's (train is used)"
HE_LAYOUTS = f"{OUTLINED}, or BCI's (train is used)"
Settings = TypeVar("Settings", HoverSettings, TranslationSettings)
EXAMPLES = """\
examples:
  histolib train cyclegan --ihc data/endonuke --he data/pannuke --output runs/mine/cyclegan
  histolib train hovernet --data data/pannuke --output runs/mine/hovernet

`histolib train NETWORK --help` has more. Under `accelerate launch --module histolib train ...` it runs on many devices.
"""
CYCLEGAN_EXAMPLES = """\
examples:
  histolib train cyclegan --ihc data/endonuke --he data/pannuke --output runs/mine/cyclegan
  histolib train cyclegan --ihc data/endonuke --he data/pannuke --output runs/mine/cyclegan --resume    # after a cut
  histolib train cyclegan --ihc data/endonuke --ihc-split data/splits/endonuke_1.json --he data/consep \\
      --he-split data/splits/consep.json --detector histolib/pretrained/hovernet/hovernet.safetensors \\
      --output runs/fold-1/cyclegan --set on_od=True --set width=24 --patience 300
"""
HOVERNET_EXAMPLES = """\
examples:
  histolib train hovernet --data data/pannuke --split data/splits/pannuke_1.json --output runs/mine/hovernet --resume
  histolib train hovernet --data data/pannuke --profile full --output runs/full/hovernet --mixed-precision bf16
  histolib train hovernet --data data/consep --split data/splits/consep.json --output runs/tuned/hovernet \\
      --start histolib/pretrained/hovernet/hovernet.safetensors --set steps=500
"""


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` to the command line."""
    parser = subparsers.add_parser("train", description="Train a network as the notebooks do.", epilog=EXAMPLES)
    networks = parser.add_subparsers(dest="network", required=True, metavar="NETWORK")
    common = argparse.ArgumentParser(add_help=False)
    unset = "where unset settings come from (default: %(default)s)"
    common.add_argument("--profile", choices=list(PROFILES), default="quick", help=unset)
    common.add_argument("--output", type=Path, required=True, help="folder of weights, log and checkpoint")
    common.add_argument("--resume", action="store_true", help="continue the run in the output folder, if there is one")
    common.add_argument("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    change = "change a setting, named below; once for each, lists are comma-separated"
    common.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=change)
    precision = "of the passes through the networks (default: %(default)s, which is 32 bits)"
    common.add_argument("--mixed-precision", choices=["no", "bf16", "fp16"], default="no", help=precision)
    common.add_argument("--save-every", type=int, metavar="STEPS", help="between checkpoints (default: 500)")
    translating = networks.add_parser(
        "cyclegan",
        parents=[common],
        help="IHC to H&E and back",
        description="Train a CycleGAN between unpaired IHC and H&E: two generators, each with its card.",
        epilog=_settings(TranslationSettings) + CYCLEGAN_EXAMPLES,
    )
    translating.add_argument("--ihc", type=Path, required=True, help=IHC_LAYOUTS)
    translating.add_argument("--he", type=Path, required=True, help=HE_LAYOUTS)
    translating.add_argument(
        "--ihc-split",
        type=Path,
        help="JSON of EndoNuke's id blocks to train on, to choose by and to leave for a test (default: as --ihc says)",
    )
    translating.add_argument(
        "--he-split", type=Path, help="the same of groups of the H&E, which are not chosen by (default: as --he says)"
    )
    translating.add_argument(
        "--start",
        type=Path,
        help="folder of an earlier run to fine-tune; sets warm_steps to 0, see also freeze (default: from scratch)",
    )
    translating.add_argument(
        "--detector",
        type=Path,
        help="HoVer-Net weights: keep the generators whose val part gives it the best F1 (default: keep the last)",
    )
    translating.add_argument(
        "--agree-with",
        type=Path,
        help="weights of a HoVer-Net for IHC: with --detector, and he_reference.safetensors beside it, they are the "
        "task of the setting `agreement` (default: no such loss)",
    )
    every = "between looks at the val part (default: with every checkpoint)"
    translating.add_argument("--validate-every", type=int, metavar="STEPS", help=every)
    patience = "end when no F1 was better for so long; 0 is never (default: %(default)s)"
    translating.add_argument("--patience", type=int, default=0, metavar="STEPS", help=patience)
    translating.set_defaults(run=_run_cyclegan)
    finding = networks.add_parser(
        "hovernet",
        parents=[common],
        help="nuclei on H&E",
        description="Train a HoVer-Net on outlined nuclei, in two phases as published.",
        epilog=_settings(HoverSettings) + HOVERNET_EXAMPLES,
    )
    finding.add_argument("--data", type=Path, required=True, help=LEARNT_FROM)
    finding.add_argument(
        "--split",
        type=Path,
        help="JSON of the groups to train on, to choose by and to leave for a test (default: as --data says)",
    )
    finding.add_argument(
        "--encoder",
        type=Path,
        help="ImageNet weights to begin with, see `histolib data download resnetv2-50` (default: random ones)",
    )
    finding.add_argument(
        "--start", type=Path, help="HoVer-Net weights of an earlier run to fine-tune (default: from scratch)"
    )
    finding.add_argument(
        "--translate",
        type=Path,
        help="generator weights: learn from what they make of the H&E, as IHC, say (default: the H&E as it is)",
    )
    finding.set_defaults(run=_run_hovernet)


def _settings(kind: type) -> str:
    """What `--set` may change, for the help."""
    names = ", ".join(field.name for field in fields(kind))
    return textwrap.fill(f"settings, described by {kind.__name__}: {names}", 118) + "\n\n"


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
