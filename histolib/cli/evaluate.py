"""Score routes on keypoints, HoVer-Net on outlined nuclei, or translations on pairs or unpaired tissue.

The table is printed; --output writes scores, intervals and protocol as JSON. Scores of weights that were trained or
selected on the scored data are marked LEAKED.

examples:
  histolib evaluate data/endonuke --dataset endonuke --routes log,od,synthetic --output results.json
  histolib evaluate data/endonuke --dataset endonuke --split data/splits/endonuke_1.json --weights runs/fold-1
  histolib evaluate data/pannuke --dataset pannuke --split data/splits/pannuke_1.json --weights runs/mine
  histolib evaluate --dataset phantom --weights runs/quick                  # translations of phantom pairs
  histolib evaluate data/endonuke --dataset endonuke --he data/consep       # translations of unpaired real tissue
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from .. import __version__
from ..config import best_device
from ..data import EndoNuke
from ..data.phantom.settings import ARCHITECTURES
from ..data.samples import shorten
from ..data.splits import PARTS, in_groups, read_split, split_ids
from ..data.training_sets import open_outlined
from ..ensemble import ROUTES, Models, Nuclei, evaluate, tile_blocks
from ..ensemble.models import pretrained_models
from ..ensemble.routes import leaks_of, roles_of
from ..ensemble.translation_sets import bci_pairs, evaluate_with_models, phantom_pairs, unpaired_tiles
from ..io import file_digest, writable_folder, write_json
from ..nuclei import HoVerNet, evaluate_nuclei
from ..translation import TRANSLATIONS
from ..translation.table import translation_table
from .options import add_weights, choices, documented, number, progress

logger = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `evaluate` to the command line."""
    parser = subparsers.add_parser("evaluate", **documented(__doc__))
    add = parser.add_argument
    add("root", type=Path, nargs="?", help="folder of the data set in its official layout (none for phantom)")
    what = "endonuke: routes, or translations with --he; pannuke, consep: HoVer-Net; bci, phantom: translations"
    add("--dataset", choices=["endonuke", "pannuke", "consep", "bci", "phantom"], required=True, help=what)
    add("--routes", type=choices(ROUTES, "route"), help="endonuke: routes (default: all whose weights are found)")
    add("--radius-um", type=number(1e-6), default=3.0, help="largest distance of a hit in microns (default: 3)")
    add("--split", type=Path, help="endonuke, pannuke, consep: JSON file with a split (default: score all data)")
    add("--part", choices=PARTS, default="test", help="part of --split to score (default: %(default)s)")
    add("--he", type=Path, help="endonuke: score translations against the H&E in this folder (default: score routes)")
    add("--he-split", type=Path, help="with --he: split of the H&E, whose part test is used (default: all)")
    features = "translations: features for KID and FID, encoder (of the HoVer-Net) or inception (default: encoder)"
    add("--features", type=choices(("encoder", "inception"), "features"), default=["encoder"], help=features)
    add("--images", type=number(1, kind=int), help="translations: number of images (default: all; phantom: 24)")
    add("--tissue", choices=ARCHITECTURES, metavar="NAME", help="phantom: tissue name of PanNuke (default: all)")
    add("--output", type=Path, help="JSON file for the results (default: none)")
    add_weights(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score, write the results, print the table."""
    if (args.root is None) != (args.dataset == "phantom"):
        found = f"found {args.root}" if args.root else "found none"
        raise ValueError(f"--dataset {args.dataset}: expected {'no' if args.root else 'a'} folder, {found}")
    if args.he and args.dataset != "endonuke":
        raise ValueError(f"--he: expected --dataset endonuke, whose tiles have no H&E, found {args.dataset}")
    if args.output:
        if args.output.is_dir():
            raise IsADirectoryError(f"{args.output}: expected a JSON file to write, found a folder")
        writable_folder(args.output.parent)
    evaluations = {"pannuke": _evaluate_outlines, "consep": _evaluate_outlines, "endonuke": _evaluate_routes}
    results, table = evaluations.get("" if args.he else args.dataset, _evaluate_translations)(args)
    split = {"split": args.split and args.split.name, "part": args.part if args.split else None}
    results["protocol"] |= {"dataset": args.dataset, **split, "histolib": __version__}
    if args.output:
        write_json(args.output, results)
    print(table)
    return 0


def _models(args: argparse.Namespace) -> Models:
    return Models(args.weights) if args.weights else pretrained_models()


def _available(table: Mapping[str, Any], models: Models, what: str) -> list[str]:
    """The names whose weights are there; a warning names the others."""
    absent = {name: files for name, entry in table.items() if (files := models.missing(entry.needs))}
    for name, files in absent.items():
        logger.warning("%s %s skipped: %s not found", what, name, ", ".join(files))
    return [name for name in table if name not in absent]


def _evaluate_routes(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    data, models = EndoNuke(args.root), _models(args)
    if not len(data):
        raise ValueError(f"{args.root}: expected annotated tiles, found none")
    names = args.routes or _available(ROUTES, models, "route")
    for name in names:
        models.require(ROUTES[name].needs, f"route {name}")
    positions = split_ids(data.ids, read_split(args.split))[args.part] if args.split else range(len(data))
    samples, ids = [data[i] for i in positions], [data.ids[i] for i in positions]
    leaked = {name: leaks_of(name, models, sorted({str(i) for i in ids})) for name in names}
    predictions: dict[str, list[Nuclei]] = {name: [] for name in names}
    for sample in progress(samples, "tile", len(samples)):
        for name in names:
            predictions[name].append(ROUTES[name](sample.patch, data.marker, models))
    results = evaluate(samples, predictions, radius_um=args.radius_um, blocks=tile_blocks(ids))
    weights = {name: models.describe(sorted(roles_of(name, models))) for name in names}
    results["protocol"] |= {"annotators": list(data.annotators), "marker": data.marker}
    results["protocol"] |= {"leaked": leaked, "weights": weights}
    columns = ("precision", "recall", "f1", "f1_ci95", "loc_error_um", "count_bias")
    table = _table({name: {key: scores[key] for key in columns} for name, scores in results["routes"].items()})
    return results, _warned({f"route {name}": found for name, found in leaked.items()}, table)


def _evaluate_translations(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    models = _models(args)
    if args.dataset == "bci":
        data = bci_pairs(args.root, args.images)
    elif args.dataset == "phantom":
        data = phantom_pairs(args.images, args.tissue)
    else:
        parts = {"split": args.split, "part": args.part, "he_split": args.he_split}
        data = unpaired_tiles(args.root, args.he, images=args.images, **parts)
    data = replace(data, samples=progress(data.samples, "image", data.total))
    how = {"features": args.features, "radius_um": args.radius_um}
    results = evaluate_with_models(data, models, _available(TRANSLATIONS, models, "translation"), **how)
    results["protocol"] |= {"he_split": args.he_split and args.he_split.name, "tissue": args.tissue}
    return results, _warned(results["protocol"]["leaked"], translation_table(results))


def _evaluate_outlines(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    samples, types = open_outlined(args.root, args.dataset)
    if args.split:
        samples = in_groups(samples, read_split(args.split)[args.part])
    path = args.weights if args.weights and args.weights.is_file() else _models(args).path("hovernet")
    how = {"radius_um": args.radius_um, "device": best_device()}
    images = progress(samples, "image", len(samples))
    results = evaluate_nuclei(HoVerNet.load(path), images, types=types, **how)
    results["protocol"]["weights"] = {"hovernet": {"digest": file_digest(path)}}
    detection = {"excluded, then assigned": "detection", "assigned, then excluded": "detection_assign_then_threshold"}
    columns = ("f1", "f1_ci95", "precision", "recall")
    tables = [{title: {key: results[name][key] for key in columns} for title, name in detection.items()}]
    scores = results["pannuke"]
    tables.append({"segmentation": {**results["segmentation"], "mPQ": scores["mpq"], "bPQ": scores["bpq"]}})
    if results["types"]:
        tables.append({name: {**row, "PQ": scores["per_type"][name]} for name, row in results["types"].items()})
    return results, _warned({"hovernet": results["protocol"]["leaked"]}, "\n\n".join(map(_table, tables)))


def _warned(leaked: Mapping[str, Sequence[str] | None], table: str) -> str:
    """The table, after one line for each entry with leaked or unknown training data."""
    lines = []
    for name, groups in leaked.items():
        if groups is None:
            lines.append(f"The weights of {name} do not say what they were trained on; their scores may be LEAKED.")
        elif groups:
            lines.append(f"LEAKED: {name} was trained or selected on {len(groups)} of the groups: {shorten(groups)}")
    return "\n".join([*lines, table])


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    return pd.DataFrame({name: {key: _cell(row[key]) for key in row} for name, row in rows.items()}).T.to_string()


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(map(_cell, value))
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
