"""Find nuclei in images and slides, and score their staining.

Takes image files, slides that OpenSlide reads (pip install 'histolib[wsi]'), tiled TIFF, and folders of them. For each
image it writes NAME.csv, NAME.geojson for QuPath, and NAME.summary.json with counts, positivity, H-score and Allred
score; for an image of more than one tile also pictures of the tissue, of heat maps, and a page that sums it up.

CSV columns: x_px, y_px (pixels of the input image; pixel centres are integers), x_um, y_um (microns), type, score,
area_um2, dab_od, intensity (0, 1, 2, 3). Values that a route does not provide are empty. Unreadable files are reported,
the others are processed, and the exit code is 2.

Finished tiles are kept in NAME.tiles.* until the image is done; --resume continues from them. Run it as
`accelerate launch -m histolib detect ...` to share the tiles of each slide among processes.

examples:
  histolib detect slide.svs --output results                                # ER, PR or Ki-67, pretrained weights
  histolib detect slide.svs --output results --resume                       # continue after an interruption
  histolib detect folder/ --mpp 0.5 --marker membrane                       # HER2, every image of a folder
  histolib detect crop.tif --route cyclegan --format geojson                # scale from the resolution tag
  histolib detect slide.ndpi --regions tumour.geojson                       # scores of QuPath annotations too
  histolib detect crop.jpg --mpp 0.5 --route cyclegan --weights runs/quick  # networks trained by the course
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..ensemble import ROUTES, Models
from ..ensemble.export import EXPORTS
from ..ensemble.journal import Journal
from ..ensemble.routes import DEFAULT_ROUTES, roles_of
from ..ensemble.slides import SLIDE_SUFFIXES, open_slide
from ..ensemble.staining import THRESHOLDS, read_regions
from ..ensemble.streaming import SlideResult, SlideRun
from ..imaging import IMAGE_SUFFIXES, MARKERS, PLAUSIBLE_MPP
from ..io import file_digest, plain, replacing, writable_folder, write_json
from ..nuclei.inference import keep_memory
from .options import add_weights, choices, documented, number, progress

KNOWN_SUFFIXES = IMAGE_SUFFIXES | SLIDE_SUFFIXES
PICTURE_DPI = 150


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `detect` to the command line."""
    parser = subparsers.add_parser("detect", **documented(__doc__))
    add, routes = parser.add_argument, ", ".join(f"{route} for {marker}" for marker, route in DEFAULT_ROUTES.items())
    add("images", nargs="+", type=Path, metavar="IMAGE", help="image, slide, or folder of them")
    add("--mpp", type=number(*PLAUSIBLE_MPP), help="microns per pixel of all images (default: as each file says)")
    add("--marker", choices=MARKERS, default="nuclear", help="structure that DAB stains (default: %(default)s)")
    add("--route", choices=list(ROUTES), help=f"detection route (default: {routes})")
    add("--output", type=Path, default=Path("detections"), help="output folder (default: %(default)s)")
    add("--format", type=choices(EXPORTS, "format"), default=list(EXPORTS), help="default: csv,geojson")
    add("--precision", choices=["bfloat16", "float32"], help="default: bfloat16 where the processor computes with it")
    add("--thresholds", type=_thresholds, default=THRESHOLDS, help="DAB densities of 1+, 2+, 3+ (default: %(default)s)")
    add("--regions", type=Path, help="GeoJSON file of polygons to score, for a single image (default: none)")
    add("--resume", action="store_true", help="keep finished images and tiles of an earlier run")
    add_weights(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Process every image; report unreadable ones and return 2 if there is one."""
    keep_memory()
    precision = getattr(torch, args.precision) if args.precision else None
    models = Models(*([args.weights] if args.weights else []), precision=precision)
    args.route = args.route or DEFAULT_ROUTES[args.marker]
    models.require(ROUTES[args.route].needs, f"route {args.route}")
    files, problems = _find_images(args.images)
    regions = read_regions(args.regions) if args.regions else {}
    if regions and len(files) != 1:
        raise ValueError(f"--regions: expected a single image, found {len(files)}")
    if files:
        writable_folder(args.output)
    weights = {role: file_digest(models.path(role)) for role in sorted(roles_of(args.route, models))}
    settings = {"route": args.route, "marker": args.marker, "weights": weights, "precision": str(models.precision)}
    processes = _Processes()
    names = _output_names(files)
    width = max(map(len, names), default=0)
    for path, name in progress(zip(files, names, strict=True), "image", len(files)):
        try:
            line = _detect(path, args.output / name, args, models, settings, regions, processes)
        except (ValueError, FileNotFoundError) as error:
            problems.append(f"{path}: {str(error).removeprefix(f'{path}: ').removeprefix(f'{path.stem}: ')}")
            continue
        if processes.index == 0:
            tqdm.write(f"{name:<{width}}  {line}")
    if processes.index == 0:
        for problem in problems:
            print(f"histolib detect: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _detect(
    path: Path, target: Path, args: argparse.Namespace, models: Models, settings: dict[str, Any],
    regions: dict[str, list[np.ndarray]], processes: _Processes,
) -> str:  # fmt: skip
    """Process one image, and describe the result in a line."""
    with processes.together():
        slide = open_slide(path, args.mpp)
        settings = plain({"image": path.name, "bytes": path.stat().st_size, "mpp": slide.mpp, **settings})
        outputs = {kind: target.with_name(f"{target.name}.{kind}") for kind in (*args.format, "summary.json", "tiles")}
        if args.resume and (summary := _finished(outputs, settings)):
            return f"{summary['nuclei']:6d} nuclei  finished by an earlier run"
        run = SlideRun(slide, args.route, args.marker, models)
        if processes.index == 0 and not args.resume:
            Journal.delete(outputs["tiles"])
    with processes.together():
        journal = Journal(outputs["tiles"], settings, processes.index)
    with processes.together():
        mine = processes.share([tile for tile in range(len(run.tiles)) if tile not in journal.done])
        for record in progress(run.detect(mine), "tile", len(mine)) if len(run.tiles) > 1 else run.detect(mine):
            journal.append(record)
    if processes.index:
        return ""
    journal.refresh()
    result = SlideResult(run, journal, args.thresholds)
    for kind in args.format:
        EXPORTS[kind](outputs[kind], result.parts(), slide.mpp)
    summary = result.summary(regions)
    for kind, figure in result.figures().items() if len(run.tiles) > 1 else ():
        with replacing(target.with_name(f"{target.name}.{kind}.png")) as temporary:
            figure.savefig(temporary, format="png", dpi=PICTURE_DPI)
    write_json(outputs["summary.json"], settings | summary)
    Journal.delete(outputs["tiles"])
    line = f"{summary['nuclei']:6d} nuclei  {summary['nuclei_per_mm2']:7.0f} per mm²  at {slide.mpp:g} µm/px"
    scores = summary["staining"]
    if scores and scores["n"]:
        line += f"  {scores['positivity']:.0f} % positive, H-score {scores['h_score']:.0f}"
    return line


def _finished(outputs: dict[str, Path], settings: dict[str, Any]) -> dict[str, Any] | None:
    """The summary of an earlier run that finished with the same settings and all outputs."""
    if not all(path.is_file() for kind, path in outputs.items() if kind != "tiles"):
        return None
    summary = json.loads(outputs["summary.json"].read_text("utf-8"))
    return summary if all(summary.get(name) == value for name, value in settings.items()) else None


class _Processes:
    """The processes of `accelerate launch`, or this one alone."""

    def __init__(self) -> None:
        self._state: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import PartialState

            self._state = PartialState(cpu=not torch.cuda.is_available())
            here = int(os.environ.get("LOCAL_WORLD_SIZE", self._state.num_processes))
            torch.set_num_threads(max(1, torch.get_num_threads() // here))
        self.index: int = self._state.process_index if self._state else 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Wait for the others at the end of the block; an error of one process is an error of all."""
        error = None
        try:
            yield
        except Exception as found:
            error = found
        texts = [error and str(error)]
        if self._state:
            from accelerate.utils import gather_object

            texts = gather_object(texts)
        failed = next((text for text in texts if text is not None), None)
        if error or failed is not None:
            raise error or ValueError(failed)

    def share(self, items: list[int]) -> list[int]:
        """The part of the items that this process works on."""
        if not self._state:
            return items
        with self._state.split_between_processes(items) as mine:
            return mine


def _thresholds(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(low < high for low, high in pairwise((0.0, *values, math.inf))):
        raise argparse.ArgumentTypeError(f"expected three increasing numbers above 0, found {text!r}")
    return values


def _find_images(inputs: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Image files, and one message for each input without any."""
    files, problems = [], []
    for item in inputs:
        if item.is_dir():
            visible = (path for path in sorted(item.iterdir()) if not path.name.startswith("."))
            inside = [path for path in visible if path.suffix.lower() in KNOWN_SUFFIXES and path.is_file()]
            files += inside
            if not inside:
                problems.append(f"{item}: expected images ({', '.join(sorted(KNOWN_SUFFIXES))}), found none")
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
