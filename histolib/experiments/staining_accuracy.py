"""Error of positivity and H-score: labelled Ki-67 nuclei of other laboratories, and PHANTOM slides with known grades.

    python -m histolib.experiments.staining_accuracy --ki67 DIR --output data/results/staining.json

Every image is read twice: from its annotated outlines, and from the nuclei that a route finds. The thresholds are the
defaults; 0.2 was checked on the Ki-67 fields, so these are a validation set.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import InstanceTiles, phantom
from ..ensemble import ROUTES, Models, Nuclei, staining_scores
from ..ensemble.routes import roles_of
from ..ensemble.staining import THRESHOLDS, nuclear_density, slide_staining
from ..imaging import Patch
from ..io import write_json
from ..nuclei import describe_instances

POSITIVE = 2  # number of the type "positive" in the Ki-67 labels
PHANTOM_PX, PHANTOM_MPP = 512, 0.5
SCORES = {"ki67_other_labs": ("positivity",), "PHANTOM": ("positivity", "h_score")}  # the Ki-67 labels have no grades


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--ki67", type=Path, help="folder of outlined nuclei with types 1 negative and 2 positive, as InstanceTiles")
    add("--slides", type=int, default=12, help="PHANTOM slides (default: %(default)s)")
    add("--tiles", type=int, default=3, help="tiles of each PHANTOM slide (default: %(default)s)")
    add("--route", default="selftrained")
    add("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    models, pictures = Models(), {}
    for tile in InstanceTiles(args.ki67) if args.ki67 else ():
        truth = 3 * (tile.types == POSITIVE)
        pictures["ki67_other_labs", tile.patch.name] = [(tile.patch, tile.instances, truth)]
    for slide in range(args.slides):
        drawn = [phantom.draw(0, PHANTOM_PX, PHANTOM_MPP, slide=slide, tile=tile) for tile in range(args.tiles)]
        pictures["PHANTOM", f"slide {slide}"] = [(each.ihc, each.instances, each.grade) for each in drawn]
    rows: dict[str, dict[str, Any]] = {}
    for (data, name), tiles in pictures.items():
        patches = [patch for patch, _, _ in tiles]
        outlined = [_outlined(instances) for _, instances, _ in tiles]
        found = [ROUTES[args.route](patch, models=models) for patch in patches]
        grades = {
            "truth": np.concatenate([truth for _, _, truth in tiles]),
            "outlines": _intensity(patches, outlined),
            args.route: _intensity(patches, found),
        }
        scores = {kind: staining_scores(np.bincount(each, minlength=4)) for kind, each in grades.items()}
        rows.setdefault(data, {})[name] = {
            kind: {key: each[key] for key in SCORES[data]} for kind, each in scores.items()
        }
    kinds = "outlines", args.route
    results: dict[str, Any] = {}
    for data, images in rows.items():
        errors = {f"mean error, {kind}": _mean_errors(list(images.values()), kind, SCORES[data]) for kind in kinds}
        results[data] = images | errors
    weights = models.describe(sorted(roles_of(args.route, models)))
    write_json(args.output, results | {"thresholds": THRESHOLDS, "weights": weights})


def _outlined(instances: np.ndarray) -> Nuclei:
    table = describe_instances(instances)
    return Nuclei(table[["x", "y"]].to_numpy(), np.ones(len(table)), contours=tuple(table["contour"]))


def _intensity(patches: Sequence[Patch], nuclei: Sequence[Nuclei]) -> np.ndarray:
    """Intensity of all nuclei of a slide, with the stain vectors and the background of the slide."""
    density, glass, background = zip(*map(nuclear_density, patches, nuclei), strict=True)
    dab, _ = slide_staining(np.concatenate(density), np.array(glass), np.array(background))
    return np.digitize(dab, THRESHOLDS)


def _mean_errors(images: Sequence[dict[str, Any]], kind: str, scores: Sequence[str]) -> dict[str, float]:
    return {key: float(np.mean([abs(one[kind][key] - one["truth"][key]) for one in images])) for key in scores}


if __name__ == "__main__":
    main()
