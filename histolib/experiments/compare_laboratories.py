"""Score routes on IHC of several laboratories, and H&E networks on breast (validation sets).

python -m histolib.experiments.compare_laboratories --endonuke DIR --ki67 DIR --brca DIR --output FILE.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import BRCAM2C, EndoNuke, InstanceTiles
from ..ensemble import ROUTES, Models
from ..imaging import Patch
from ..io import write_json
from ..metrics import bootstrap_f1
from ..metrics.bootstrap import block_sums
from ..metrics.points import PointCounts, count_points
from ..nuclei import find_nuclei

RADIUS_UM = 3.0
Points = tuple[str, Patch, np.ndarray]  # block, patch, annotated points


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--endonuke", type=Path)
    add("--ki67", type=Path)
    add("--brca", type=Path)
    add("--weights", type=Path, action="append", default=[])
    add("--routes", default=",".join(ROUTES))
    add("--output", type=Path)
    args = parser.parse_args(argv)
    models = Models(*args.weights)
    sets: dict[str, list[Points]] = {}
    if args.endonuke:
        sets["endonuke"] = [(sample.patch.name, sample.patch, sample.xy) for sample in EndoNuke(args.endonuke)]
    if args.ki67:
        sets["ki67_other_labs"] = [(one.patch.name, one.patch, one.xy) for one in InstanceTiles(args.ki67)]
    results: dict[str, Any] = {}
    for name, samples in sets.items():
        for route in args.routes.split(","):
            if not models.missing(ROUTES[route].needs):
                found = [ROUTES[route](patch, models=models).xy for _, patch, _ in samples]
                results.setdefault(name, {})[route] = score(samples, found)
    if args.brca:
        breast = BRCAM2C(args.brca, "val")
        samples = [(group, one.patch, one.xy) for group, one in zip(breast.groups, breast, strict=True)]
        net = models.load("hovernet")
        found = [find_nuclei(patch, net)[["x", "y"]].to_numpy(np.float64) for _, patch, _ in samples]
        results["brca_m2c_val"] = {"hovernet": score(samples, found)}
    for name, routes in results.items():
        for route, scores in routes.items():
            numbers = "  ".join(f"{measure} {scores[measure]:.3f}" for measure in ("f1", "precision", "recall"))
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
    total = sum(counts, PointCounts())
    sums = block_sums(np.array([one.counts for one in counts]), [block for block, _, _ in samples])
    return {**{name: total.scores()[name] for name in ("precision", "recall", "f1")}, "f1_ci95": bootstrap_f1(sums)}


if __name__ == "__main__":
    sys.exit(main())
