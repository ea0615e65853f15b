"""Compare all routes on EndoNuke, cross-fit: each tile is scored with weights that never saw its run of ids.

The parameters of `log` and the votes of `ensemble` are chosen inside each fold. A route is skipped if a fold lacks its
weights, and refused if its networks saw a tile that they would be scored on.

  python -m histolib.experiments.compare_routes data/endonuke --fold data/splits/endonuke_1.json=runs/fold-1 \
      --fold data/splits/endonuke_2.json=runs/fold-2 --output data/results/endonuke.json
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import __version__
from ..data import EndoNuke
from ..data.samples import KeypointSample
from ..data.splits import read_split, split_ids
from ..ensemble import ROUTES, Fusion, Models, Nuclei, evaluate, tile_blocks
from ..ensemble.fusion import choose_fusion
from ..ensemble.routes import leaks_of
from ..imaging import Patch
from ..io import writable_folder, write_json
from ..metrics.points import PointCounts, count_points
from ..nuclei import detect_log

RADIUS_UM = 3.0
FUSED = ("log", "od", "macenko", "cyclegan", "synthetic", "selftrained")
FUSIONS = {"ensemble": FUSED, "ensemble without log": FUSED[1:]}
LOG_SIGMAS_UM, LOG_WINDOWS_UM = (1.5, 1.75, 2.0, 2.25, 2.5), (2.5, 3.5)
LOG_THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)


def main(argv: Sequence[str] | None = None) -> None:
    """Score all routes and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("root", type=Path, help="folder in EndoNuke's layout")
    fold = "JSON file with blocks of ids, and the folder of weights to score on its part test; repeat for each fold"
    add("--fold", action="append", required=True, metavar="SPLIT=WEIGHTS", help=fold)
    add("--output", type=Path, required=True, help="JSON file for the results")
    add("--fusion", type=Path, help="JSON file for a fusion chosen on all tiles, to ship; the results do not use it")
    add(
        "--earlier", type=Path, help="results whose routes are copied, marked as earlier, if a fold lacks their weights"
    )
    args = parser.parse_args(argv)
    writable_folder(args.output.parent)
    data = EndoNuke(args.root)
    folds = [(Path(split), Models(weights)) for split, _, weights in (text.partition("=") for text in args.fold)]
    learned = [name for name in ROUTES if name not in ("log", "ensemble")]
    names = [name for name in learned if not any(models.missing(ROUTES[name].needs) for _, models in folds)]
    for name in sorted({*learned} - {*names}):
        print(f"route {name} skipped: its weights are not in every fold")
    samples, described = list[KeypointSample](), []
    found, seconds = defaultdict[str, list[Nuclei]](list), defaultdict[str, float](float)
    for split, models in folds:
        parts = {part: [data[i] for i in at] for part, at in split_ids(data.ids, read_split(split)).items()}
        about, here, spent = _score_fold(parts, models, names, data.marker)
        for name in here:
            found[name] += here[name]
            seconds[name] += spent[name]
        samples += parts["test"]
        weights = models.describe(sorted({role for name in names for role in ROUTES[name].needs}))
        described.append({"split": split.name, "tiles": len(parts["test"]), **about, "weights": weights})
    if args.fusion:
        _choose(samples, {name: found[name] for name in FUSED if name in found}).save(args.fusion)
    ids = [int(sample.patch.name) for sample in samples]
    how: dict[str, Any] = {"radius_um": RADIUS_UM, "blocks": tile_blocks(ids), "details": True, "classes": data.types}
    results = evaluate(samples, found, **how)
    routes, protocol = results["routes"], results["protocol"]
    for name in found:
        routes[name]["seconds_per_mm2"] = seconds[name] / sum(sample.patch.area_mm2 for sample in samples)
    old = json.loads(args.earlier.read_text("utf-8"))["routes"] if args.earlier else {}
    routes |= {name: old[name] | {"earlier": True} for name in learned if name in old and name not in found}
    protocol |= {
        "dataset": f"EndoNuke, {len(samples)} tiles, {len(set(ids))} ids",
        "cross-fit": "each tile with weights, thresholds and votes that saw no tile of its run of ids",
        "uses IHC labels": ["supervised", "log (two numbers)", *FUSIONS],
        "histolib": __version__,
    }
    write_json(args.output, {"routes": routes, "protocol": protocol, "folds": described})


def _score_fold(
    parts: Mapping[str, Sequence[KeypointSample]], models: Models, names: Sequence[str], marker: str
) -> tuple[dict[str, Any], dict[str, list[Nuclei]], dict[str, float]]:
    """Chosen parameters of one fold, and the nuclei and seconds of each route on its test tiles."""
    test, val = parts["test"], parts["val"]
    for name in names:
        if leaked := leaks_of(name, models, sorted({sample.patch.name for sample in test})):
            raise ValueError(
                f"route {name}: expected weights that saw none of the test tiles, found {len(leaked)} of them among "
                f"their training or validation data ({', '.join(leaked[:3])}, ...)"
            )
    log = tune_log([*parts["train"], *val])
    routes: dict[str, Callable[[Patch], Nuclei]] = {"log": lambda patch: Nuclei(*detect_log(patch, **log))}
    routes |= {name: partial(ROUTES[name], marker=marker, models=models) for name in names}
    seen = {name: [routes[name](one.patch) for one in tqdm(val, name)] for name in FUSED if name in routes}
    found, seconds, fusions = {}, {}, {}
    for name, route in routes.items():
        start = time.perf_counter()
        found[name] = [route(sample.patch) for sample in tqdm(test, name)]
        seconds[name] = time.perf_counter() - start
    for title, wanted in FUSIONS.items():
        if members := {name: seen[name] for name in wanted if name in seen}:
            fusion, start = _choose(val, members), time.perf_counter()
            tiles = _by_tile({name: found[name] for name in fusion.weights})
            found[title] = [fusion(tile, sample.patch.mpp) for tile, sample in zip(tiles, test, strict=True)]
            seconds[title] = time.perf_counter() - start + sum(seconds[name] for name in fusion.weights)
            fusions[title] = {"weights": fusion.weights, "threshold": fusion.threshold}
    return {"log": log, "fusions": fusions}, found, seconds


def tune_log(samples: Sequence[KeypointSample]) -> dict[str, Any]:
    """Grid search for the arguments of `detect_log` with the best pooled F1."""
    best, best_f1 = dict[str, Any](), -1.0
    for sigma, window in product(LOG_SIGMAS_UM, LOG_WINDOWS_UM):
        how: dict[str, Any] = {"sigma_um": sigma, "threshold": min(LOG_THRESHOLDS), "window_um": window}
        found = [(detect_log(sample.patch, **how), sample.xy, sample.patch.mpp) for sample in samples]
        for threshold in LOG_THRESHOLDS:
            counts = [count_points(xy[s > threshold] * mpp, true * mpp, RADIUS_UM) for (xy, s), true, mpp in found]
            f1 = np.nan_to_num(sum(counts, PointCounts()).scores()["f1"])
            if f1 > best_f1:
                best, best_f1 = how | {"threshold": threshold}, f1
    return best


def _choose(samples: Sequence[KeypointSample], found: Mapping[str, Sequence[Nuclei]]) -> Fusion:
    about = f"{len(samples)} tiles of EndoNuke, each with weights that never saw its run of ids"
    truth, mpp = [sample.xy for sample in samples], [sample.patch.mpp for sample in samples]
    return choose_fusion(_by_tile(found), truth, mpp, list(found), RADIUS_UM, about)


def _by_tile(found: Mapping[str, Sequence[Nuclei]]) -> list[dict[str, Nuclei]]:
    return [dict(zip(found, tile, strict=True)) for tile in zip(*found.values(), strict=True)]


if __name__ == "__main__":
    main()
