"""Reader of EndoNuke: IHC tiles of 100 x 100 microns with one point per nucleus."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ..imaging import Patch, read_rgb
from .brca_m2c import BRCAM2C
from .samples import InstanceReader, InstanceSample, KeypointSample, Reader, contiguous, list_files, locate, shorten

logger = logging.getLogger(__name__)

TILE_UM = 100.0
TILE_PX = (200, 400)
BELOW = ("dataset", "data/dataset")  # where the archive puts the images and labels
STUDY = "bulk"  # the main study; the others measure how well annotators agree
DISC_UM = 3.0  # radius of a small nucleus
# Largest step between two ids of a run. In the published test set, ids of one run differ by at most 25, and two runs by
# at least 161.
RUN_GAP = 50


class EndoNuke(Reader[KeypointSample]):
    """Labelled tiles, sorted by id, then by annotator.

    A tile without a label file was not annotated and is left out; a tile with an empty label file has no nuclei.
    Naumov et al., EndoNuke: Nuclei Detection Dataset for Estrogen and Progesterone Stained IHC Endometrium Scans,
    Data 7 (2022).

    Args:
        root: folder that holds `dataset` or `data/dataset`, or `dataset` itself with `images/N.png` and
            `labels/bulk/<annotator>/N.txt`; a tile with several annotators has several samples.

    Attributes:
        ids: tile id of each sample; `groups` has them as text.
        annotators: who annotated tiles.

    Raises:
        FileNotFoundError: a folder or the image of a label is missing.
        ValueError: a file name is not a tile id, or (on access) an image or a label file is damaged.

    >>> from tempfile import TemporaryDirectory
    >>> from histolib.data import phantom
    >>> with TemporaryDirectory() as folder:
    ...     tiles = EndoNuke(phantom.write_endonuke(f"{folder}/endonuke", runs=(1, 2)))
    ...     print(tiles.ids, tiles[0].patch.mpp, len(tiles[0].xy) == len(tiles[0].types))
    (1000, 2000, 2001) 0.5 True
    """

    marker = "nuclear"
    types = {0: "stroma", 1: "epithelium", 2: "other"}  # noqa: RUF012 - a constant of the data set

    def __init__(self, root: str | Path) -> None:
        self.root = locate(root, ("images", "labels"), *BELOW)
        self._images = _by_id(self.root / "images", ".png")
        folder = self.root / "labels" / STUDY
        self.annotators = tuple(sorted(path.name for path in folder.glob("[!.]*/")))
        if not self.annotators:
            raise FileNotFoundError(f"{folder}: expected a folder for each annotator, found nothing")
        self._labels = {(i, who): path for who in self.annotators for i, path in _by_id(folder / who, ".txt").items()}
        super().__init__(sorted(self._labels))
        orphans = [str(self._labels[key]) for key in self._keys if key[0] not in self._images]
        if orphans:
            raise FileNotFoundError(f"{self.root / 'images'}: expected an image for {shorten(orphans)}, found none")
        self.ids = tuple(i for i, _ in self._keys)
        self.groups = tuple(map(str, self.ids))
        self._reported: set[str] = set()

    def _read(self, key: tuple[int, str]) -> KeypointSample:
        path = self._images[key[0]]
        image = read_rgb(path)
        height, width = image.shape[:2]
        if height != width or width not in TILE_PX:
            sides = " or ".join(f"{side} x {side}" for side in TILE_PX)
            raise ValueError(f"{path}: expected a tile of {sides} px, found {width} x {height}")
        xy, types, problems = read_points(self._labels[key], width)
        for problem in sorted(set(problems) - self._reported):  # log each problem once, not on every access
            logger.warning(problem)
        self._reported.update(problems)
        return KeypointSample(Patch(image, TILE_UM / width, path.stem), xy, types)


class PointDiscs(InstanceReader):
    """Keypoint samples with a disc of radius `DISC_UM` around every point, to train a segmentation network on points.

    Args:
        tiles: a reader of keypoint samples with `groups` and `types`: EndoNuke or BRCAM2C. Its types are renumbered 1,
            2, ... in their order.
    """

    def __init__(self, tiles: EndoNuke | BRCAM2C) -> None:
        super().__init__(range(len(tiles)))
        self.tiles, self.groups = tiles, tiles.groups

    def _read(self, key: int) -> InstanceSample:
        sample = self.tiles[key]
        types = np.searchsorted(list(self.tiles.types), sample.types) + 1
        return disc_sample(sample.patch, sample.xy, types, self.groups[key])


def disc_sample(patch: Patch, xy: np.ndarray, types: np.ndarray, group: str = "") -> InstanceSample:
    """Sample with a disc of radius `DISC_UM` around every point.

    Args:
        patch: the image.
        xy: points in pixels, (K, 2).
        types: type of each point, 1, 2, ..., (K,).
        group: group of the sample.
    """
    discs, kept = draw_discs(xy, patch.image.shape[:2], DISC_UM / patch.mpp)
    return InstanceSample(patch, discs, types[kept], "", group)


def draw_discs(xy: np.ndarray, shape: tuple[int, int], radius_px: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw a label map with a disc around every point; each pixel belongs to the nearest point.

    Args:
        xy: points in pixels, (K, 2).
        shape: (H, W) of the map.
        radius_px: radius of the discs; as a map (H, W), the largest distance of each pixel to its point.

    Returns:
        int32 (H, W) of ids 1..M without gaps, and the index of the point of each disc, (M,). A point without pixels
        (outside the map, or a repeat of another point) has no disc.
    """
    pixels = np.moveaxis(np.indices(shape)[::-1], 0, -1)
    distance, nearest = cKDTree(xy).query(pixels, distance_upper_bound=np.max(radius_px))
    discs, points = contiguous(np.where(distance < radius_px, nearest + 1, 0))
    return discs, points - 1


def read_points(path: str | Path, size_px: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read a label file with one nucleus per line: `x y class`.

    Points outside the tile and exact repeats are dropped and reported.

    Args:
        path: the file; an empty one holds no nuclei.
        size_px: side of the tile in pixels.

    Returns:
        Points float64 (K, 2) in pixels, classes int64 (K,), and the problems, one line each.

    Raises:
        ValueError: a line is not two finite numbers and a known class.
    """
    seen: dict[tuple[float, float, int], int] = {}  # point -> line
    problems = []
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected a text file, found binary data") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        x, y, kind = point = _parse(line, where)
        if not (-0.5 <= x < size_px - 0.5 and -0.5 <= y < size_px - 0.5):
            problems.append(f"{where}: point ({x:g}, {y:g}) is outside the tile of {size_px} px, dropped")
        elif seen.setdefault(point, number) != number:
            problems.append(f"{where}: point ({x:g}, {y:g}) of class {kind} repeats line {seen[point]}, dropped")
    points = np.array(list(seen), dtype=np.float64).reshape(-1, 3)
    return points[:, :2], points[:, 2].astype(np.int64), tuple(problems)


def _parse(line: str, where: str) -> tuple[float, float, int]:
    try:
        x, y, kind = line.split()
        point = float(x), float(y), int(kind)
        if not np.isfinite(point).all() or point[2] not in EndoNuke.types:
            raise ValueError
    except ValueError:
        classes = ", ".join(map(str, EndoNuke.types))
        raise ValueError(f"{where}: expected x and y in pixels and a class of {classes}, found {line!r}") from None
    return point


def id_runs(ids: Iterable[int]) -> list[list[int]]:
    """Split tile ids, in any order, into runs of close ids, the best available proxy for slides.

    >>> id_runs([946, 321, 322, 330, 945])
    [[321, 322, 330], [945, 946]]
    """
    unique = np.unique(np.array(list(ids), np.int64))
    runs = np.split(unique, np.flatnonzero(np.diff(unique) > RUN_GAP) + 1)
    return [run.tolist() for run in runs if len(run)]


def _by_id(folder: Path, suffix: str) -> dict[int, Path]:
    files = list_files(folder, suffix)
    for stem, path in files.items():
        if not (stem.isascii() and stem.isdigit()):
            raise ValueError(f"{path}: expected a tile id as name, as in 321{suffix}, found {stem!r}")
    return {int(stem): path for stem, path in files.items()}
