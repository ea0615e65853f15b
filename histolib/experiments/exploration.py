"""Describe the real data sets in numbers for the charts of notebook 1: colours, nuclei, staining, registration.

The results hold no pixel of a data set. Sets without a folder are left out.

  python -m histolib.experiments.exploration --endonuke data/endonuke --consep data/consep --brca data/brca_m2c \
      --bci data/bci --output data/results/exploration.json
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.registration import phase_cross_correlation
from skimage.segmentation import clear_border

from .. import __version__
from ..data import BCI, BRCAM2C, EndoNuke, InstanceSample, KeypointSample, consep_images, id_runs
from ..data.samples import PairSample
from ..imaging import Patch, separate_stains, summed_density
from ..io import write_json
from ..metrics.points import count_points
from ..nuclei import detect_log

EDGES = np.linspace(0.0, 4.8, 33)  # 32 bins of summed optical density; the last one holds all higher values
RADIUS_UM = 3.0  # two nuclei coincide
BLOCK_PX = 256


def main(argv: Sequence[str] | None = None) -> int:
    """Describe the data sets that are given and write the JSON."""
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("exploration", description=__doc__, formatter_class=how)
    for name in ("endonuke", "consep", "brca", "bci"):
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help="folder in the layout of the reader")
    parser.add_argument("--output", type=Path, default=Path("data/results/exploration.json"))
    args = parser.parse_args(argv)
    results: dict[str, Any] = {"histolib": __version__, "density_edges": EDGES.tolist(), "sets": {}}
    sets = results["sets"]
    if args.endonuke:
        tiles = EndoNuke(args.endonuke)
        sets["EndoNuke"] = described(list(tiles), tiles.types) | staining(list(tiles), tiles.ids)
    if args.consep:
        images = consep_images(args.consep)
        sets["CoNSeP"] = described(list(images), images.tiles.types) | sizes(images)
    if args.brca:
        sets["BRCA-M2C"] = described(list(BRCAM2C(args.brca)), BRCAM2C.types)
    if args.bci:
        pairs = list(BCI(args.bci))
        sets |= {"BCI H&E": colours([pair.he for pair in pairs]), "BCI IHC": colours([pair.ihc for pair in pairs])}
        results["bci_registration"] = registration(pairs)
    write_json(args.output, results)
    print(f"{', '.join(sets)}: {args.output}")
    return 0


def described(samples: Sequence[InstanceSample | KeypointSample], types: Mapping[int, str]) -> dict[str, Any]:
    """Colours, nuclei per mm² of an image, and the number of nuclei of each class."""
    kinds = np.concatenate([sample.types for sample in samples])
    return colours([sample.patch for sample in samples]) | {
        "nuclei": len(kinds),
        "nuclei_per_mm2": spread([len(sample.types) / sample.patch.area_mm2 for sample in samples]),
        "classes": {name: int((kinds == kind).sum()) for kind, name in types.items()},
    }


def colours(patches: Sequence[Patch]) -> dict[str, Any]:
    """Mean RGB and distribution of summed optical density over all pixels, background included."""
    density = np.concatenate([summed_density(patch.image).ravel() for patch in patches])
    share = np.histogram(density.clip(max=EDGES[-1]), EDGES)[0] / density.size
    rgb = np.concatenate([patch.image.reshape(-1, 3) for patch in patches]).mean(axis=0)
    about = {"images": len(patches), "mpp": sorted({patch.mpp for patch in patches}), "mean_rgb": rgb.tolist()}
    return about | {"density": spread(density), "density_share": share.tolist()}


def sizes(samples: Iterable[InstanceSample]) -> dict[str, Any]:
    """Area of the outlined nuclei that do not touch the border, and diameter of the circle of the same area."""
    pixels = [(np.bincount(clear_border(sample.instances).ravel())[1:], sample.patch.mpp) for sample in samples]
    area = np.concatenate([count[count > 0] * mpp**2 for count, mpp in pixels])
    return {"area_um2": spread(area), "diameter_um": spread(2 * np.sqrt(area / np.pi))}


def staining(tiles: Sequence[KeypointSample], ids: Sequence[int]) -> dict[str, Any]:
    """DAB optical density at annotated points (mean of 3 x 3 px), by class and by run of ids, and distance of mean RGB."""
    runs = {i: f"ids {run[0]}-{run[-1]}" for run in id_runs(ids) for i in run}
    groups, between = defaultdict(list), defaultdict(list)
    for tile, i in zip(tiles, ids, strict=True):
        dab = uniform_filter(separate_stains(tile.patch.image, "hematoxylin", "dab")[..., 1], 3)
        for (x, y), kind in zip(np.rint(tile.xy).astype(int), tile.types, strict=True):
            for name in ("all", EndoNuke.types[kind], runs[i]):
                groups[name].append(dab[y, x])
    rgb = np.array([tile.patch.image.mean(axis=(0, 1)) for tile in tiles])
    for a, b in combinations(range(len(ids)), 2):
        near = (
            "neighbours" if abs(ids[a] - ids[b]) <= 2 else "same run" if runs[ids[a]] == runs[ids[b]] else "other run"
        )
        between[near].append(np.linalg.norm(rgb[a] - rgb[b]))
    measured = {"dab_at_points": groups, "colour_distance": between}
    return {key: {name: spread(values) for name, values in table.items()} for key, table in measured.items()}


def registration(pairs: Sequence[PairSample]) -> dict[str, Any]:
    """How well H&E and IHC of a pair coincide, beside H&E and the IHC of another pair as a control."""
    about: dict[str, Any] = {"pairs": [pair.name for pair in pairs], "radius_um": RADIUS_UM, "block_px": BLOCK_PX}
    for name, step in (("same place", 0), ("another place", -1)):
        measured = [coincidence(pair.he, pairs[i + step].ihc) for i, pair in enumerate(pairs)]
        about[name] = {key: [row[key] for row in measured] for key in measured[0]}
        about[name] |= {f"{key}_spread": spread(values) for key, values in list(about[name].items())}
    return about


def coincidence(he: Patch, ihc: Patch) -> dict[str, float]:
    """Shift, correlation, and share of nuclei that coincide, of an H&E and an IHC image of the same size.

    The shift is the median over blocks of the phase correlation of summed optical density; weak peaks make it an order
    of magnitude only. On whole images the peak is at zero or at implausible distances. Nuclei are those that the
    Laplacian of Gaussian finds, in both images on hematoxylin.
    """
    first, second = summed_density(he.image), summed_density(ihc.image)
    window, shifts = np.outer(np.hanning(BLOCK_PX), np.hanning(BLOCK_PX)), []
    for y, x in np.ndindex(len(first) // BLOCK_PX, len(first[0]) // BLOCK_PX):
        at = slice(y * BLOCK_PX, (y + 1) * BLOCK_PX), slice(x * BLOCK_PX, (x + 1) * BLOCK_PX)
        blocks = ((image[at] - image[at].mean()) * window for image in (first, second))
        shifts.append(np.hypot(*phase_cross_correlation(*blocks)[0]) * he.mpp)
    xy = [detect_log(patch, marker="membrane")[0] * patch.mpp for patch in (ihc, he)]
    return {
        "shift_um": float(np.median(shifts)),
        "correlation": float(np.corrcoef(first.ravel(), second.ravel())[0, 1]),
        "matched_share": count_points(*xy, RADIUS_UM).scores()["precision"],
    }


def spread(values: Any) -> dict[str, float]:
    """Quartiles and 5th and 95th percentile."""
    keys = {"p5": 5, "q25": 25, "median": 50, "q75": 75, "p95": 95}
    return dict(zip(keys, np.percentile(values, list(keys.values())).tolist(), strict=True))


if __name__ == "__main__":
    sys.exit(main())
