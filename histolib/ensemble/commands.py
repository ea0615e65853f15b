"""`histolib detect` and `histolib evaluate`: files in, files out."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from ..config import writable_folder
from ..data import PARTS
from ..imaging import MARKERS, IMAGE_SUFFIXES, PLAUSIBLE_MPP, read_patch
from .evaluate_command import run_evaluate
from .export import EXPORTS
from .models import Models
from .routes import ROUTES
from .translation_command import PHANTOM_IMAGES
from .translations import TRANSLATIONS

__all__ = ["add_parsers"]

logger = logging.getLogger(__name__)

# Best label-free routes: of a nuclear marker by the cross-fit validation tiles of data/results/endonuke.json; of others
# by eye on skimage.data.immunohistochemistry(), for lack of annotated tiles. Without weights there is the Laplacian.
DEFAULT_ROUTES = {"nuclear": "ensemble", "membrane": "od", "cytoplasm": "od"}
DETECT_EPILOG = """\
CSV columns: x_px, y_px (pixels of the image, whose centres are integers), x_um, y_um (microns), type, score, area_um2;
empty where a route gives none. Of a folder bad files are named, the rest is done, and the exit code is 2.

examples:
  histolib detect slide_crop.jpg --mpp 0.25                                 # ER, PR or Ki-67, shipped weights
  histolib detect folder/ --mpp 0.5 --marker membrane --output results      # HER2, every image of a folder
  histolib detect slide_crop.tif --route cyclegan --format geojson          # scale from the file's resolution tag
  histolib detect slide_crop.jpg --mpp 0.25 --weights runs/quick            # networks that the course trained
"""
EVALUATE_EPILOG = """\
The table goes to standard output; --output writes it with intervals and protocol as JSON. Scores on what weights were
trained on or chosen by say LEAKED.

examples:
  histolib evaluate data/endonuke --dataset endonuke --routes log,od,synthetic --output results.json
  histolib evaluate data/endonuke --dataset endonuke --split data/splits/endonuke_1.json --weights runs/fold-1
  histolib evaluate data/pannuke --dataset pannuke --split data/splits/pannuke_1.json --weights runs/mine
  histolib evaluate --dataset phantom --weights runs/quick                  # translations on twins of drawn tissue
  histolib evaluate data/endonuke --dataset endonuke --he data/consep       # translations of unpaired real tissue
"""


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Add `detect` and `evaluate` to the command line."""
    about = "Find the nuclei of image files: a CSV of centroids and a GeoJSON for QuPath beside each name."
    detect = subparsers.add_parser("detect", description=about, epilog=DETECT_EPILOG)
    detect.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image file, or folder of images")
    mpp = "microns per pixel of all images (default: each file's resolution tag; refused where it has none)"
    detect.add_argument("--mpp", type=_mpp, help=mpp)
    marker = "what the brown stains (default: %(default)s)"
    detect.add_argument("--marker", choices=MARKERS, default="nuclear", help=marker)
    defaults = ", ".join(f"{route} ({marker})" for marker, route in DEFAULT_ROUTES.items())
    route = f"one of {', '.join(ROUTES)} (default: {defaults}, or log where weights of that are missing)"
    detect.add_argument("--route", type=_route, help=route)
    output = "folder for the results (default: %(default)s)"
    detect.add_argument("--output", type=Path, default=Path("detections"), help=output)
    formats = "of csv, geojson and txt, EndoNuke's label file (default: csv,geojson)"
    detect.add_argument("--format", type=_formats, default=["csv", "geojson"], help=formats)
    _add_weights(detect)
    detect.set_defaults(run=run_detect)

    about = "Score routes on keypoints, HoVer-Net on outlines, or translations on pairs."
    score = subparsers.add_parser("evaluate", description=about, epilog=EVALUATE_EPILOG)
    score.add_argument("root", type=Path, nargs="?", help="folder in the data set's official layout; none for phantom")
    score.add_argument(
        "--dataset",
        choices=["endonuke", "pannuke", "consep", "bci", "phantom"],
        required=True,
        help="endonuke: routes on keypoints, or with --he translations; pannuke, consep: HoVer-Net on outlines; "
        "bci, phantom: translations on pairs",
    )
    score.add_argument("--annotator", help="endonuke: whose points are the truth (default: all of the study)")
    score.add_argument(
        "--study", default="bulk", help="endonuke: which of the labelling studies (default: %(default)s)"
    )
    known = "comma-separated (default: all whose weights are there)"
    score.add_argument("--routes", type=_routes, help=f"endonuke: {known}")
    he = "endonuke: score translations against this H&E, as pannuke or consep (default: score routes)"
    score.add_argument("--he", type=Path, help=he)
    score.add_argument("--translations", type=_translations, help=f"with --he, bci, phantom: {known}")
    features = "of KID and FID: encoder (HoVer-Net's) or inception (default: encoder)"
    score.add_argument("--features", type=_features, help=features)
    images = f"take, or of the phantom draw, so many (default: all, of the phantom {PHANTOM_IMAGES})"
    score.add_argument("--images", type=_count, help=images)
    score.add_argument("--tissue", help="phantom: one of PanNuke's names (default: all, a slide each)")
    seed = "of phantom slides, and of intervals of translations (default: %(default)s)"
    score.add_argument("--seed", type=_natural, default=0, help=seed)
    radius = "largest distance of a hit in microns (default: %(default)s)"
    score.add_argument("--radius-um", type=_positive, default=3.0, help=radius)
    split = "endonuke, pannuke, consep: JSON of groups, of which one part is scored (default: score all)"
    score.add_argument("--split", type=Path, help=split)
    score.add_argument("--part", choices=PARTS, default="test", help="of --split to score (default: %(default)s)")
    score.add_argument(
        "--orientations",
        type=int,
        choices=range(1, 9),
        default=1,
        metavar="1..8",
        help="pannuke, consep: average maps over so many orientations of an image, at the cost of as many predictions "
        "(default: %(default)s)",
    )
    score.add_argument("--he-split", type=Path, help="the same as --split, of --he (default: all of it)")
    score.add_argument("--output", type=Path, help="JSON file for the results (default: none, a table is printed)")
    _add_weights(score)
    score.set_defaults(run=run_evaluate)


def run_detect(args: argparse.Namespace) -> int:
    """Detect nuclei on every image; name the bad files, do the rest, return 2 if there was one."""
    models = Models.open(args.weights)
    name = args.route or _default_route(args.marker, models)
    route = ROUTES[name]
    models.require(route.needs, f"route {name}")
    files, problems = _find_images(args.images)
    if files:
        writable_folder(args.output)
    names = _output_names(files)
    width = max((len(name) for name in names), default=0)
    with tqdm(files, unit="image", disable=None) as bar:
        for path, name in zip(bar, names, strict=True):
            try:
                patch = read_patch(path, args.mpp)
                nuclei = route(patch, args.marker, models)
            except (ValueError, FileNotFoundError) as error:
                problems.append(f"{path}: {str(error).removeprefix(f'{path}: ').removeprefix(f'{path.stem}: ')}")
                continue
            for kind in args.format:
                EXPORTS[kind](args.output / f"{name}.{kind}", nuclei, patch.mpp)
            per_mm2 = len(nuclei) / patch.area_mm2
            bar.write(f"{name:<{width}}  {len(nuclei):6d} nuclei  {per_mm2:7.0f} per mm²  at {patch.mpp:g} µm/px")
    for problem in problems:
        print(f"histolib detect: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _default_route(marker: str, models: Models) -> str:
    wanted = DEFAULT_ROUTES[marker]
    missing = models.missing(ROUTES[wanted].needs)
    if missing:
        logger.warning("route log in place of %s: %s not found in %s", wanted, ", ".join(missing), models.places)
        return "log"
    return wanted


def _find_images(inputs: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Files to read, and a line for each input where there is none."""
    files, problems = [], []
    for item in inputs:
        if item.is_dir():
            inside = sorted(
                path
                for path in item.iterdir()
                if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and not path.is_dir()
            )  # macOS leaves `._x.png` beside x.png
            files += inside
            if not inside:
                problems.append(f"{item}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), found none")
        elif item.is_file():
            files.append(item)
        else:
            problems.append(f"{item}: expected an image file or a folder, found nothing")
    return list(dict.fromkeys(files)), problems


def _output_names(files: Sequence[Path]) -> list[str]:
    """A name for each file's results: its stem, with suffix, folders or a number where stems collide."""

    def candidates(path: Path) -> Iterable[str]:
        yield path.stem
        yield path.name.replace(".", "_")
        folders = path.resolve().parts[1:-1]
        for depth in range(1, len(folders) + 1):
            yield "_".join([*folders[-depth:], path.name.replace(".", "_")])

    options = [list(candidates(path)) for path in files]
    level, names = [0] * len(files), [choices[0] for choices in options]
    while True:
        holders = Counter(name.casefold() for name in names)
        crowded = [i for i, name in enumerate(names) if holders[name.casefold()] > 1 and level[i] + 1 < len(options[i])]
        if not crowded:
            break
        for i in crowded:
            level[i] += 1
            names[i] = options[i][level[i]]
    taken: set[str] = set()
    for i, name in enumerate(names):
        number = 2
        while names[i].casefold() in taken:
            names[i], number = f"{name}_{number}", number + 1
        taken.add(names[i].casefold())
    return names


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, help="folder of weights, as a run writes them (default: those shipped)")


def _mpp(text: str) -> float:
    value = _positive(text)
    if not PLAUSIBLE_MPP[0] <= value <= PLAUSIBLE_MPP[1]:
        raise argparse.ArgumentTypeError(f"expected {PLAUSIBLE_MPP[0]} to {PLAUSIBLE_MPP[1]} microns, found {text}")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


def _formats(text: str) -> list[str]:
    return _choices(text, EXPORTS, "format")


def _translations(text: str) -> list[str]:
    return _choices(text, TRANSLATIONS, "translation")


def _features(text: str) -> list[str]:
    return _choices(text, ("encoder", "inception"), "features")


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number >= 0, found {text!r}")
    return int(text)


def _count(text: str) -> int:
    value = _natural(text)
    if not value:
        raise argparse.ArgumentTypeError("expected at least 1 image, found 0")
    return value


def _routes(text: str) -> list[str]:
    return _choices(text, ROUTES, "route")


def _route(text: str) -> str:
    names = _choices(text, ROUTES, "route")
    if len(names) > 1:
        raise argparse.ArgumentTypeError(f"expected one route, found {text!r}")
    return names[0]


def _choices(text: str, known: Iterable[str], what: str) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"unknown {what} {', '.join(unknown) or text!r}, expected {', '.join(known)}")
    return names
