"""The trick table: what each setting of a CycleGAN that people reach for changes, measured on phantom twins."""

from __future__ import annotations

import argparse
import json
import logging
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__
from .config import Paths, profile, writable_folder
from .data import PanNuke
from .ensemble import HOVERNET, TRANSLATIONS, Models
from .ensemble.translation_command import phantom_material, score_material
from .ensemble.translation_table import headline
from .materials import open_stain
from .recipes import Sets, hover_settings, open_sets, train_cyclegan, train_hovernet, translation_settings
from .results import write_results
from .translation import TranslationSettings
from .viz import figure_seeds, save_figure

__all__ = ["BASE", "TRICKS", "add_parsers", "summary"]

logger = logging.getLogger(__name__)

NAME = "tricks"
SCORES = "scores.json"
IMAGES = 12
# Small and short, so that many runs are affordable; nothing stops a run, so that what is lost is measured.
BASE = replace(
    translation_settings(profile("quick")),
    mpp=0.5,
    patch_px=64,
    warm_steps=100,
    steps=300,
    lr_generator=3e-4,
    lr_discriminator=3e-4,
    content_limit=-1.0,
)
# What differs from the quick profile in the HoVer-Net that counts what is left of the nuclei.
DETECTOR: dict[str, Any] = {"width": 3 / 16, "steps": 400, "learning_rate": 4e-3, "affine": 0.2, "jitter": 0.2}
# What differs from the base. Runs see as many crops as the base does, the plain ones without a warm start too.
TRICKS: dict[str, dict[str, Any]] = {
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

EPILOG = f"""\
Small CycleGANs are trained, a setting changed in each, and scored on phantom twins of slides that no training saw.
Writes {NAME}.json, {NAME}.png and {NAME}.pdf. A run takes about a minute of one CPU core; stopped, the same command
goes on where it was.

{textwrap.fill(f"settings: {', '.join(TRICKS)}", 118)}

examples:
  histolib tricks
  histolib tricks --seeds 1 --output /tmp/tricks --work /tmp/tricks/runs    # a first look
"""


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `tricks` to the command line."""
    parser = subparsers.add_parser(
        "tricks",
        description="Measure what single settings of the CycleGAN change, over seeds, on phantom tissue.",
        epilog=EPILOG,
    )
    output = "folder of the table and the figure (default: %(default)s)"
    parser.add_argument("--output", type=Path, default=Path("data/results"), help=output)
    parser.add_argument("--work", type=Path, default=Path("runs/tricks"), help="of the runs (default: %(default)s)")
    seeds = "seeds 0 to N - 1 of each setting (default: %(default)s)"
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help=seeds)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and score what is not there yet, then write the table and the figure."""
    if args.seeds < 1:
        raise ValueError(f"--seeds: expected at least 1, found {args.seeds}")
    for folder in (args.output, args.work):
        writable_folder(folder)
    sets = open_sets(Paths.find().data, profile("quick"))
    detector = args.work / "detector"
    if not (detector / HOVERNET).is_file():
        _train_detector(sets, detector)
    rows = []
    for seed in range(args.seeds):
        for name, changes in TRICKS.items():
            settings = replace(BASE, seed=seed, **changes)
            logger.info("%s, seed %d", name, seed)
            rows.append({"name": name, "seed": seed, **_row(sets, settings, _folder(args.work, name, seed), detector)})
    results = {
        "rows": rows,
        "summary": summary(rows),
        "rivals": _rivals(args.work, detector),
        "protocol": {
            "base": asdict(BASE),
            "changes": TRICKS,
            "scored_on": f"{IMAGES} phantom twins of slides that no training saw",
            "detector": "HoVer-Net trained on phantom H&E",
            "seeds": args.seeds,
            "histolib": __version__,
        },
    }
    write_results(args.output / f"{NAME}.json", results)
    save_figure(figure(results), NAME, args.output)
    print(table(results))
    return 0


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and range over seeds of each measure, and of the paired change of F1 from the base.

    Args:
        rows: "name", "seed", and "scores" by measure; the base is among them.

    Returns:
        by name and measure {mean, low, high}; "change" is F1 minus that of the base at the same seed.
    """
    by_name: dict[str, dict[int, Mapping[str, float]]] = {}
    for row in rows:
        by_name.setdefault(row["name"], {})[row["seed"]] = row["scores"]
    base = by_name["base"]
    result: dict[str, dict[str, Any]] = {}
    for name, scores in by_name.items():
        measures = {measure: [score[measure] for score in scores.values()] for measure in next(iter(scores.values()))}
        if name != "base":
            measures["change"] = [score["detection"] - base[seed]["detection"] for seed, score in scores.items()]
        result[name] = {measure: _range(values) for measure, values in measures.items()}
    return result


def figure(results: Mapping[str, Any]) -> Any:
    """F1 of every run, a row a setting, beside the rivals that need no training."""
    runs: dict[str, list[float]] = {}
    for row in results["rows"]:
        runs.setdefault(row["name"], []).append(row["scores"]["detection"])
    rivals = {name: scores["detection"] for name, scores in results["rivals"].items()}
    return figure_seeds(runs, rivals, "F1 of nuclei found after translation, 3 µm")


def table(results: Mapping[str, Any]) -> str:
    """The summary for a person."""
    width = max(map(len, results["summary"]))
    lines = [f"{'':<{width}}  {'F1 ↑':>6} {'change':>21} {'KID ↓':>7} {'SSIM ↑':>7} {'density ↑':>9} {'cycle ↓':>8}"]
    for name, row in results["summary"].items():
        change = row.get("change")
        moved = f"{change['mean']:+.3f} ({change['low']:+.2f}..{change['high']:+.2f})" if change else ""
        cells = [f"{row[m]['mean']:.3f}" for m in ("detection", "kid", "ssim", "correlation", "cycle")]
        lines.append(
            f"{name:<{width}}  {cells[0]:>6} {moved:>21} {cells[1]:>7} {cells[2]:>7} {cells[3]:>9} {cells[4]:>8}"
        )
    rivals = ", ".join(f"{name} {scores['detection']:.3f}" for name, scores in results["rivals"].items())
    return "\n".join([*lines, f"F1 without training: {rivals}"])


def _train_detector(sets: Sets, folder: Path) -> None:
    samples = PanNuke(sets.pannuke.root, folds=(1, 2))
    settings = replace(hover_settings(profile("quick"), tuple(samples.types.values())), **DETECTOR)
    told = {"groups": samples.groups, "trained_on": "phantom PanNuke: fold1, fold2"}
    train_hovernet(samples, settings, folder, resume=True, mixed_precision="bf16", save_every=100, **told)


def _row(sets: Sets, settings: TranslationSettings, folder: Path, detector: Path) -> dict[str, Any]:
    """Scores and cost of one run, which is made unless it is there."""
    file, made_by = folder / SCORES, json.dumps(asdict(settings))
    if file.is_file():
        row = json.loads(file.read_text())
        if row["settings"] == json.loads(made_by):
            return {"scores": row["scores"], "seconds": row["seconds"]}
    ihc, he = open_stain(sets.endonuke.root, "ihc"), open_stain(sets.pannuke.root, "he")
    start = time.process_time()
    train_cyclegan(ihc.patches, he.patches, settings, folder, resume=True)
    seconds = time.process_time() - start
    found = score_material(phantom_material(IMAGES), Models(folder, detector), ["cyclegan"])
    row = {"settings": json.loads(made_by), "scores": headline(found["translations"]["cyclegan"]["to_he"])}
    row["seconds"] = round(seconds, 1)
    write_results(file, row)
    return {"scores": row["scores"], "seconds": row["seconds"]}


def _rivals(work: Path, detector: Path) -> dict[str, dict[str, float]]:
    models = Models(_folder(work, "base", 0), detector)
    names = [name for name in TRANSLATIONS if name != "cyclegan"]
    found = score_material(phantom_material(IMAGES), models, names)
    return {name: headline(scores["to_he"]) for name, scores in found["translations"].items()}


def _folder(work: Path, name: str, seed: int) -> Path:
    return work / f"{name.replace(' ', '-')}-{seed}"


def _range(values: Sequence[float]) -> dict[str, float]:
    return {name: round(float(f(values)), 5) for name, f in (("mean", np.mean), ("low", np.min), ("high", np.max))}
