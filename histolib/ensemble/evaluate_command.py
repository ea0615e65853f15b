"""`histolib evaluate`: what is scored on which data set, and routes on EndoNuke's keypoints."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tqdm import tqdm

from .. import __version__
from ..config import writable_folder
from ..data import EndoNuke, KeypointSample, read_split, split_ids
from ..nuclei import evaluate_outlined
from ..results import write_results
from .evaluation import evaluate, tile_blocks
from .leaks import leaked_tiles
from .models import HOVERNET, Models
from .routes import ROUTES
from .translation_command import score_translations
from .translation_table import translation_table

__all__ = ["run_evaluate"]

logger = logging.getLogger(__name__)


def run_evaluate(args: argparse.Namespace) -> int:
    """Score what the data set is for, write the results as JSON, print a table."""
    if (args.root is None) != (args.dataset == "phantom"):
        found = f"found {args.root}" if args.root else "found none"
        raise ValueError(f"--dataset {args.dataset}: expected {'no' if args.root else 'a'} folder, {found}")
    if args.he and args.dataset != "endonuke":
        raise ValueError(f"--he: expected --dataset endonuke, whose tiles have no H&E, found {args.dataset}")
    if args.output and args.output.is_dir():
        raise IsADirectoryError(f"{args.output}: expected a JSON file to write, found a folder")
    if args.output:
        writable_folder(args.output.parent)
    if args.dataset in ("pannuke", "consep"):
        file = args.weights and args.weights.is_file()
        weights = args.weights if file else Models.open(args.weights).path(HOVERNET)
        evaluate_outlined(args.root, weights, args.split, args.radius_um, args.output, args.part, args.orientations)
        return 0
    if args.he or args.dataset in ("bci", "phantom"):
        results = score_translations(args)
        table = translation_table(results)
    else:
        results = _score_routes(args)
        table = _route_table(results["routes"])
    if args.output:
        write_results(args.output, results)
    print(table)
    return 0


def _score_routes(args: argparse.Namespace) -> dict[str, Any]:
    data = EndoNuke(args.root, annotator=args.annotator, study=args.study)
    if not len(data):
        raise ValueError(f"{args.root}: expected annotated tiles in study {args.study!r}, found none")
    models = Models.open(args.weights)
    names = args.routes or [name for name, route in ROUTES.items() if not models.missing(route.needs)]
    for name in names:
        models.require(ROUTES[name].needs, f"route {name}")
    skipped = {name: models.missing(route.needs) for name, route in ROUTES.items() if name not in names}
    for name, missing in skipped.items():
        if missing and not args.routes:
            logger.warning("route %s left out: %s not found", name, ", ".join(missing))
    routes = {name: partial(ROUTES[name], marker=data.marker, models=models) for name in names}
    samples: Sequence[KeypointSample] = data
    ids: Sequence[int] = data.ids
    if args.split:
        positions = split_ids(ids, read_split(args.split))[args.part]
        samples, ids = [data[i] for i in positions], [ids[i] for i in positions]
    leaked = leaked_tiles(models, names, ids)
    for name, tiles in leaked.items():
        logger.warning("LEAKED: route %s saw %d of these %d tiles in training", name, len(tiles), len(set(ids)))
    with tqdm(samples, unit="tile", disable=None) as bar:
        results = evaluate(samples, routes, radius_um=args.radius_um, blocks=tile_blocks(ids), progress=lambda _: bar)
    results["protocol"] |= {
        "dataset": args.dataset,
        "study": args.study,
        "split": str(args.split) if args.split else None,
        "part": args.part,
        "annotators": list(data.annotators),
        "marker": data.marker,
        "leaked": {name: len(tiles) for name, tiles in leaked.items()},
        "weights": {name: {need: str(models.find(need)) for need in ROUTES[name].needs} for name in names},
        "histolib": __version__,
    }
    return results


def _route_table(routes: Mapping[str, Any]) -> str:
    lines = [f"{'route':<10} {'precision':>9} {'recall':>7} {'F1':>7}  95 % interval   error µm  bias"]
    for name, scores in routes.items():
        low, high = (_cell(value) for value in scores["f1_ci95"])
        lines.append(
            f"{name:<10} {_cell(scores['precision']):>9} {_cell(scores['recall']):>7} {_cell(scores['f1']):>7}"
            f"  {low} to {high}  {_cell(scores['loc_error_um']):>8}  {scores['count_bias']:+.1f}"
        )
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
