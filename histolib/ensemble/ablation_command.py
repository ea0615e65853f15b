"""`histolib ablate`: every route on EndoNuke's tiles, cross-fit: each tile by weights that never saw its slide."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import __version__
from ..config import writable_folder
from ..data import EndoNuke, KeypointSample, read_split, split_ids
from ..metrics import f1_from_counts, match_points
from ..nuclei import detect_log
from ..results import write_results
from ..viz import figure_detections
from .ablation import Found, ablate
from .evaluation import count_points, tile_blocks
from .fusion import Fusion, choose_fusion
from .leaks import leaked_tiles
from .models import NETWORKS, Models
from .nuclei import Nuclei
from .routes import ROUTES

__all__ = ["add_parsers", "run_ablation", "tune_log"]

logger = logging.getLogger(__name__)

FUSED = ("log", "od", "macenko", "cyclegan", "synthetic", "selftrained")
FUSIONS = {"ensemble": FUSED, "ensemble without log": FUSED[1:]}
LOG_GRID = {
    "sigma_um": (1.5, 1.75, 2.0, 2.25, 2.5),
    "threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
    "window_um": (2.5, 3.5),
}
EPILOG = """\
`log` is tuned, and the votes of `ensemble` are chosen, inside each fold. A route is left out where a fold lacks its
weights, and refused where they saw a tile that they would be scored on.

examples:
  histolib ablate data/endonuke --fold data/splits/endonuke_1.json=runs/fold-1 --output results.json
  histolib ablate data/endonuke --fold data/splits/endonuke_1.json=runs/fold-1 \\
      --fold data/splits/endonuke_2.json=runs/fold-2 --output data/results/endonuke.json --atlas runs/atlas
"""


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `ablate` to the command line."""
    parser = subparsers.add_parser(
        "ablate",
        description="Compare all routes on EndoNuke's tiles, each tile by weights that never saw its slide.",
        epilog=EPILOG,
    )
    parser.add_argument("root", type=Path, help="folder in EndoNuke's layout")
    parser.add_argument(
        "--fold",
        type=_fold,
        action="append",
        required=True,
        metavar="SPLIT=WEIGHTS",
        help="JSON of id blocks, and the folder of weights that are scored on its `test`; once for each fold",
    )
    radius = "largest distance of a hit in microns (default: %(default)s)"
    parser.add_argument("--radius-um", type=float, default=3.0, help=radius)
    parser.add_argument("--seed", type=int, default=0, help="of the bootstraps (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the results")
    parser.add_argument("--atlas", type=Path, help="folder for pictures of each route's worst tiles (default: none)")
    parser.add_argument(
        "--fusion",
        type=Path,
        help="JSON file for votes chosen on all scored tiles, for weights that ship; the results do not use them "
        "(default: none)",
    )
    parser.set_defaults(run=run_ablation)


def run_ablation(args: argparse.Namespace) -> int:
    """Score all routes whose weights every fold has; `log` is tuned and the fusion chosen inside each fold."""
    writable_folder(args.output.parent)
    data = EndoNuke(args.root)
    folds = [(split, Models.open(weights)) for split, weights in args.fold]
    names = [n for n, route in ROUTES.items() if n not in ("log", "ensemble") and not _missing(route.needs, folds)]
    for name in sorted(ROUTES.keys() - {"log", "ensemble"} - set(names)):
        logger.warning("route %s left out: its weights are not in every fold", name)
    samples: list[KeypointSample] = []
    ids: list[int] = []
    found: dict[str, list[tuple[Nuclei, float]]] = {}
    chosen = []
    for split, models in folds:
        blocks = read_split(split)
        parts = split_ids(data.ids, blocks)
        _refuse_leaks(models, names, blocks["test"], [data.ids[i] for i in parts["test"]])
        tuning = [data[i] for i in (*parts["train"], *parts["val"])]
        log = tune_log(tuning, args.radius_um)
        routes = {"log": partial(_log, settings=log)}
        routes |= {name: partial(_route, name=name, models=models) for name in names}
        val, test = ([data[i] for i in parts[part]] for part in ("val", "test"))
        candidates = [name for name in FUSED if name in routes]
        seen = {name: [routes[name](sample)[0] for sample in tqdm(val, name)] for name in candidates}
        here = {name: [routes[name](sample) for sample in tqdm(test, name)] for name in routes}
        fusions = {}
        for title, wanted in FUSIONS.items():
            members = [name for name in candidates if name in wanted]
            if not members:
                continue
            about = f"{args.root.name}: {', '.join(blocks['val'])}"
            fusions[title] = _choose(val, seen, members, args.radius_um, about)
            here[title] = [
                _fused(fusions[title], {n: here[n][i] for n in fusions[title].weights}, sample.patch.mpp)
                for i, sample in enumerate(test)
            ]
        for name, of_tiles in here.items():
            found.setdefault(name, []).extend(of_tiles)
        samples += test
        ids += [data.ids[i] for i in parts["test"]]
        asked = {need for name in names for need in ROUTES[name].needs}
        chosen.append(
            {
                "split": str(split),
                "tiles": len(test),
                "log": log,
                "fusions": {title: {"weights": f.weights, "threshold": f.threshold} for title, f in fusions.items()},
                "weights": {name: {n: str(models.find(n)) for n in ROUTES[name].needs} for name in names},
                "trained_on": {n: models.card(n).get("trained_on") for n in NETWORKS if n in asked},
            }
        )
    if args.fusion:
        seen = {name: [nuclei for nuclei, _ in found[name]] for name in FUSED if name in found}
        about = f"{args.root.name}: {len(samples)} tiles, each by weights that never saw its run of ids"
        _choose(samples, seen, list(seen), args.radius_um, about).save(args.fusion)
    results: dict[str, Any] = {
        "routes": ablate(
            samples,
            {name: Found([n for n, _ in some], [s for _, s in some]) for name, some in found.items()},
            tile_blocks(ids),
            classes=data.types,
            radius_um=args.radius_um,
            seed=args.seed,
        ),
        "folds": chosen,
        "protocol": {
            "dataset": f"EndoNuke, {len(samples)} tiles, {len(set(ids))} ids",
            "radius_um": args.radius_um,
            "matching": "one-to-one, pairs beyond the radius excluded before the assignment",
            "pooling": "counts pooled over all tiles of all folds",
            "cross-fit": "each tile by weights, thresholds and votes that saw no tile of its run of ids",
            "interval": f"95 %, percentile bootstrap over {len(set(tile_blocks(ids)))} blocks of ten neighbouring ids",
            "uses IHC labels": ["supervised", "log (two numbers)", *FUSIONS],
            "seed": args.seed,
            "histolib": __version__,
        },
    }
    write_results(args.output, results)
    if args.atlas:
        _draw_atlas(args.atlas, samples, found, results["routes"], args.radius_um)
    print(_table(results["routes"]))
    return 0


def tune_log(samples: Sequence[KeypointSample], radius_um: float = 3.0) -> dict[str, float]:
    """Arguments of `detect_log` with the best pooled F1 on some annotated tiles, from a grid."""
    names = list(LOG_GRID)
    best: dict[str, float] = {}
    best_f1 = -1.0
    lowest = min(LOG_GRID["threshold"])
    for sigma, window in product(LOG_GRID["sigma_um"], LOG_GRID["window_um"]):
        counts = np.zeros((len(LOG_GRID["threshold"]), 3), int)
        for sample in samples:
            xy, score = detect_log(sample.patch, sigma_um=sigma, threshold=lowest, window_um=window)
            for row, threshold in enumerate(LOG_GRID["threshold"]):
                counts[row] += count_points(xy[score > threshold], sample.xy, sample.patch.mpp, radius_um).counts
        f1 = np.nan_to_num(f1_from_counts(counts))
        if f1.max() > best_f1:
            best_f1 = float(f1.max())
            best = dict(zip(names, (sigma, LOG_GRID["threshold"][int(f1.argmax())], window), strict=True))
    return best


def _choose(
    samples: Sequence[KeypointSample],
    seen: Mapping[str, Sequence[Nuclei]],
    routes: Sequence[str],
    radius_um: float,
    about: str,
) -> Fusion:
    found = [{name: seen[name][i] for name in routes} for i in range(len(samples))]
    mpp = [sample.patch.mpp for sample in samples]
    return choose_fusion(found, [sample.xy for sample in samples], mpp, routes, radius_um, about)


def _log(sample: KeypointSample, settings: Mapping[str, Any]) -> tuple[Nuclei, float]:
    start = time.perf_counter()
    xy, score = detect_log(sample.patch, **settings)
    return Nuclei(xy, score), time.perf_counter() - start


def _route(sample: KeypointSample, name: str, models: Models) -> tuple[Nuclei, float]:
    start = time.perf_counter()
    nuclei = ROUTES[name](sample.patch, EndoNuke.marker, models)
    return nuclei, time.perf_counter() - start


def _fused(fusion: Fusion, found: Mapping[str, tuple[Nuclei, float]], mpp: float) -> tuple[Nuclei, float]:
    start = time.perf_counter()
    merged = fusion({name: nuclei for name, (nuclei, _) in found.items()}, mpp)
    return merged, time.perf_counter() - start + sum(seconds for _, seconds in found.values())


def _missing(needs: Sequence[str], folds: Sequence[tuple[Path, Models]]) -> list[str]:
    return [need for _, models in folds for need in models.missing(needs)]


def _refuse_leaks(models: Models, names: Sequence[str], blocks: Sequence[str], ids: Sequence[int]) -> None:
    """Raise where a network's card says that it saw a tile that it is to be scored on."""
    for name, leaked in leaked_tiles(models, names, ids).items():
        raise ValueError(
            f"route {name}: expected weights that saw nothing of {', '.join(blocks)}, found {len(leaked)} tiles among "
            f"what they were trained on or chosen by ({', '.join(leaked[:3])}, ...)"
        )


def _draw_atlas(
    folder: Path,
    samples: Sequence[KeypointSample],
    found: Mapping[str, Sequence[tuple[Nuclei, float]]],
    routes: Mapping[str, Any],
    radius_um: float,
) -> None:
    """Draw the worst tiles of each route beside what the simplest makes of them; real tiles, so not for publishing."""
    writable_folder(folder)
    position = {sample.patch.name: i for i, sample in enumerate(samples)}
    for name, scores in routes.items():
        for rank, tile in enumerate(scores["worst"], 1):
            i = position[tile]
            patches, outcomes = {}, {}
            for route in ("log", name):
                nuclei, sample = found[route][i][0], samples[i]
                match = match_points(nuclei.xy * sample.patch.mpp, sample.xy * sample.patch.mpp, radius_um)
                _, fp, fn = routes[route]["tiles"][tile]
                title = f"{route}, {tile}: {fp} false, {fn} missed"
                patches[title] = sample.patch
                outcomes[title] = (nuclei.xy, sample.xy, match.pred, match.true)
            figure = figure_detections(patches, outcomes, side=6)
            figure.savefig(folder / f"{name.replace(' ', '_')}_{rank:02d}_{tile}.png", dpi=70)


def _table(routes: Mapping[str, Any]) -> str:
    lines = [f"{'route':<22} {'F1':>6}  95 % interval   {'- log':>7}  95 % interval    AP     s/mm²"]
    for name, scores in sorted(routes.items(), key=lambda item: -(item[1]["f1"] or 0)):
        low, high = scores["f1_ci95"]
        gain = scores["difference"].get("log", {"f1": math.nan, "ci95": [math.nan] * 2})
        lines.append(
            f"{name:<22} {scores['f1']:>6.3f}  {low:.3f} to {high:.3f}  {gain['f1']:>+7.3f}  {gain['ci95'][0]:+.3f} to "
            f"{gain['ci95'][1]:+.3f}  {scores['average_precision']:.3f}  {scores['seconds_per_mm2']:6.1f}"
        )
    return "\n".join(lines)


def _fold(text: str) -> tuple[Path, Path]:
    split, equals, weights = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected SPLIT=WEIGHTS, found {text!r}")
    return Path(split), Path(weights)
