"""F1 of every route by laboratory: cross-fit EndoNuke scores, Ki-67 of other laboratories, and H&E of breast.

    python -m histolib.experiments.compare_laboratories --endonuke data/results/endonuke.json --ki67 DIR --brca DIR
        --output data/results/laboratories.json

Ki-67 and breast are validation sets: settings were chosen on them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import BRCAM2C, InstanceTiles
from ..ensemble import ROUTES, Models
from ..imaging import Patch
from ..io import write_json
from ..metrics.bootstrap import pooled_scores
from ..metrics.points import count_points
from ..nuclei import find_nuclei

RADIUS_UM = 3.0
MEASURES = ("f1", "precision", "recall", "f1_ci95")
Points = tuple[str, Patch, np.ndarray]  # block, patch, annotated points


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--endonuke", type=Path, help="results of histolib.experiments.compare_routes")
    add("--ki67", type=Path, help="folder of outlined nuclei in Ki-67 IHC, as InstanceTiles")
    add("--brca", type=Path, help="folder of BRCA-M2C, whose part val is scored")
    add("--weights", type=Path, action="append", default=[])
    add("--routes", default=",".join(ROUTES))
    add("--output", type=Path)
    args = parser.parse_args(argv)
    models = Models(*args.weights)
    results: dict[str, dict[str, Any]] = {}
    if args.endonuke:
        routes = json.loads(args.endonuke.read_text("utf-8"))["routes"]
        results["endonuke"] = {name: {key: scores[key] for key in MEASURES} for name, scores in routes.items()}
    if args.ki67:
        samples = [(one.patch.name, one.patch, one.xy) for one in InstanceTiles(args.ki67)]
        results["ki67_other_labs"] = {}
        for route in args.routes.split(","):
            if not models.missing(ROUTES[route].needs):
                found = [ROUTES[route](patch, models=models).xy for _, patch, _ in samples]
                results["ki67_other_labs"][route] = score(samples, found)
    if args.brca:
        breast = BRCAM2C(args.brca, "val")
        samples = [(group, one.patch, one.xy) for group, one in zip(breast.groups, breast, strict=True)]
        net = models.load("hovernet")
        found = [find_nuclei(patch, net)[["x", "y"]].to_numpy(np.float64) for _, patch, _ in samples]
        results["brca_m2c_val"] = {"hovernet": score(samples, found)}
    for name, routes in results.items():
        for route, scores in routes.items():
            numbers = "  ".join(f"{measure} {scores[measure]:.3f}" for measure in MEASURES[:3])
            print(f"{name:<16} {route:<12} {numbers}")
    if args.output:
        write_json(args.output, results)
    return 0


def score(samples: Sequence[Points], found: Sequence[np.ndarray]) -> dict[str, Any]:
    """Precision, recall and F1 pooled over points, with a bootstrap interval over blocks."""
    counts = [
        count_points(points * patch.mpp, xy * patch.mpp, RADIUS_UM)
        for points, (_, patch, xy) in zip(found, samples, strict=True)
    ]
    return pooled_scores(counts, [block for block, _, _ in samples])


if __name__ == "__main__":
    sys.exit(main())
