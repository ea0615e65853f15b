"""`histolib train`: train the CycleGAN or HoVer-Net on data, splits and settings of your choice."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..config import PROFILES, CycleGANSettings, HoverNetSettings, changed, profile
from ..data import KeypointSample, Patches, open_outlined, open_stain, read_split
from ..data.splits import in_groups
from ..data.training_sets import training_groups
from ..io import Provenance
from ..metrics.points import PointCounts, count_points
from ..nuclei import HoVerNet, find_nuclei, train_hovernet
from ..translation import ContentLost, Generator, StainReference, train_cyclegan, translate
from ..translation.consistency import nuclei_consistency
from .options import number

RADIUS_UM = 3.0
EXAMPLES = """\
examples:
  histolib train cyclegan --ihc data/endonuke --he data/pannuke --output runs/mine/cyclegan
  histolib train hovernet --data data/pannuke --output runs/mine/hovernet

`accelerate launch --module histolib train ...` uses several devices.
"""
CYCLEGAN_EXAMPLES = """
examples:
  histolib train cyclegan --ihc data/endonuke --he data/pannuke --output runs/mine/cyclegan --resume
  histolib train cyclegan --ihc data/endonuke --ihc-split data/splits/endonuke_1.json --he data/consep \\
      --he-split data/splits/consep.json --detector histolib/pretrained/hovernet/hovernet.safetensors \\
      --profile pretrained --output runs/fold-1/cyclegan --set width=32
"""
HOVERNET_EXAMPLES = """
examples:
  histolib train hovernet --data data/pannuke --split data/splits/pannuke_1.json --output runs/mine/hovernet --resume
  histolib train hovernet --data data/pannuke --profile full --output runs/full/hovernet --mixed-precision bf16
  histolib train hovernet --data data/consep --split data/splits/consep.json --output runs/tuned/hovernet \\
      --start histolib/pretrained/hovernet/hovernet.safetensors --set steps=500
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` to the command line."""
    parser = subparsers.add_parser("train", description="Train a network of the course.", epilog=EXAMPLES)
    networks = parser.add_subparsers(dest="network", required=True, metavar="NETWORK")
    common = argparse.ArgumentParser(add_help=False)
    profiles = "default settings (default: %(default)s)"
    common.add_argument("--profile", choices=list(PROFILES), default="quick", help=profiles)
    change = "change a setting (listed below); repeat for several; lists are comma-separated"
    common.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=change)
    common.add_argument("--seed", type=int, help="random seed, non-negative (default: 0)")
    common.add_argument("--output", type=Path, required=True, help="folder for weights, log and checkpoint")
    common.add_argument("--resume", action="store_true", help="continue the run in the output folder, if there is one")
    precision = "mixed precision (default: no, 32 bits)"
    common.add_argument("--mixed-precision", choices=["no", "bf16", "fp16"], default="no", help=precision)
    every = "steps between checkpoints (default: %(default)s)"
    common.add_argument("--save-every", type=number(1, kind=int), default=500, metavar="STEPS", help=every)

    about = "Train a CycleGAN between unpaired IHC and H&E. Writes one generator for each direction."
    cyclegan = networks.add_parser(
        "cyclegan", parents=[common], help="IHC to H&E and back", description=about,
        epilog=_list_settings(CycleGANSettings) + CYCLEGAN_EXAMPLES,
    )  # fmt: skip
    ihc = "IHC in the layout of EndoNuke (without a split, its last runs are held out) or BCI (split train)"
    cyclegan.add_argument("--ihc", type=Path, required=True, help=ihc)
    he = "H&E in the layout of PanNuke (without a split, folds 1 and 2), CoNSeP's tiles, or BCI (split train)"
    cyclegan.add_argument("--he", type=Path, required=True, help=he)
    split = "JSON file with the parts train, val and test (default: see --ihc)"
    cyclegan.add_argument("--ihc-split", type=Path, help=split)
    cyclegan.add_argument("--he-split", type=Path, help="the same for the H&E, of which only train is used")
    start = "folder of an earlier run to fine-tune; sets warm_steps=0 (default: train from scratch)"
    cyclegan.add_argument("--start", type=Path, help=start)
    detector = "HoVer-Net for H&E: keep the generators with the best F1 on the part val (default: keep the last)"
    cyclegan.add_argument("--detector", type=Path, metavar="FILE", help=detector)
    consistency = "HoVer-Net for IHC, with --detector: teacher of the loss `consistency` (default: no such loss)"
    cyclegan.add_argument("--consistency", type=Path, metavar="FILE", help=consistency)
    every = "steps between validations (default: as --save-every)"
    cyclegan.add_argument("--validate-every", type=number(1, kind=int), metavar="STEPS", help=every)
    cyclegan.set_defaults(run=_train_cyclegan)

    hovernet = networks.add_parser(
        "hovernet", parents=[common], help="nuclei on H&E", description="Train a HoVer-Net on outlined nuclei.",
        epilog=_list_settings(HoverNetSettings) + HOVERNET_EXAMPLES,
    )  # fmt: skip
    data = "outlined nuclei in the layout of PanNuke or CoNSeP's tiles, or keypoints as EndoNuke, which become discs"
    hovernet.add_argument("--data", type=Path, required=True, help=data)
    split = "JSON file with the parts train, val and test (default: train on all; PanNuke: on folds 1 and 2)"
    hovernet.add_argument("--split", type=Path, help=split)
    start = "HoVer-Net weights to fine-tune (default: train from scratch)"
    hovernet.add_argument("--start", type=Path, metavar="FILE", help=start)
    hovernet.set_defaults(run=_train_hovernet)


def _list_settings(kind: type) -> str:
    names = ", ".join(field.name for field in fields(kind))
    return textwrap.fill(f"settings, described by histolib.config.{kind.__name__}: {names}", 118) + "\n"


def _loop(args: argparse.Namespace) -> dict[str, Any]:
    return {"resume": args.resume, "mixed_precision": args.mixed_precision, "save_every": args.save_every}


def _train_cyclegan(args: argparse.Namespace) -> int:
    ihc, he = open_stain(args.ihc, "ihc", args.ihc_split), open_stain(args.he, "he", args.he_split)
    settings = _settings(args, profile(args.profile).cyclegan, **({"warm_steps": 0} if args.start else {}))
    how: dict[str, Any] = {"validate_every": args.validate_every or args.save_every, **_loop(args)}
    if args.detector and not ihc.validation and not args.consistency:
        raise ValueError("--detector: expected --ihc-split with validation tiles of EndoNuke, found none")
    if args.consistency and not args.detector:
        raise ValueError("--consistency: expected --detector with the HoVer-Net for H&E, found none")
    if args.detector:
        detector = HoVerNet.load(args.detector)
        if ihc.validation:
            how |= {"validate": _detection_f1(detector, ihc.validation), "monitor": "val_f1"}
    if args.consistency:
        teacher = HoVerNet.load(args.consistency)
        for path, net in ((args.detector, detector), (args.consistency, teacher)):
            net.eval().requires_grad_(False)
            if net.mpp != settings.mpp:
                raise ValueError(f"{path}: expected {settings.mpp} microns per pixel as the CycleGAN, found {net.mpp}")
        reference = StainReference.load(args.detector.parent / "he_reference.safetensors")
        how["consistency"] = nuclei_consistency(detector.same_size_maps, teacher.same_size_maps, reference)
    provenance = Provenance(f"IHC of {ihc.description}; H&E of {he.description}", (*ihc.groups, *he.groups))
    try:
        history = train_cyclegan(
            ihc.patches, he.patches, settings, args.output, start=args.start, provenance=provenance, **how
        )
    except ContentLost as error:
        raise ValueError(str(error)) from None
    print(f"{len(history)} steps; weights in {args.output}")
    return 0


def _train_hovernet(args: argparse.Namespace) -> int:
    samples, types = open_outlined(args.data)
    settings = _settings(args, profile(args.profile).hovernet, types=tuple(types))
    parts = read_split(args.split) if args.split else {"train": training_groups(samples), "val": ()}
    training, validation = in_groups(samples, parts["train"]), in_groups(samples, parts["val"])
    trained_on = f"{args.data.name}: {', '.join(parts['train'])}; validation: {', '.join(parts['val']) or 'none'}"
    provenance = Provenance(trained_on, (*parts["train"], *parts["val"]))
    StainReference.fit(Patches(training), "he").save(args.output / "he_reference.safetensors")
    history = train_hovernet(
        training, settings, args.output, validation=validation, provenance=provenance, start=args.start, **_loop(args)
    )
    print(f"{len(history)} steps; weights in {args.output}")
    return 0


def _settings(args: argparse.Namespace, settings: Any, **defaults: Any) -> Any:
    """Settings of the profile, then the given defaults, then --seed and --set."""
    seed = [] if args.seed is None else [f"seed={args.seed}"]
    return changed(replace(settings, **defaults), [*seed, *args.set])


def _detection_f1(net: HoVerNet, samples: Sequence[KeypointSample]) -> Any:
    """Validation score for `train_cyclegan`: `val_f1` of the detector on the translated samples, pooled."""

    def validate(generators: Mapping[str, Generator]) -> dict[str, float]:
        total = PointCounts()
        device = next(generators["ihc_to_he"].parameters()).device
        for sample in samples:
            table = find_nuclei(translate(sample.patch, generators["ihc_to_he"]), net, device=device)
            mpp = sample.patch.mpp
            total += count_points(table[["x", "y"]].to_numpy() * mpp, sample.xy * mpp, RADIUS_UM)
        return {"val_f1": total.scores()["f1"]}

    return validate
