"""Describe the real data sets in numbers for the charts of notebook 1: colours, nuclei, staining, registration.

The results hold no pixel of a data set. Sets without a folder are left out.

  python -m histolib.experiments.exploration --endonuke data/endonuke --consep data/consep --brca data/brca_m2c \
      --bci data/bci --output data/results/exploration.json
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.registration import phase_cross_correlation
from skimage.segmentation import clear_border

from ..data import BCI, BRCAM2C, EndoNuke, InstanceSample, InstanceTiles, Patches, id_runs
from ..data.instance_tiles import consep_images
from ..imaging import Patch, separate_stains, summed_density
from ..io import write_json
from ..metrics.points import count_points
from ..nuclei import detect_log

EDGES = np.linspace(0.0, 4.8, 33)  # 32 bins of summed optical density; the last one holds all higher values
RADIUS_UM, BLOCK_PX = 3.0, 256  # two nuclei coincide within the radius; shifts are measured on blocks
READERS: dict[str, Any] = {"endonuke": EndoNuke, "consep": consep_images, "brca": BRCAM2C, "bci": BCI}


def main(argv: Sequence[str] | None = None) -> None:
    """Describe the data sets that are given and write the JSON."""
    parser = argparse.ArgumentParser(description="Describe the real data sets in numbers for the charts of notebook 1.")
    for name in READERS:
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help="folder in the layout of the reader")
    parser.add_argument("--output", type=Path, default=Path("data/results/exploration.json"))
    args = vars(parser.parse_args(argv))
    data = {name: READERS[name](args[name]) for name in READERS if args[name]}
    results: dict[str, Any] = {name: described(data[name]) for name in data if name != "bci"}
    if "endonuke" in data:
        results["endonuke"] |= staining(data["endonuke"])
    if "consep" in data:
        results["consep"] |= sizes(data["consep"])
    if "bci" in data:
        results |= {f"bci_{stain}": colours(Patches(data["bci"], stain=stain)) for stain in ("he", "ihc")}
        results["bci_registration"] = registration(data["bci"])
    write_json(args["output"], {"density_edges": EDGES.tolist(), "sets": results})


def described(data: Any) -> dict[str, Any]:
    """Colours, nuclei per mm² of an image, and the number of nuclei of each class."""
    samples, types = list(data), getattr(data, "types", InstanceTiles.types)
    kinds = np.concatenate([sample.types for sample in samples])
    density = spread([len(sample.types) / sample.patch.area_mm2 for sample in samples])
    classes = {name: int((kinds == kind).sum()) for kind, name in types.items()}
    about = colours([sample.patch for sample in samples])
    return about | {"nuclei": len(kinds), "nuclei_per_mm2": density, "classes": classes}


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


def staining(tiles: EndoNuke) -> dict[str, Any]:
    """DAB optical density at annotated points by class and by run of ids, and distances of the mean RGB of two tiles.

    The density is the mean of 3 x 3 pixels. Neighbours are tiles whose ids differ by at most 2.
    """
    runs = {i: f"ids {run[0]}-{run[-1]}" for run in id_runs(tiles.ids) for i in run}
    dab, distance, rgb = defaultdict(list), defaultdict(list), []
    for tile, i in zip(tiles, tiles.ids, strict=True):
        density = uniform_filter(separate_stains(tile.patch.image, "hematoxylin", "dab")[..., 1], 3)
        for (x, y), kind in zip(np.rint(tile.xy).astype(int), tile.types, strict=True):
            for name in ("all", tiles.types[kind], runs[i]):
                dab[name].append(density[y, x])
        rgb.append(tile.patch.image.mean(axis=(0, 1)))
    for (i, colour), (j, other) in combinations(zip(tiles.ids, rgb, strict=True), 2):
        name = "neighbours" if abs(i - j) <= 2 else "same run" if runs[i] == runs[j] else "other run"
        distance[name].append(np.linalg.norm(colour - other))
    tables = {"dab_at_points": dab, "colour_distance": distance}
    return {key: {name: spread(values) for name, values in table.items()} for key, table in tables.items()}


def registration(pairs: BCI) -> dict[str, Any]:
    """How well H&E and IHC of a pair coincide, beside H&E and the IHC of another pair as a control."""
    same = [coincidence(pair.he, pair.ihc) for pair in pairs]
    other = [coincidence(pair.he, pairs[i - 1].ihc) for i, pair in enumerate(pairs)]
    return {"pairs": list(pairs.names), "same place": same, "another place": other}


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
    in_ihc, in_he = (detect_log(patch, marker="membrane")[0] * patch.mpp for patch in (ihc, he))
    return {
        "shift_um": float(np.median(shifts)),
        "correlation": float(np.corrcoef(first.ravel(), second.ravel())[0, 1]),
        "matched_share": count_points(in_ihc, in_he, RADIUS_UM).scores()["precision"],
    }


def spread(values: Any) -> dict[str, float]:
    """Quartiles and 5th and 95th percentile."""
    keys = {"p5": 5, "q25": 25, "median": 50, "q75": 75, "p95": 95}
    return dict(zip(keys, np.percentile(values, list(keys.values())).tolist(), strict=True))


if __name__ == "__main__":
    main()
