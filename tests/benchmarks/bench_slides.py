"""Detection on a phantom slide: time per mm², peak memory, two processes, borders of tiles, and GeoJSON.

python tests/benchmarks/bench_slides.py --side 20480             # 26 mm²: time and peak memory of the default route
python tests/benchmarks/bench_slides.py --side 40960             # four times the area: the same memory
python tests/benchmarks/bench_slides.py --side 10240 --checks    # two processes, GeoJSON; at 4096 px borders too
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import tifffile
from common import options, peak_mb, seconds

from histolib.data import phantom
from histolib.ensemble import ROUTES, Nuclei, write_geojson
from histolib.ensemble.slides import open_slide
from histolib.imaging import Patch, map_points, resample
from histolib.metrics import detection_scores

WHOLE_PX = 4096  # longest side of a slide that is also detected in one piece
BLOCK_PX, TIFF_TILE_PX, MPP, BLOCKS = 1024, 256, 0.25, 16
IMPORTS = "import resource, histolib.cli.detect; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def write_slide(path: Path, side: int) -> None:
    """PHANTOM tissue as a pyramidal TIFF, in blocks of 16 different ones; one block is in memory at a time."""
    blocks = [phantom.draw(0, BLOCK_PX, MPP, slide=1, tile=tile).ihc.image for tile in range(BLOCKS)]
    layout = {"tile": (TIFF_TILE_PX,) * 2, "photometric": "rgb", "compression": "zlib", "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for factor in (1, 2, 4):
            levels = [resample(block, 1 / factor) for block in blocks]
            shape = side // factor, side // factor, 3
            extra = {"resolution": (1e4 / MPP / factor,) * 2, "subfiletype": int(factor > 1)}
            file.write(_tiles(levels, side // factor), shape=shape, dtype=np.uint8, **layout, **extra)


def _tiles(blocks: list[np.ndarray], side: int) -> Iterator[np.ndarray]:
    per_block = len(blocks[0]) // TIFF_TILE_PX
    for row in range(side // TIFF_TILE_PX):
        for column in range(side // TIFF_TILE_PX):
            place = row // per_block, column // per_block
            top, left = row % per_block * TIFF_TILE_PX, column % per_block * TIFF_TILE_PX
            yield blocks[(7 * place[0] + 3 * place[1]) % BLOCKS][top : top + TIFF_TILE_PX, left : left + TIFF_TILE_PX]


def detect(slide: Path, output: Path, *options: str) -> subprocess.Popen:
    """Start `histolib detect` in a process of its own."""
    command = [sys.executable, "-m", "histolib", "detect", str(slide), "--output", str(output), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def peak_gb(process: subprocess.Popen) -> float:
    """Wait for a process; its peak memory in GB."""
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss / 1e6


def checks(slide: Path, folder: Path, route: str) -> None:
    """Everything but the cost: each line is a check and what was measured."""
    flags, name = ["--route", route, "--format", "csv"], f"{slide.stem}.csv"
    start = time.perf_counter()
    assert detect(slide, folder / "whole", *flags).wait() == 0
    one = time.perf_counter() - start
    expected = (folder / "whole" / name).read_bytes()
    # `launch --cpu` starts only one process, so the launcher for several is told not to use a GPU.
    launcher = ("accelerate", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
    command = [*launcher, "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "histolib", "detect", str(slide)]
    command += ["--output", str(folder / "two"), *flags]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"ACCELERATE_USE_CPU": "true"})
    both, equal = time.perf_counter() - start, (folder / "two" / name).read_bytes() == expected
    print(f"two processes {both:.0f} s, one {one:.0f} s; equal CSV: {equal}")
    opened = open_slide(slide)
    if max(opened.sizes[0]) > WHOLE_PX:
        return
    level = opened.level_for(0.5)
    width, height = opened.sizes[level]
    patch = Patch(opened.read(level, slice(0, height), slice(0, width)), opened.level_mpp(level))
    ROUTES[route](Patch(patch.image[:256, :256], patch.mpp))  # reads the weights
    start = time.perf_counter()
    whole = map_points(ROUTES[route](patch).xy, opened.scale(level)) * MPP
    piece = time.perf_counter() - start
    print(f"in one piece, without start and files: {piece:.1f} s; tiles with both: {one / piece:.1f} x")
    tiled = pd.read_csv(folder / "whole" / name)[["x_um", "y_um"]].to_numpy()
    scores = {radius: detection_scores(tiled, whole, radius)["f1"] for radius in (1.0, 3.0)}
    print(f"F1 of tiles, {len(whole)} nuclei of the whole image: {scores[1.0]:.4f} at 1 µm, {scores[3.0]:.4f} at 3 µm")


def geojson(folder: Path, nuclei: int) -> None:
    """Time and memory of GeoJSON with outlines of 20 points, written in parts of 1,000 nuclei."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    circle = 12 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rng = np.random.default_rng(0)

    def parts() -> Iterator[Nuclei]:
        for _ in range(0, nuclei, 1000):
            xy = rng.uniform(0, 1e5, (1000, 2))
            outlines = tuple(circle + point for point in xy)
            yield Nuclei(xy, np.ones(1000), None, np.ones(1000), outlines, np.ones(1000), np.ones(1000, int))

    before, path = peak_mb(), folder / "many.geojson"
    (cost,) = seconds(lambda: write_geojson(path, parts(), MPP), clock=time.perf_counter)
    size = path.stat().st_size / 1e6
    print(f"GeoJSON of {nuclei} nuclei: {cost:.0f} s, {size:.0f} MB, memory grew by {peak_mb() - before:.0f} MB")


def main() -> None:
    args = options(__doc__, side=20480, route="selftrained", checks=False, nuclei=1_000_000)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        slide = folder / f"phantom_{args.side}.tif"
        write_slide(slide, args.side)
        if args.checks:
            checks(slide, folder, args.route)
            geojson(folder, args.nuclei)
            return
        imports = int(subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True).stdout) / 1e6
        start = time.perf_counter()
        peak = peak_gb(detect(slide, folder / "out", "--route", args.route))
        cost, area = time.perf_counter() - start, (args.side * MPP / 1000) ** 2
        nuclei = json.loads((folder / "out" / f"{slide.stem}.summary.json").read_text())["nuclei"]
        print(f"{area:.1f} mm², {nuclei} nuclei, {cost:.0f} s, {cost / area:.1f} s per mm²", end=", ")
        print(f"peak {peak:.2f} GB, {peak - imports:.2f} GB above the imports")


if __name__ == "__main__":
    main()
