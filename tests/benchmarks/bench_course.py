"""Cost of single steps at full size, which `histolib run --plan` multiplies: `python tests/benchmarks/bench_course.py`.

A few phantom images drawn, two short trainings that end as real ones do, with checkpoint and weights, and HoVer-Net's
maps of one patch; each in a process of its own on one thread, in processor time, so that another program on the machine
changes little. The last step of each kind counts. Writes the part `steps` of `data/results/course_cost.json` and leaves
the rest of it alone. Takes seven minutes, and 21 GB of memory for HoVer-Net's steps; --only measures one part anew.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from histolib import recipes
from histolib.config import Paths, profile
from histolib.course.cost import COSTS, read_costs
from histolib.data import PanNuke, phantom
from histolib.nuclei import HoVerNet, predict_maps
from histolib.nuclei.training import HoverTask
from histolib.results import write_results
from histolib.translation import CycleGAN

SIZE = profile("full")
STEPS = 2


def timed(task: Any) -> list[float]:
    """Have every step of a class of tasks note its processor time in the list."""
    seconds, step = [], task.step

    def noted(self, batch, accelerator):
        start = time.process_time()
        losses = step(self, batch, accelerator)
        seconds.append(time.process_time() - start)
        return losses

    task.step = noted
    return seconds


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def tissue(folder: Path) -> tuple[dict[str, float], float]:
    """Seconds of an image of each set, and the size of all that the profile draws."""
    sets = {
        "bci_pair": (sum(SIZE.bci_pairs), 2, lambda root: phantom.write_bci(root, 1, 1, SIZE.bci_px)),
        "pannuke_patch": (3 * SIZE.pannuke_per_fold, 6, lambda root: phantom.write_pannuke(root, 2)),
        "endonuke_tile": (sum(SIZE.endonuke_runs), 20, lambda root: phantom.write_endonuke(root, (10, 10))),
    }
    seconds, disk_mb = {}, 0.0
    for unit, (wanted, drawn, write) in sets.items():
        start = time.process_time()
        root = write(folder / unit)
        seconds[unit] = (time.process_time() - start) / drawn
        disk_mb += size_mb(root) * wanted / drawn
    return seconds, disk_mb


def cyclegan(folder: Path) -> tuple[dict[str, float], float]:
    settings = replace(recipes.translation_settings(SIZE), warm_steps=STEPS, steps=STEPS, content_limit=-1.0)
    twin, seconds = phantom.draw(0, 400, settings.mpp), timed(CycleGAN)
    recipes.train_cyclegan([twin.ihc], [twin.he], settings, folder, progress=False)
    return {"cyclegan_warm_step": seconds[STEPS - 1], "cyclegan_step": seconds[-1]}, size_mb(folder)


def hovernet(folder: Path) -> tuple[dict[str, float], float]:
    samples = PanNuke(phantom.write_pannuke(folder / "pannuke", 1), folds=(1,))
    settings = replace(recipes.hover_settings(SIZE, samples.types.values()), steps=STEPS)
    seconds = timed(HoverTask)
    recipes.train_hovernet(samples, settings, folder / "run", progress=False)
    return {"hovernet_step": seconds[-1]}, size_mb(folder / "run")


def maps(folder: Path) -> tuple[dict[str, float], float]:
    patch, net = phantom.draw(0, 256, PanNuke.mpp).he, HoVerNet("fast", 6, SIZE.nuclei_width).eval()
    start = time.process_time()
    predict_maps(net, patch.image)
    return {"hovernet_mm2": (time.process_time() - start) / patch.area_mm2}, size_mb(folder)


PARTS = {"phantom": tissue, "cyclegan": cyclegan, "hovernet": hovernet, "maps": maps}


def measure(name: str) -> None:
    """Print seconds by unit, peak memory and size of what was written, as JSON."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        seconds, disk_mb = PARTS[name](Path(folder))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # Linux counts in KiB
    print(json.dumps({"seconds": seconds, "memory_mb": memory_mb, "disk_mb": disk_mb}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(PARTS), nargs="+", default=list(PARTS), help="parts to measure anew")
    parser.add_argument("--measure", choices=list(PARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    path = Paths.find().data / "results" / COSTS
    costs = read_costs(path.parent)
    steps = costs.get("steps", {}) | {"profile": SIZE.name}
    steps["machine"] = {"python": platform.python_version(), "torch": torch.__version__, "threads": 1}
    for name in arguments.only:
        command = [sys.executable, __file__, "--measure", name]
        steps[name] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(name, steps[name], file=sys.stderr, flush=True)
        write_results(path, {**costs, "steps": steps})


if __name__ == "__main__":
    main()
