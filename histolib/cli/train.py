"""Train a CycleGAN or a HoVer-Net on data, splits and settings of your choice.

examples:
  histolib train cyclegan --ihc data/endonuke --he data/pannuke --output runs/mine/cyclegan
  histolib train hovernet --data data/pannuke --output runs/mine/hovernet

`accelerate launch --module histolib train ...` uses several devices.
"""

import argparse
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..config import PROFILES, CycleGANSettings, HoverNetSettings, changed, profile
from ..data import Patches
from ..data.samples import KeypointSample
from ..data.splits import in_groups, read_split
from ..data.training_sets import open_outlined, open_stain, training_groups
from ..io import Provenance
from ..metrics.points import PointCounts, count_points
from ..nuclei import HoVerNet, find_nuclei, train_hovernet
from ..translation import Generator, StainReference, train_cyclegan, translate
from .options import documented, number

RADIUS_UM = 3.0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` to the command line."""
    parser = subparsers.add_parser("train", **documented(__doc__))
    networks = parser.add_subparsers(dest="network", required=True, metavar="NETWORK")
    common = argparse.ArgumentParser(add_help=False)
    add = common.add_argument
    add("--profile", choices=list(PROFILES), default="quick", help="default settings (default: %(default)s)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting (see below); lists: A,B")
    add("--output", type=Path, required=True, help="folder for weights, log and checkpoint")
    add("--resume", action="store_true", help="continue the run in the output folder, if there is one")
    add("--mixed-precision", choices=["no", "bf16", "fp16"], default="no", help="precision (default: no, 32 bits)")
    add("--save-every", type=number(1, kind=int), default=500, help="steps between checkpoints (default: %(default)s)")

    def network(name: str, run: Callable[[argparse.Namespace], int], kind: type, about: str) -> Callable[..., Any]:
        names = ", ".join(field.name for field in fields(kind))
        doc = documented(run.__doc__)
        settings = textwrap.fill(f"settings, described by histolib.config.{kind.__name__}: {names}", 118)
        doc["epilog"] = f"{settings}\n\n{doc['epilog']}"
        made = networks.add_parser(name, parents=[common], help=about, **doc)
        made.set_defaults(run=run)
        return made.add_argument

    add = network("cyclegan", _train_cyclegan, CycleGANSettings, "IHC to H&E and back")
    add("--ihc", type=Path, required=True, help="IHC in the layout of EndoNuke or BCI")
    add("--he", type=Path, required=True, help="H&E in the layout of PanNuke, CoNSeP's tiles or BCI")
    add("--ihc-split", type=Path, help="JSON file with the parts train, val and test (default: see below)")
    add("--he-split", type=Path, help="the same for the H&E, where only train is used (default: see below)")
    add("--start", type=Path, help="folder of an earlier run to fine-tune; sets warm_steps=0 (default: none)")
    add("--detector", type=Path, metavar="FILE", help="HoVer-Net that chooses generators by F1 on val (default: none)")

    add = network("hovernet", _train_hovernet, HoverNetSettings, "nuclei on H&E")
    add("--data", type=Path, required=True, help="folder in the layout of PanNuke, CoNSeP's tiles or EndoNuke")
    add("--split", type=Path, help="JSON file with the parts train, val and test (default: see below)")
    add("--start", type=Path, metavar="FILE", help="HoVer-Net weights to fine-tune (default: train from scratch)")


def _loop(args: argparse.Namespace) -> dict[str, Any]:
    return {"resume": args.resume, "mixed_precision": args.mixed_precision, "save_every": args.save_every}


def _train_cyclegan(args: argparse.Namespace) -> int:
    r"""Train a CycleGAN between unpaired IHC and H&E. Writes one generator for each direction.

    Without splits, the last runs of EndoNuke and the third fold of PanNuke are held out; BCI has a split of its own.
    The detector scores the part val at every checkpoint.

    examples:
      histolib train cyclegan --ihc data/endonuke --ihc-split data/splits/endonuke_1.json --he data/consep \
          --he-split data/splits/consep.json --detector histolib/pretrained/hovernet/hovernet.safetensors \
          --profile pretrained --output runs/fold-1/cyclegan --set width=32 --resume
    """
    settings = profile(args.profile).cyclegan
    settings = changed(replace(settings, warm_steps=0) if args.start else settings, args.set)
    ihc, he = open_stain(args.ihc, "ihc", args.ihc_split), open_stain(args.he, "he", args.he_split)
    how = _loop(args)
    if args.detector:
        if not ihc.validation:
            raise ValueError("--detector: expected --ihc-split with validation tiles of EndoNuke, found none")
        how |= {"validate": _detection_f1(HoVerNet.load(args.detector), ihc.validation), "monitor": "val_f1"}
    provenance = Provenance(f"IHC of {ihc.description}; H&E of {he.description}", (*ihc.groups, *he.groups))
    how |= {"start": args.start, "provenance": provenance}
    history = train_cyclegan(ihc.patches, he.patches, settings, args.output, **how)
    print(f"{len(history)} steps; weights in {args.output}")
    return 0


def _train_hovernet(args: argparse.Namespace) -> int:
    r"""Train a HoVer-Net on outlined nuclei.

    The points of EndoNuke become discs. Without a split, all images are used; of PanNuke folds 1 and 2.

    examples:
      histolib train hovernet --data data/pannuke --split data/splits/pannuke_1.json --output runs/mine --resume
      histolib train hovernet --data data/consep --split data/splits/consep.json --output runs/tuned/hovernet \
          --start histolib/pretrained/hovernet/hovernet.safetensors --set steps=500
    """
    samples, types = open_outlined(args.data)
    settings = changed(replace(profile(args.profile).hovernet, types=tuple(types)), args.set)
    parts = read_split(args.split) if args.split else {"train": training_groups(samples), "val": ()}
    training, validation = in_groups(samples, parts["train"]), in_groups(samples, parts["val"])
    trained_on = f"{args.data.name}: {', '.join(parts['train'])}; validation: {', '.join(parts['val']) or 'none'}"
    provenance = Provenance(trained_on, (*parts["train"], *parts["val"]))
    StainReference.fit(Patches(training), "he").save(args.output / "he_reference.safetensors")
    how = {"validation": validation, "provenance": provenance, "start": args.start, **_loop(args)}
    history = train_hovernet(training, settings, args.output, **how)
    print(f"{len(history)} steps; weights in {args.output}")
    return 0


def _detection_f1(net: HoVerNet, samples: Sequence[KeypointSample]) -> Any:
    """Validation score for `train_cyclegan`: `val_f1` of the detector on the translated samples, pooled."""

    def validate(generators: Mapping[str, Generator]) -> dict[str, float]:
        total, generator = PointCounts(), generators["ihc_to_he"]
        device = next(generator.parameters()).device
        for sample in samples:
            xy = find_nuclei(translate(sample.patch, generator), net, device=device)[["x", "y"]].to_numpy()
            total += count_points(xy * sample.patch.mpp, sample.xy * sample.patch.mpp, RADIUS_UM)
        return {"val_f1": total.scores()["f1"]}

    return validate
