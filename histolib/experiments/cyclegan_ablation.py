"""Ablation of the CycleGAN: the effect of single settings on phantom tissue, over random seeds.

Trains small CycleGANs, each with one changed setting, and scores them on registered pairs of slides that no training
saw. Writes cyclegan_ablation.json, .png and .pdf to data/results. A run takes about a minute of one CPU core; after an
interruption the same command continues.

  python -m histolib.experiments.cyclegan_ablation
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from tqdm import tqdm

from .. import __version__, viz
from ..config import CycleGANSettings, HoverNetSettings, Paths, profile
from ..data import PanNuke
from ..data.training_sets import open_stain
from ..ensemble import Models
from ..ensemble.translation_sets import evaluate_with_models, phantom_pairs
from ..io import Provenance, plain, write_json
from ..notebook import Datasets, open_datasets
from ..nuclei import train_hovernet
from ..translation import TRANSLATIONS, train_cyclegan
from ..translation.stain_transfer import save_stain_reference
from ..translation.table import headline

NAME = "cyclegan_ablation"
# Small and short, so that many runs are affordable. No run stops early, so that lost content is measured.
QUICK = profile("quick")
BASE = replace(QUICK.cyclegan, mpp=0.5, patch_px=64, warm_steps=100, steps=300, lr_discriminator=3e-4, content_limit=-1)
# HoVer-Net that measures how many nuclei are found after translation.
DETECTOR = replace(QUICK.hovernet, width=3 / 16, steps=400, learning_rate=4e-3, affine=0.2, jitter=0.2)
# Changes to the base. All runs see the same number of crops, including those without a warm start.
CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    "batch of 4": {"batch_size": 4, "warm_steps": 25, "steps": 75},
    "no warm start": {"warm_steps": 0, "steps": 400},
    "no identity loss": {"identity": 0.0},
    "no content term": {"content": 0.0},
    "none of these three": {"warm_steps": 0, "steps": 400, "identity": 0.0, "content": 0.0},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "spectral norm": {"spectral_norm": True},
    "discriminator at a quarter of the rate": {"lr_discriminator": 7.5e-5},
    "averaged generators": {"ema": 0.99},
}


def main() -> None:
    """Run the ablation with three seeds."""
    paths = Paths.find()
    ablate(open_datasets(paths.data, QUICK), paths.runs / NAME, paths.data / "results", range(3))


def ablate(
    sets: Datasets, work: Path, output: Path, seeds: Sequence[int], *, base: CycleGANSettings = BASE,
    changes: Mapping[str, Mapping[str, Any]] = CHANGES, detector: HoverNetSettings = DETECTOR, images: int = 12,
) -> dict[str, Any]:  # fmt: skip
    """Train and score all missing runs, and write the results and the figure.

    Args:
        sets: phantom data sets to train on.
        work: folder of the runs; finished runs with the same settings are reused.
        output: folder of the results.
        seeds: random seeds; each change is trained with each seed.
        base: settings of the base run.
        changes: changed settings by name of the run; "base" must be among them.
        detector: settings of the network that finds nuclei after translation.
        images: number of phantom pairs to score on.

    Returns:
        the content of `cyclegan_ablation.json`.
    """
    if not (work / "detector" / "hovernet.safetensors").is_file():
        samples = PanNuke(sets.pannuke.root, folds=(1, 2))
        settings = replace(detector, types=tuple(samples.types.values()))
        provenance = Provenance("phantom PanNuke: fold1, fold2", tuple(samples.groups))
        train_hovernet(samples, settings, work / "detector", provenance=provenance, resume=True, mixed_precision="bf16")
        save_stain_reference([one.patch for one in samples], "he", work / "detector" / "he_reference.safetensors")
    rows = []
    for seed, name in tqdm(list(product(seeds, changes)), unit="run"):
        folder = work / f"{name.replace(' ', '-')}-{seed}"
        trained = _run(sets, replace(base, seed=seed, **changes[name]), folder, images)
        rows.append({"name": name, "seed": seed, **trained})
    protocol = {
        "base": asdict(base), "changes": changes, "seeds": len(seeds), "histolib": __version__,
        "scored_on": f"{images} phantom pairs of slides that no training saw",
        "detector": "HoVer-Net trained on phantom H&E",
    }  # fmt: skip
    summary = summarise(rows)
    classical = _scores(work / f"base-{seeds[0]}", [name for name in TRANSLATIONS if name != "cyclegan"], images)
    results = {"rows": rows, "summary": summary, "classical": classical, "protocol": protocol}
    write_json(output / f"{NAME}.json", results)
    runs = {name: {"F1": tuple(row["detection"].values())} for name, row in summary.items()}
    lines = {name: scores["detection"] for name, scores in classical.items()}
    xlabel = "F1 of nuclei found after translation, 3 µm, with range over seeds"
    viz.save_figure(viz.figure_intervals(runs, xlabel, lines=lines), NAME, output)
    return results


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and range over seeds of each measure, and of the paired change of F1 from the base.

    Args:
        rows: "name", "seed", and "scores" by measure; the base is among them.

    Returns:
        by name and measure {mean, low, high}; "change" is F1 minus that of the base with the same seed.
    """
    base = {row["seed"]: row["scores"]["detection"] for row in rows if row["name"] == "base"}
    result: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        runs = [row for row in rows if row["name"] == name]
        measures = {measure: [run["scores"][measure] for run in runs] for measure in runs[0]["scores"]}
        if name != "base":
            measures["change"] = [run["scores"]["detection"] - base[run["seed"]] for run in runs]
        result[name] = {k: {"mean": mean(v), "low": min(v), "high": max(v)} for k, v in measures.items()}
    return plain(result)


def _run(sets: Datasets, settings: CycleGANSettings, folder: Path, images: int) -> dict[str, Any]:
    """Scores and CPU seconds of one run, trained unless it exists."""
    file, made_by = folder / "scores.json", json.loads(json.dumps(asdict(settings)))
    row = json.loads(file.read_text()) if file.is_file() else {}
    if row.pop("settings", None) != made_by:
        ihc, he = open_stain(sets.endonuke.root, "ihc"), open_stain(sets.pannuke.root, "he")
        start = time.process_time()
        train_cyclegan(ihc.patches, he.patches, settings, folder, resume=True)
        seconds = round(time.process_time() - start, 1)
        row = {"scores": _scores(folder, ["cyclegan"], images)["cyclegan"], "seconds": seconds}
        write_json(file, {"settings": made_by, **row})
    return row


def _scores(folder: Path, names: Sequence[str], images: int) -> dict[str, dict[str, float]]:
    results = evaluate_with_models(phantom_pairs(images), Models(folder, folder.parent / "detector"), names)
    return {name: headline(scores) for name, scores in results["translations"].items()}


if __name__ == "__main__":
    main()
