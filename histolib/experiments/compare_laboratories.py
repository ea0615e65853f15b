"""F1 of every route by laboratory: cross-fit EndoNuke scores, Ki-67 of other laboratories, and H&E of breast.

    python -m histolib.experiments.compare_laboratories --endonuke data/results/endonuke.json --ki67 DIR --brca DIR
        --output data/results/laboratories.json

Ki-67 and breast are scored with the pretrained weights. They are validation sets: settings were chosen on them.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data import BRCAM2C, InstanceTiles
from ..ensemble import ROUTES, Models, evaluate
from ..io import write_json

COPIED = ("f1", "precision", "recall", "f1_ci95")
SCORED = ("precision", "recall", "f1", "f1_ci95", "n_true", "n_pred")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--endonuke", type=Path, required=True, help="results of histolib.experiments.compare_routes")
    add("--ki67", type=Path, required=True, help="folder of outlined nuclei in Ki-67 IHC, as InstanceTiles")
    add("--brca", type=Path, required=True, help="folder of BRCA-M2C, whose part val is scored")
    add("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    models = Models()
    usable = {name: name for name in ROUTES if not models.missing(ROUTES[name].needs)}
    ki67, breast = list(InstanceTiles(args.ki67)), BRCAM2C(args.brca, "val")
    results = {
        "endonuke": _kept(COPIED, json.loads(args.endonuke.read_text("utf-8"))),
        "ki67_other_labs": _score(ki67, [one.patch.name for one in ki67], usable, models),
        "brca_m2c_val": _score(breast, breast.groups, {"hovernet": "direct"}, models),
    }
    write_json(args.output, results)


def _score(samples: Any, blocks: Sequence[str], routes: Mapping[str, str], models: Models) -> dict[str, Any]:
    """Scores by title of a route, pooled over samples, with a bootstrap interval of F1 over blocks."""
    found = {title: [ROUTES[name](one.patch, models=models) for one in samples] for title, name in routes.items()}
    return _kept(SCORED, evaluate(samples, found, blocks=blocks))


def _kept(measures: Sequence[str], results: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {key: scores[key] for key in measures} for name, scores in results["routes"].items()}


if __name__ == "__main__":
    main()
