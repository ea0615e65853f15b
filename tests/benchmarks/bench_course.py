"""Cost of single steps at full size, which `histolib run --plan` multiplies: `python tests/benchmarks/bench_course.py`.

Two short trainings that end as real ones do, with checkpoint and weights, and HoVer-Net's maps of one patch; each in a
process of its own on one thread, in processor time, so that another program on the machine changes little. The last
step of each kind counts. Writes the part `steps` of `data/results/course_cost.json` and leaves the rest of it alone.
Takes seven minutes, and 21 GB of memory for HoVer-Net's steps.
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
from histolib.data import PanNuke, phantom
from histolib.nuclei import HoVerNet, predict_maps
from histolib.nuclei.training import HoverTask
from histolib.plan import COSTS
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


def cyclegan(folder: Path) -> dict[str, Any]:
    settings = replace(recipes.translation_settings(SIZE), warm_steps=STEPS, steps=STEPS, content_limit=-1.0)
    twin, seconds = phantom.draw(0, 400, settings.mpp), timed(CycleGAN)
    recipes.train_cyclegan([twin.ihc], [twin.he], settings, folder, progress=False)
    return {"cyclegan_warm_step": seconds[STEPS - 1], "cyclegan_step": seconds[-1]}


def hovernet(folder: Path) -> dict[str, Any]:
    samples = PanNuke(phantom.write_pannuke(folder.parent / "pannuke", 1), folds=(1,))
    settings = replace(recipes.hover_settings(SIZE, samples.types.values()), steps=STEPS)
    seconds = timed(HoverTask)
    recipes.train_hovernet(samples, settings, folder, progress=False)
    return {"hovernet_step": seconds[-1]}


def maps(folder: Path) -> dict[str, Any]:
    patch, net = phantom.draw(0, 256, PanNuke.mpp).he, HoVerNet("fast", 6, SIZE.nuclei_width).eval()
    start = time.process_time()
    predict_maps(net, patch.image)
    return {"hovernet_mm2": (time.process_time() - start) / patch.area_mm2}


PARTS = {"cyclegan": cyclegan, "hovernet": hovernet, "maps": maps}


def measure(name: str) -> None:
    """Print seconds by unit, peak memory and size of what was written, as JSON."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        folder.mkdir()
        seconds = PARTS[name](folder)
        disk_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # Linux counts in KiB
    print(json.dumps({"seconds": seconds, "memory_mb": memory_mb, "disk_mb": disk_mb}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", choices=list(PARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    found = {}
    for name in PARTS:
        command = [sys.executable, __file__, "--measure", name]
        found[name] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(name, found[name], file=sys.stderr, flush=True)
    path = Paths.find().data / "results" / COSTS
    costs = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": 1}
    write_results(path, {**costs, "steps": {"profile": SIZE.name, "machine": machine, **found}})


if __name__ == "__main__":
    main()
