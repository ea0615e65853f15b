"""What a notebook takes: measured in a run of the course, or estimated from single steps at the full profile's size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .config import Profile, profile

__all__ = ["COSTS", "TRAININGS", "UNITS", "Cost", "expected", "planned_steps", "read_costs", "with_run"]

COSTS = "course_cost.json"  # in data/results
UNITS = {
    "cyclegan_warm_step": "warm steps of the CycleGAN",
    "cyclegan_step": "steps of the CycleGAN",
    "hovernet_step": "steps of HoVer-Net",
    "hovernet_mm2": "mm² of HoVer-Net's maps",
}
TRAININGS = {"02": ("cyclegan",), "03": ("hovernet",), "04": ("synthetic", "supervised")}  # their folders by notebook
PATCH_MM2, TILE_MM2 = 0.064**2, 0.01  # a PanNuke patch, an EndoNuke tile
# How often HoVer-Net looks at a patch of the test fold, and at a held-out tile: eight routes and three voters, twice.
LOOKS_AT_PATCH, LOOKS_AT_TILE = 2, 22


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

    An estimate is the steps of the notebook's trainings and HoVer-Net's looks at test images at the profile's size, and
    what the notebook takes with the quick profile for all the rest.

    Args:
        costs: as `read_costs` gives them.
        size: the profile.
        number: of the notebook, "02" say.
        done: steps by training (folder name) that are behind it already.
    """
    runs = costs.get("runs", {})
    measured = runs.get(size.name, {}).get("notebooks", {}).get(number)
    if measured:
        return Cost(measured["seconds"], measured["memory_mb"], measured["results_mb"])
    rest, single = runs.get(profile("quick").name, {}).get("notebooks", {}).get(number), costs.get("steps", {})
    if number not in TRAININGS or single.get("profile") != size.name:
        return Cost()
    rest = rest or {"seconds": 0.0, "memory_mb": 0.0, "results_mb": 0.0}
    network = "cyclegan" if number == "02" else "hovernet"
    parts = [single[network], *([single["maps"]] if network == "hovernet" else [])]
    seconds = {unit: one for part in parts for unit, one in part["seconds"].items()}
    steps = {unit: (count, seconds[unit]) for unit, count in _work(size, number, done or {}).items()}
    return Cost(
        rest["seconds"] + sum(count * one for count, one in steps.values()),
        max(rest["memory_mb"] or 0.0, *(part["memory_mb"] for part in parts)),
        rest["results_mb"] + len(TRAININGS[number]) * single[network]["disk_mb"],
        steps,
    )


def planned_steps(size: Profile) -> dict[str, int]:
    """Steps of each training by the name of its folder."""
    cyclegan, half = size.translation_warm_steps + size.translation_steps, size.nuclei_steps // 2
    return {"cyclegan": cyclegan, "hovernet": size.nuclei_steps, "synthetic": half, "supervised": half}


def _work(size: Profile, number: str, done: Mapping[str, int]) -> dict[str, float]:
    """How much of each unit a notebook with trainings has before it."""
    steps = planned_steps(size)
    left = sum(max(0, steps[name] - done.get(name, 0)) for name in TRAININGS[number])
    if number == "02":
        adversarial = min(left, size.translation_steps)
        return {"cyclegan_warm_step": left - adversarial, "cyclegan_step": adversarial}
    if number == "03":
        return {"hovernet_step": left, "hovernet_mm2": size.pannuke_per_fold * PATCH_MM2 * LOOKS_AT_PATCH}
    held_out = sum(size.endonuke_runs[-max(1, len(size.endonuke_runs) // 3) :])
    return {"hovernet_step": left, "hovernet_mm2": held_out * TILE_MM2 * LOOKS_AT_TILE}
