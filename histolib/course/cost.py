"""What a notebook takes: measured in a run of the course, or estimated from single steps at the full profile's size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config import Profile, profile

__all__ = ["COSTS", "TRAININGS", "UNITS", "Cost", "expected", "phantom_size", "planned_steps", "read_costs", "with_run"]

COSTS = "course_cost.json"  # in data/results
UNITS = {
    "bci_pair": "phantom pairs to draw",
    "pannuke_patch": "phantom patches to draw",
    "endonuke_tile": "phantom tiles to draw",
    "cyclegan_warm_step": "warm steps of the CycleGAN",
    "cyclegan_step": "steps of the CycleGAN",
    "hovernet_step": "steps of HoVer-Net",
    "hovernet_mm2": "mm² of HoVer-Net's maps",
    "quick_run": "times the quick profile for the rest",
}
TRAININGS = {"02": ("cyclegan",), "03": ("hovernet",), "04": ("synthetic", "supervised")}  # their folders by notebook
PARTS = {"01": ("phantom",), "02": ("cyclegan",), "03": ("hovernet", "maps"), "04": ("hovernet", "maps")}  # measured
PATCH_MM2, TILE_MM2 = 0.064**2, 0.01  # a PanNuke patch, an EndoNuke tile
# How often HoVer-Net looks at a patch of the test fold, and at a held-out tile: eight routes and three voters.
LOOKS_AT_PATCH, LOOKS_AT_TILE = 2, 11


@dataclass(frozen=True, slots=True)
class Cost:
    """What one notebook takes; None where it is not known.

    Attributes:
        seconds: from start to end.
        memory_mb: the most in memory at once, in 10^6 bytes.
        results_mb: size of what it leaves, in 10^6 bytes.
        steps: how many of each of `UNITS` an estimate is made of, with the seconds of one; empty where it was measured.
    """

    seconds: float | None = None
    memory_mb: float | None = None
    results_mb: float | None = None
    steps: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def read_costs(results: Path) -> dict[str, Any]:
    """The committed costs in the folder of results; empty where there are none."""
    path = results / COSTS
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def with_run(costs: Mapping[str, Any], summary: Mapping[str, Any], name: str = "summary") -> dict[str, Any]:
    """The costs with those of a finished run in place of what was known of its notebooks.

    Args:
        costs: as `read_costs` gives them.
        summary: content of the `summary.json` of a run on drawn tissue that found nothing to go on with.
        name: what the message begins with.

    Raises:
        ValueError: the run found a training or drawn tissue, was given data, left out an earlier notebook, or failed.
    """
    done = [entry for entry in summary["notebooks"] if entry["status"] == "done"]
    if summary["status"] != "done" or done != summary["notebooks"][: len(done)]:
        states = ", ".join(f"{entry['name'][:2]} {entry['status']}" for entry in summary["notebooks"])
        raise ValueError(f"{name}: expected the first notebooks of the course done, found {states}")
    found = [*summary["found"]["trainings"], *(["drawn tissue"] if summary["found"]["phantom"] else [])]
    if found or summary["parameters"].get("data_dir"):
        raise ValueError(
            f"{name}: expected a run that drew its tissue and found nothing to go on with, "
            f"found {', '.join(found) or 'a data_dir'}"
        )
    keys = ("seconds", "cpu_seconds", "memory_mb", "results_mb")
    before = costs.get("runs", {}).get(summary["profile"], {})
    machine = {key: summary[key] for key in ("histolib", "commit", "python", "torch", "device", "cpus")}
    run = {
        "machine": machine,
        "phantom_mb": summary["phantom_mb"],
        "notebooks": before.get("notebooks", {}) | {entry["name"][:2]: {k: entry[k] for k in keys} for entry in done},
    }
    return {**costs, "runs": costs.get("runs", {}) | {summary["profile"]: run}}


def expected(costs: Mapping[str, Any], size: Profile, number: str, done: Mapping[str, int] | None = None) -> Cost:
    """What a notebook will take: as measured with this profile, else estimated from single steps, else unknown.

    An estimate counts the drawing of the phantom, the steps of trainings and HoVer-Net's looks at test images at the
    profile's size, and for the rest what the notebook takes with the quick profile; in notebook 1, which goes through
    all images, as many times that as there is more tissue, and its memory is not known.

    Args:
        costs: as `read_costs` gives them.
        size: the profile.
        number: of the notebook, "02" say.
        done: steps by training (folder name) that are behind it already, and "phantom" where it is drawn.
    """
    quick = profile("quick")
    runs, single = costs.get("runs", {}), costs.get("steps", {})
    measured = runs.get(size.name, {}).get("notebooks", {}).get(number)
    if measured:
        return Cost(measured["seconds"], measured["memory_mb"], measured["results_mb"])
    if number not in PARTS or single.get("profile") != size.name:
        return Cost()
    rest = runs.get(quick.name, {}).get("notebooks", {}).get(number)
    rest = rest or {"seconds": 0.0, "memory_mb": 0.0, "results_mb": 0.0}
    parts = [single[name] for name in PARTS[number]]
    seconds = {unit: one for part in parts for unit, one in part["seconds"].items()} | {"quick_run": rest["seconds"]}
    work = _work(size, number, done or {}) | {"quick_run": 1}
    memory_mb: float | None = max(rest["memory_mb"] or 0.0, *(part["memory_mb"] for part in parts))
    if number == "01":
        work["quick_run"], memory_mb = size.pannuke_per_fold / quick.pannuke_per_fold, None
    steps = {unit: (count, seconds[unit]) for unit, count in work.items() if count and seconds[unit]}
    trained_mb = len(TRAININGS.get(number, ())) * parts[0]["disk_mb"]
    total = sum(count * one for count, one in steps.values())
    return Cost(total, memory_mb, rest["results_mb"] + trained_mb, steps)


def phantom_size(costs: Mapping[str, Any], size: Profile) -> float | None:
    """Size of a profile's phantom in 10^6 bytes, as a run left it or single images add up to; None where not known."""
    run, single = costs.get("runs", {}).get(size.name), costs.get("steps", {})
    if run:
        return run["phantom_mb"]
    return single["phantom"]["disk_mb"] if single.get("profile") == size.name else None


def planned_steps(size: Profile) -> dict[str, int]:
    """Steps of each training by the name of its folder."""
    cyclegan, half = size.translation_warm_steps + size.translation_steps, size.nuclei_steps // 2
    return {"cyclegan": cyclegan, "hovernet": size.nuclei_steps, "synthetic": half, "supervised": half}


def _work(size: Profile, number: str, done: Mapping[str, int]) -> dict[str, float]:
    """How much of each unit a notebook has before it."""
    tiles = size.endonuke_runs
    if number == "01":
        drawn: dict[str, float] = {"bci_pair": sum(size.bci_pairs), "pannuke_patch": 3 * size.pannuke_per_fold}
        return {} if done.get("phantom") else drawn | {"endonuke_tile": sum(tiles)}
    steps = planned_steps(size)
    left = sum(max(0, steps[name] - done.get(name, 0)) for name in TRAININGS[number])
    if number == "02":
        adversarial = min(left, size.translation_steps)
        return {"cyclegan_warm_step": left - adversarial, "cyclegan_step": adversarial}
    if number == "03":
        return {"hovernet_step": left, "hovernet_mm2": size.pannuke_per_fold * PATCH_MM2 * LOOKS_AT_PATCH}
    held_out = sum(tiles[-max(1, len(tiles) // 3) :])
    return {"hovernet_step": left, "hovernet_mm2": held_out * TILE_MM2 * LOOKS_AT_TILE}
