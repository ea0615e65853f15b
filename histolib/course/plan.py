"""What a run of the course is about to do, said before it starts: time, memory, data, disk, what it goes on with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..config import Paths, Profile, best_device, phantom_folder
from ..data import BCI, EndoNuke, PanNuke
from .cost import TRAININGS, UNITS, Cost, expected, phantom_size, planned_steps, read_costs
from .summary import SUMMARY

__all__ = ["Plan", "duration", "make_plan", "size_of"]

SETS = {"bci": BCI, "pannuke": PanNuke, "endonuke": EndoNuke}
RESUMED = TRAININGS["04"]  # notebook 4 always goes on with these
UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will take.

    Attributes:
        costs: what each notebook takes, by file name.
        found: what is there already: `trainings`, steps by folder, and whether the `phantom` is drawn.
        phantom: folder of the drawn tissue, None where real sets are given.
        missing: what keeps the notebooks from running, a line each.
        text: all of it in words.
    """

    costs: Mapping[str, Cost]
    found: Mapping[str, Any]
    phantom: Path | None
    missing: Sequence[str]
    text: str

    @property
    def seconds(self) -> float | None:
        """Time of all notebooks together, None where it is not known of one."""
        return _total(cost.seconds for cost in self.costs.values())


def make_plan(
    files: Sequence[Path], size: Profile, parameters: Mapping[str, Any], paths: Paths, folder: Path, figures: Path
) -> Plan:
    """Plan a run: look at what is there, and read what it takes from the committed costs. Nothing is written.

    Args:
        files: the notebooks to run.
        size: the profile.
        parameters: values of all notebook parameters.
        paths: the checkout.
        folder: of everything that the run makes.
        figures: folder that the figures are copied to.
    """
    numbers = [file.name[:2] for file in files]
    given, seed = parameters.get("data_dir"), parameters.get("seed", 0)
    root = None if given else phantom_folder(paths.data, size, seed)
    drawn = root is not None and all((root / name).is_dir() for name in SETS)
    drawing = f"data: phantom tissue, {'drawn already' if drawn else 'to be drawn'} in {root}; nothing is downloaded"
    data, missing = _real_sets((paths.root / Path(given).expanduser()).resolve()) if given else ([drawing], [])

    trainings = _trainings(folder)
    gone_on_with = [name for name in trainings if name in RESUMED or parameters.get("resume")]
    costs = read_costs(paths.data / "results")
    behind = {name: trainings[name] for name in gone_on_with} | {"phantom": int(drawn or root is None)}
    each = {file.name: expected(costs, size, file.name[:2], behind) for file in files}
    official = parameters.get("official_weights")
    if official and not (paths.root / Path(official).expanduser()).is_file():
        missing.append(f"official_weights: expected a file, found none at {official}")

    phantom_mb = 0.0 if given or drawn else phantom_size(costs, size)
    disk_mb = _total([*(cost.results_mb for cost in each.values()), phantom_mb])
    need = "need not known" if disk_mb is None else f"{size_of(disk_mb)} needed"
    where = folder
    while not where.exists():
        where = where.parent
    lines = [
        f"profile {size.name}, notebooks {', '.join(numbers)}, on {best_device()} "
        f"({os.cpu_count()} cores, {size_of(psutil.virtual_memory().total / 1e6)} of memory)",
        "",
        *_table(each),
        "",
        *_sources(costs, size, each),
        *data,
        f"results: {folder}, with {SUMMARY}; figures: {figures}",
        f"there already: {_there(numbers, trainings, gone_on_with, size)}",
        f"disk: {need}, {size_of(shutil.disk_usage(where).free / 1e6)} free",
        *(f"missing: {line}" for line in missing),
    ]
    return Plan(each, {"trainings": trainings, "phantom": drawn}, root, missing, "\n".join(lines))


def duration(seconds: float | None) -> str:
    """A time as people say it: 45 s, 6 min 30 s, 3 h 10 min, 11 days."""
    if seconds is None:
        return UNKNOWN
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds / 10) * 10, 60)
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        hours, rest = divmod(round(seconds / 600) * 10, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{seconds / 86400:.0f} days"


def size_of(megabytes: float | None) -> str:
    """A size as people say it, from 10^6 bytes: 640 MB, 2.9 GB."""
    if megabytes is None:
        return UNKNOWN
    return f"{megabytes:.0f} MB" if megabytes < 999.5 else f"{megabytes / 1000:.1f} GB"


def _total(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _trainings(folder: Path) -> dict[str, int]:
    """Steps that each training of a run has behind it, by the name of its folder."""
    from ..training.loop import CHECKPOINT, LOG  # imports torch

    found = {}
    for name in (name for names in TRAININGS.values() for name in names):
        log = folder / name / LOG
        if (folder / name / CHECKPOINT).is_file() and log.is_file():
            lines = log.read_text("utf-8").splitlines()
            steps = [line.partition(",")[0] for line in lines if line.count(",") == 2]
            found[name] = max((int(step) for step in steps if step.isdigit()), default=0)
    return found


def _there(numbers: Sequence[str], trainings: Mapping[str, int], gone_on_with: Sequence[str], size: Profile) -> str:
    planned, said = planned_steps(size), []
    for number, names in TRAININGS.items():
        for name in names:
            if name not in trainings:
                continue
            fate = "gone on with" if name in gone_on_with else "begun anew unless --set resume=True"
            fate = fate if number in numbers else "used as it is"
            said.append(f"{name}, {trainings[name]:,} of {planned[name]:,} steps, {fate}")
    return "; ".join(said) or "no training"


def _real_sets(root: Path) -> tuple[list[str], list[str]]:
    """Lines on the sets below a folder, and those on what is missing."""
    if not root.is_dir():
        return [], [f"data_dir: expected a folder with {', '.join(SETS)}, found none at {root}"]
    found, missing = [], []
    for name, reader in SETS.items():
        try:
            found.append(f"data: {root / name}, {len(reader(root / name)):,} samples")
        except (ValueError, OSError) as error:
            missing.append(f"data_dir: {error} (`histolib data list` tells how to get {name})")
    return found, missing


def _table(costs: Mapping[str, Cost]) -> list[str]:
    rows = [("notebook", "time", "memory", "known from")]
    for name, cost in costs.items():
        known = "single steps" if cost.steps else "a run" if cost.seconds is not None else ""
        rows.append((name, duration(cost.seconds), size_of(cost.memory_mb), known))
    most = max((cost.memory_mb for cost in costs.values() if cost.memory_mb is not None), default=None)
    rows.append(("altogether", duration(_total(cost.seconds for cost in costs.values())), size_of(most), ""))
    wide = max(len(row[0]) for row in rows)
    return [f"{name:<{wide}}  {time:<12} {memory:<10} {known}".rstrip() for name, time, memory, known in rows]


def _sources(costs: Mapping[str, Any], size: Profile, each: Mapping[str, Cost]) -> list[str]:
    """Where the numbers come from."""
    lines = []
    run = costs.get("runs", {}).get(size.name)
    if run:
        machine = run["machine"]
        lines.append(
            f"a run: on {machine['device']} with {machine['cpus']} cores, torch {machine['torch']}, from nothing"
        )
    for name, cost in each.items():
        if cost.steps:
            steps = [f"{count:,.0f} {UNITS[unit]} at {_seconds(one)}" for unit, (count, one) in cost.steps.items()]
            lines.append(f"single steps: {name[:2]} is {', '.join(steps)}")
    if any(cost.steps for cost in each.values()):
        lines.append(
            "this is an estimate for one CPU core; the profile is meant for a GPU and was never run to "
            "its end. Each training writes log.csv in its folder as it goes"
        )
    return lines


def _seconds(one: float) -> str:
    return f"{one:,.0f} s" if one >= 1 else f"{one:.2g} s"
