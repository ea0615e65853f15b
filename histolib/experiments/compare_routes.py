"""Compare all routes on EndoNuke, cross-fit: each tile is scored with weights that never saw its run of ids.

The parameters of `log` and the votes of `ensemble` are chosen inside each fold. A route is skipped if a fold lacks its
weights, and refused if its networks saw a tile that they would be scored on.

  python -m histolib.experiments.compare_routes data/endonuke --fold data/splits/endonuke_1.json=runs/fold-1 \
      --fold data/splits/endonuke_2.json=runs/fold-2 --output data/results/endonuke.json
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import __version__
from ..data import EndoNuke, KeypointSample, read_split
from ..data.splits import split_ids
from ..ensemble import ROUTES, Fusion, Models, Nuclei, choose_fusion, evaluate, tile_blocks
from ..ensemble.routes import leaks_of
from ..imaging import Patch
from ..io import writable_folder, write_json
from ..metrics.points import PointCounts, count_points
from ..nuclei import detect_log

logger = logging.getLogger(__name__)

FUSED = ("log", "od", "macenko", "cyclegan", "synthetic", "selftrained")
FUSIONS = {"ensemble": FUSED, "ensemble without log": FUSED[1:]}
LOG_GRID = {
    "sigma_um": (1.5, 1.75, 2.0, 2.25, 2.5),
    "threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
    "window_um": (2.5, 3.5),
}
Timed = tuple[Nuclei, float]  # nuclei of a tile, and the seconds that it took


def main(argv: Sequence[str] | None = None) -> int:
    """Score all routes, write the JSON, print a table."""
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("compare_routes", description=__doc__, formatter_class=how)
    parser.add_argument("root", type=Path, help="folder in EndoNuke's layout")
    fold = "JSON file with blocks of ids, and the folder of weights to score on its part test; repeat for each fold"
    parser.add_argument("--fold", action="append", required=True, metavar="SPLIT=WEIGHTS", help=fold)
    radius = "largest distance of a hit in microns (default: %(default)s)"
    parser.add_argument("--radius-um", type=float, default=3.0, help=radius)
    parser.add_argument("--seed", type=int, default=0, help="random seed of the bootstrap (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the results")
    fusion = "JSON file for a fusion chosen on all tiles, to ship with weights; the results do not use it"
    parser.add_argument("--fusion", type=Path, help=fusion)
    args = parser.parse_args(argv)
    writable_folder(args.output.parent)
    data = EndoNuke(args.root)
    folds = [(Path(split), Models(weights)) for split, _, weights in (text.partition("=") for text in args.fold)]
    learned = [name for name in ROUTES if name not in ("log", "ensemble")]
    names = [name for name in learned if not any(models.missing(ROUTES[name].needs) for _, models in folds)]
    for name in sorted({*learned} - {*names}):
        logger.warning("route %s skipped: its weights are not in every fold", name)
    samples: list[KeypointSample] = []
    found: dict[str, list[Timed]] = {}
    described = []
    for split, models in folds:
        blocks = read_split(split)
        parts = {part: [data[i] for i in positions] for part, positions in split_ids(data.ids, blocks).items()}
        _refuse_leaks(models, names, parts["test"])
        log = tune_log([*parts["train"], *parts["val"]], args.radius_um)
        routes: dict[str, Callable[[Patch], Nuclei]] = {"log": lambda patch, log=log: Nuclei(*detect_log(patch, **log))}
        routes |= {name: partial(ROUTES[name], marker=data.marker, models=models) for name in names}
        candidates = [name for name in FUSED if name in routes]
        seen = {name: [timed[0] for timed in _run(routes[name], parts["val"], name)] for name in candidates}
        here = {name: _run(route, parts["test"], name) for name, route in routes.items()}
        fusions = {}
        for title, wanted in FUSIONS.items():
            if members := [name for name in candidates if name in wanted]:
                about = f"{args.root.name}: {', '.join(blocks['val'])}"
                fusion = _choose(parts["val"], {name: seen[name] for name in members}, args.radius_um, about)
                here[title] = [_fuse(fusion, here, i, sample) for i, sample in enumerate(parts["test"])]
                fusions[title] = {"weights": fusion.weights, "threshold": fusion.threshold}
        for name, timed in here.items():
            found.setdefault(name, []).extend(timed)
        samples += parts["test"]
        weights = models.describe(sorted({role for name in names for role in ROUTES[name].needs}))
        fold = {"split": split.name, "tiles": len(parts["test"]), "log": log, "fusions": fusions, "weights": weights}
        described.append(fold)
    predictions = {name: [nuclei for nuclei, _ in timed] for name, timed in found.items()}
    if args.fusion:
        about = f"{args.root.name}: {len(samples)} tiles, each with weights that never saw its run of ids"
        fused = {name: predictions[name] for name in FUSED if name in predictions}
        _choose(samples, fused, args.radius_um, about).save(args.fusion)
    ids = [int(sample.patch.name) for sample in samples]
    how = {"radius_um": args.radius_um, "blocks": tile_blocks(ids), "seed": args.seed, "classes": data.types}
    results = evaluate(samples, predictions, details=True, **how)
    area_mm2 = sum(sample.patch.area_mm2 for sample in samples)
    for name, timed in found.items():
        results["routes"][name]["seconds_per_mm2"] = sum(seconds for _, seconds in timed) / area_mm2
    results["folds"] = described
    results["protocol"] |= {
        "dataset": f"EndoNuke, {len(samples)} tiles, {len(set(ids))} ids",
        "cross-fit": "each tile with weights, thresholds and votes that saw no tile of its run of ids",
        "uses IHC labels": ["supervised", "log (two numbers)", *FUSIONS],
        "seed": args.seed,
        "histolib": __version__,
    }
    write_json(args.output, results)
    for name, scores in sorted(results["routes"].items(), key=lambda item: -(item[1]["f1"] or 0)):
        gain = scores["difference"].get("log", {}).get("f1", 0)
        print(f"{name:<22} F1 {scores['f1']:.3f}  {gain:+.3f} to log  AP {scores['average_precision']:.3f}")
    return 0


def tune_log(samples: Sequence[KeypointSample], radius_um: float = 3.0) -> dict[str, float]:
    """Grid search for the arguments of `detect_log` with the best pooled F1."""
    best: dict[str, float] = {}
    best_f1 = -1.0
    for sigma, window in product(LOG_GRID["sigma_um"], LOG_GRID["window_um"]):
        totals = dict.fromkeys(LOG_GRID["threshold"], PointCounts())
        for sample in samples:
            xy, score = detect_log(sample.patch, sigma_um=sigma, threshold=min(totals), window_um=window)
            for threshold in totals:
                kept, mpp = xy[score > threshold], sample.patch.mpp
                totals[threshold] += count_points(kept * mpp, sample.xy * mpp, radius_um)
        for threshold, total in totals.items():
            if (f1 := np.nan_to_num(total.scores()["f1"])) > best_f1:
                best_f1, best = f1, {"sigma_um": sigma, "threshold": threshold, "window_um": window}
    return best


def _refuse_leaks(models: Models, names: Sequence[str], samples: Sequence[KeypointSample]) -> None:
    for name in names:
        leaked = leaks_of(name, models, sorted({sample.patch.name for sample in samples}))
        if leaked:
            raise ValueError(
                f"route {name}: expected weights that saw none of the test tiles, found {len(leaked)} of them among "
                f"their training or validation data ({', '.join(leaked[:3])}, ...)"
            )


def _run(route: Callable[[Patch], Nuclei], samples: Sequence[KeypointSample], name: str) -> list[Timed]:
    timed = []
    for sample in tqdm(samples, name):
        start = time.perf_counter()
        timed.append((route(sample.patch), time.perf_counter() - start))
    return timed


def _choose(
    samples: Sequence[KeypointSample], found: Mapping[str, Sequence[Nuclei]], radius_um: float, about: str
) -> Fusion:
    by_tile = [{name: nuclei[i] for name, nuclei in found.items()} for i in range(len(samples))]
    mpp = [sample.patch.mpp for sample in samples]
    return choose_fusion(by_tile, [sample.xy for sample in samples], mpp, list(found), radius_um, about)


def _fuse(fusion: Fusion, found: Mapping[str, Sequence[Timed]], tile: int, sample: KeypointSample) -> Timed:
    members = {name: found[name][tile] for name in fusion.weights}
    start = time.perf_counter()
    merged = fusion({name: nuclei for name, (nuclei, _) in members.items()}, sample.patch.mpp)
    return merged, time.perf_counter() - start + sum(seconds for _, seconds in members.values())


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    sys.exit(main())
