"""Find nuclei in image files. For each image, write a CSV table of centroids and a GeoJSON file for QuPath.

CSV columns: x_px, y_px (pixels of the input image; pixel centres are integers), x_um, y_um (microns), type, score,
area_um2. Values that a route does not provide are empty. Unreadable files are reported, the others are processed, and
the exit code is 2.

examples:
  histolib detect slide_crop.jpg --mpp 0.25                                 # ER, PR or Ki-67, pretrained weights
  histolib detect folder/ --mpp 0.5 --marker membrane --output results      # HER2, every image of a folder
  histolib detect slide_crop.tif --route cyclegan --format geojson          # scale from the resolution tag
  histolib detect slide_crop.jpg --mpp 0.25 --weights runs/quick            # networks trained by the course
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

import torch
from tqdm import tqdm

from ..ensemble import ROUTES, Models
from ..ensemble.export import EXPORTS
from ..ensemble.routes import DEFAULT_ROUTES
from ..imaging import IMAGE_SUFFIXES, MARKERS, PLAUSIBLE_MPP, read_patch
from ..io import writable_folder
from .options import add_weights, choices, documented, number, progress

logger = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `detect` to the command line."""
    parser = subparsers.add_parser("detect", **documented(__doc__))
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image file or folder of images")
    mpp = "microns per pixel of all images (default: the resolution tag of each file; an error if it has none)"
    parser.add_argument("--mpp", type=number(*PLAUSIBLE_MPP), help=mpp)
    marker = "structure that DAB stains (default: %(default)s)"
    parser.add_argument("--marker", choices=MARKERS, default="nuclear", help=marker)
    defaults = ", ".join(f"{route} for {marker}" for marker, route in DEFAULT_ROUTES.items())
    route = f"detection route (default: {defaults}; log if their weights are missing)"
    parser.add_argument("--route", choices=list(ROUTES), help=route)
    output = "output folder (default: %(default)s)"
    parser.add_argument("--output", type=Path, default=Path("detections"), help=output)
    formats = "output formats: csv, geojson, and txt, the label format of EndoNuke (default: csv,geojson)"
    parser.add_argument("--format", type=choices(EXPORTS, "format"), default=["csv", "geojson"], help=formats)
    precision = "precision of the networks (default: bfloat16 where the processor computes with it, else float32)"
    parser.add_argument("--precision", choices=["bfloat16", "float32"], help=precision)
    add_weights(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Process every image; report unreadable ones and return 2 if there is one."""
    precision = getattr(torch, args.precision) if args.precision else None
    models = Models(*([args.weights] if args.weights else []), precision=precision)
    name = args.route or _default_route(args.marker, models)
    route = ROUTES[name]
    models.require(route.needs, f"route {name}")
    files, problems = _find_images(args.images)
    if files:
        writable_folder(args.output)
    names = _output_names(files)
    width = max(map(len, names), default=0)
    for path, name in progress(zip(files, names, strict=True), "image", len(files)):
        try:
            patch = read_patch(path, args.mpp)
            nuclei = route(patch, args.marker, models)
        except (ValueError, FileNotFoundError) as error:
            problems.append(f"{path}: {str(error).removeprefix(f'{path}: ').removeprefix(f'{path.stem}: ')}")
            continue
        for kind in args.format:
            EXPORTS[kind](args.output / f"{name}.{kind}", nuclei, patch.mpp)
        per_mm2 = len(nuclei) / patch.area_mm2
        tqdm.write(f"{name:<{width}}  {len(nuclei):6d} nuclei  {per_mm2:7.0f} per mm²  at {patch.mpp:g} µm/px")
    for problem in problems:
        print(f"histolib detect: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _default_route(marker: str, models: Models) -> str:
    name = DEFAULT_ROUTES[marker]
    missing = models.missing(ROUTES[name].needs)
    if not missing:
        return name
    places = ", ".join(map(str, models.folders))
    logger.warning("using route log instead of %s: %s not found in %s", name, ", ".join(missing), places)
    return "log"


def _find_images(inputs: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Image files, and one message for each input without any."""
    files, problems = [], []
    for item in inputs:
        if item.is_dir():
            visible = (path for path in sorted(item.iterdir()) if not path.name.startswith("."))
            inside = [path for path in visible if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
            files += inside
            if not inside:
                problems.append(f"{item}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), found none")
        elif item.is_file():
            files.append(item)
        else:
            problems.append(f"{item}: expected an image file or a folder, found nothing")
    return list(dict.fromkeys(files)), problems


def _output_names(files: Sequence[Path]) -> list[str]:
    """A unique name for the results of each file: its stem, on collision with folder, suffix and a number."""
    stems = Counter(path.stem.casefold() for path in files)
    names: list[str] = []
    taken: set[str] = set()
    for path in files:
        longer = f"{path.resolve().parent.name}_{path.name.replace('.', '_')}"
        name = longer if stems[path.stem.casefold()] > 1 else path.stem
        numbered = (name if copy == 1 else f"{name}_{copy}" for copy in count(1))
        names.append(next(option for option in numbered if option.casefold() not in taken))
        taken.add(names[-1].casefold())
    return names
