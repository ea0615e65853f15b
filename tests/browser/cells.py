"""The viewer cells of the notebooks behind cheap inputs: phantom tissue, no training, a few seconds in all.

The browser tests read it through `runpy.run_path`.
"""

from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"

SETS = """
from types import SimpleNamespace
import numpy as np
from histolib import viz
from histolib.data import BCI, EndoNuke, PanNuke, id_runs, phantom
from histolib.viz.images import CHANNELS, LAYERS, outcomes
roots = phantom.write_all("phantom", 2, (3, 5), (2, 1), 512)
sets = SimpleNamespace(
    bci=BCI(roots["bci"]), pannuke=PanNuke(roots["pannuke"]), endonuke=EndoNuke(roots["endonuke"])
)
ids, title = sets.endonuke.ids, {"endonuke": "EndoNuke", "pannuke": "PanNuke", "bci": "BCI"}
"""
PAIRS = """
from dataclasses import replace
held_out = [sets.endonuke[i].patch for i in range(len(sets.endonuke))]
to_he = he_reference = ihc_reference = None
ihc_source = "PHANTOM"
def purple(grey, tint=(0.5, 0.75, 0.35)):
    return np.uint8(255 - (255 - grey[..., None]) * tint)
def translate(patch, *_):
    return replace(patch, image=purple(patch.image.mean(axis=-1)))
def recolour(patch, *_):
    return replace(patch, image=purple(patch.image[..., 0], (0.6, 0.7, 0.3)))
TRANSLATIONS = {
    name: SimpleNamespace(run=run)
    for name, run in (("identity", lambda patch, *_: patch), ("cyclegan", translate), ("od", recolour))
}
"""
THRESHOLDS = """
from functools import cache
from scipy.ndimage import gaussian_filter
from histolib import nuclei
from histolib.metrics import match_points, scores_from_counts, segmentation_scores
test_set = [phantom.draw(i, 128, 0.5, slide=2) for i in range(9)]
thresholds = {"edge_threshold": 0.4, "min_area_px": 3, "opening_px": 1, "sobel_px": 11}
net, radius_um = SimpleNamespace(thresholds=thresholds), 3.0
@cache
def look(number):
    sample, noise = test_set[number], np.random.default_rng(number)
    hv = nuclei.hover_targets(sample.instances)
    nuclear = gaussian_filter((sample.instances > 0).astype(np.float32), 2)
    return sample.he, sample.instances, {"np": nuclear, "hv": hv + noise.normal(0, 0.1, hv.shape).astype(np.float32)}
"""
TILES = """
from functools import cache
from pathlib import Path
import pandas as pd
from histolib.ensemble import ROUTES, grade_nuclei, staining_scores
from histolib.ensemble.export import EXPORTS
from histolib.imaging import read_patch
from histolib.metrics import match_points
from histolib.metrics.points import PointCounts, count_points
endonuke, chosen, tissue = sets.endonuke, sets.endonuke.ids, "PHANTOM"
tiles, radius_um, models = list(endonuke), 3.0, None
Path("uploads").mkdir(exist_ok=True)
run = SimpleNamespace(folder=Path, save_figure=lambda figure, name, committed=False: None)
ROUTES = dict.fromkeys(("selftrained", "log", "od"), ROUTES["log"])
cached = {name: [route(tile.patch) for tile in tiles] for name, route in ROUTES.items()}
def in_um(name):
    return [(found.xy * tile.patch.mpp, tile.xy * tile.patch.mpp) for found, tile in zip(cached[name], tiles)]
"""
# Draws only after a file was written, so that a test can look at the busy viewer; refuses one tile.
SLOW = """
import time
from pathlib import Path
from histolib import viz
def draw(tile, kind):
    if tile == 2:
        raise ValueError("tile 2: expected an image, found none")
    while tile and not Path("go").exists():
        time.sleep(0.02)
    return viz.figure_intervals({"nuclei": {"count": 10 + tile}}, "count")
viz.browse(draw, {"tile": range(3), "kind": ["only one"]})
"""
# Name of a viewer to the ids of its cells, and to code that replaces the cells before them.
VIEWERS = {
    "sets": (("01-40",), SETS),
    "before_after": (("02-33",), SETS + PAIRS),
    "thresholds": (("03-22",), SETS + THRESHOLDS),
    "routes": (("04-41",), SETS + TILES),
    "upload": (("04-43",), SETS + TILES),
    "slow": ((), SLOW),
}


def source(viewer: str) -> str:
    """Code of one cell that shows a viewer."""
    ids, before = VIEWERS[viewer]
    cells = {cell.id: cell.source for path in NOTEBOOKS.glob("*.ipynb") for cell in nbformat.read(path, 4).cells}
    return "\n".join([before, *(cells[name] for name in ids)]).strip()
