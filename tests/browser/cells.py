"""The notebooks' own viewer cells, each behind cheap inputs: drawn tissue, no training, a few seconds in all.

Read by the browser tests and by `tests/benchmarks/bench_viewers.py`, through `runpy.run_path`.
"""

from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"

SETS = """
from types import SimpleNamespace
import numpy as np
from histolib import viz
from histolib.data import BCI, EndoNuke, PanNuke, id_runs, phantom
roots = phantom.write_all("phantom", 2, (3, 5), (2, 1), 512)
sets = SimpleNamespace(
    bci=BCI(roots["bci"]), pannuke=PanNuke(roots["pannuke"]), endonuke=EndoNuke(roots["endonuke"])
)
"""
TILES = (
    SETS
    + """
from functools import cache, partial
from pathlib import Path
from histolib.ensemble import EXPORTS, ROUTES, count_tile
from histolib.imaging import read_patch
from histolib.metrics import match_points, scores_from_counts
test_tiles = list(range(len(sets.endonuke)))
tiles = [sets.endonuke[i] for i in test_tiles]
radius_um, shipped, DEFAULT_ROUTES = 3.0, None, dict.fromkeys(("nuclear", "membrane"), "log")
Path("uploads").mkdir(exist_ok=True)
run = SimpleNamespace(folder=Path, keep=lambda figure, name: None)
"""
)
# Viewer cells by the ids of the cells that they need and their own; what the notebook made before, made cheaply.
VIEWERS = {
    "sets": (("01-30",), SETS + "\nruns = id_runs(sets.endonuke.ids)"),
    "wipe": (
        ("02-33",),
        SETS
        + """
from dataclasses import replace
held_out = [tile.patch for tile in (sets.endonuke[i] for i in range(len(sets.endonuke)))]
to_he, models = None, None
def translate(patch, generator):
    return replace(patch, image=purple(patch.image.mean(axis=-1)))
def purple(grey, tint=(0.5, 0.75, 0.35)):
    return np.uint8(255 - (255 - grey[..., None]) * tint)
TRANSLATIONS = {
    "identity": lambda patch, *_: patch,
    "cyclegan": translate,
    "od": lambda patch, *_: replace(patch, image=purple(patch.image[..., 0], (0.6, 0.7, 0.3))),
}
""",
    ),
    "thresholds": (
        ("03-22",),
        SETS
        + """
from functools import cache
from scipy.ndimage import gaussian_filter
from histolib import nuclei
from histolib.metrics import match_points, scores_from_counts, segmentation_scores
test_set = [phantom.draw(i, 128, 0.5, slide=2) for i in range(9)]
card, radius_um = {"thresholds": {"edge_threshold": 0.4, "min_area_px": 3, "opening_px": 1, "sobel_px": 11}}, 3.0
@cache
def look(number):
    sample, noise = test_set[number], np.random.default_rng(number)
    hv = nuclei.hover_targets(sample.instances)
    nuclear = gaussian_filter((sample.instances > 0).astype(np.float32), 2)
    return sample.he, sample.instances, {"np": nuclear, "hv": hv + noise.normal(0, 0.1, hv.shape).astype(np.float32)}
""",
    ),
    "routes": (
        ("04-18", "04-34"),
        TILES
        + """
routes = {"log": ROUTES["log"], "od": ROUTES["log"]}
cached = {name: [route(tile.patch) for tile in tiles] for name, route in routes.items()}
""",
    ),
    "upload": (("04-36",), TILES),
    # Draws only once a file is there, so that a test can look while it works; refuses one tile.
    "slow": (
        (),
        """
import time
from pathlib import Path
from histolib import viz
def draw(tile, kind):
    if tile == 2:
        raise ValueError("tile 2: expected an image, found none")
    while tile and not Path("go").exists():
        time.sleep(0.02)
    return viz.figure_counts({"nuclei": 10 + tile}, "count")
viz.browse(draw, {"tile": range(3), "kind": ["only one"]})
""",
    ),
}


def source(viewer: str) -> str:
    """Code that shows a viewer in one cell."""
    ids, before = VIEWERS[viewer]
    cells = {cell.id: cell.source for path in NOTEBOOKS.glob("*.ipynb") for cell in nbformat.read(path, 4).cells}
    return "\n".join([before, *(cells[name] for name in ids)]).strip()
