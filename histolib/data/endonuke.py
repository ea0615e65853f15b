"""Reader of EndoNuke: IHC tiles of 100 x 100 microns with one point per nucleus."""

from __future__ import annotations

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
DISC_UM = 3.0  # radius of a small nucleus


class EndoNuke(Reader[KeypointSample]):
    """Labelled tiles, sorted by id, then by annotator.

    A tile without a label file was not annotated and is left out; a tile with an empty label file has no nuclei.
    Naumov et al., EndoNuke: Nuclei Detection Dataset for Estrogen and Progesterone Stained IHC Endometrium Scans,
    Data 7 (2022).

    Args:
        root: folder that holds `dataset`, or `dataset` itself with `images/N.png` and
            `labels/<study>/<annotator>/N.txt`.
        annotator: whose labels to read; None for all of the study, which may repeat tiles.
        study: bulk, preliminary, hidden or posterior.

    Raises:
        FileNotFoundError: a folder, the annotator, or the image of a label is missing.
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

    def __init__(self, root: str | Path, annotator: str | None = None, study: str = "bulk") -> None:
        self.root = locate(root, ("images", "labels"), "dataset")
        self._images = _by_id(self.root / "images", ".png")
        studies = self.studies(self.root)
        if study not in studies:
            raise FileNotFoundError(f"{self.root / 'labels'}: expected study {study!r}, found {_joined(studies)}")
        folder = self.root / "labels" / study
        everyone = _folders(folder)
        if not everyone or annotator not in (None, *everyone):
            wanted = "a folder for each annotator" if annotator is None else f"annotator {annotator!r}"
            raise FileNotFoundError(f"{folder}: expected {wanted}, found {_joined(everyone)}")
        self.annotators = tuple(everyone) if annotator is None else (annotator,)
        labels = {(i, who): path for who in self.annotators for i, path in _by_id(folder / who, ".txt").items()}
        orphans = [str(path) for (i, _), path in sorted(labels.items()) if i not in self._images]
        if orphans:
            raise FileNotFoundError(f"{self.root / 'images'}: expected an image for {shorten(orphans)}, found none")
        self._labels = dict(sorted(labels.items()))
        self._keys = tuple(self._labels)
        self._reported: set[str] = set()

    @staticmethod
    def studies(root: str | Path) -> list[str]:
        """Names of the studies below `root`, which is as for the constructor."""
        return _folders(locate(root, ("images", "labels"), "dataset") / "labels")

    @property
    def ids(self) -> tuple[int, ...]:
        """Tile id of each sample."""
        return tuple(i for i, _ in self._keys)

    @property
    def groups(self) -> tuple[str, ...]:
        """Tile id of each sample, as a group of a split."""
        return tuple(map(str, self.ids))

    @property
    def unlabelled(self) -> tuple[int, ...]:
        """Ids of the tiles that have an image but no label."""
        return tuple(sorted(self._images.keys() - set(self.ids)))

    def patch(self, tile: int) -> Patch:
        """Image of a tile, labelled or not."""
        path = self._images[tile]
        image = read_rgb(path)
        height, width = image.shape[:2]
        if height != width or width not in TILE_PX:
            sides = " or ".join(f"{side} x {side}" for side in TILE_PX)
            raise ValueError(f"{path}: expected a tile of {sides} px, found {width} x {height}")
        return Patch(image, TILE_UM / width, path.stem)

    def __len__(self) -> int:
        return len(self._keys)

    def _read(self, index: int) -> KeypointSample:
        key = tile, annotator = self._keys[index]
        patch = self.patch(tile)
        xy, types, problems = read_points(self._labels[key], patch.image.shape[1])
        for problem in sorted(set(problems) - self._reported):  # log each problem once, not on every access
            logger.warning(problem)
        self._reported.update(problems)
        return KeypointSample(patch, xy, types, annotator, problems)


class PointDiscs(InstanceReader):
    """Keypoint samples with a disc around every point, to train a segmentation network on keypoints.

    Args:
        tiles: a reader of keypoint samples with `groups` and `types`: EndoNuke or BRCAM2C. Its types are renumbered 1,
            2, ... in their order.
        radius_um: radius of the discs, in microns; a pixel within two discs belongs to the nearest point.
    """

    def __init__(self, tiles: EndoNuke | BRCAM2C, radius_um: float = DISC_UM) -> None:
        self.tiles, self.radius_um = tiles, radius_um

    @property
    def groups(self) -> tuple[str, ...]:
        return self.tiles.groups

    def __len__(self) -> int:
        return len(self.tiles)

    def _read(self, index: int) -> InstanceSample:
        sample = self.tiles[index]
        discs, kept = draw_discs(sample.xy, sample.patch.image.shape[:2], self.radius_um / sample.patch.mpp)
        types = np.searchsorted(list(self.tiles.types), sample.types[kept]) + 1
        return InstanceSample(sample.patch, discs, types, "", self.groups[index])


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
    labels = np.zeros(shape, np.int64)
    if len(xy):
        rows, columns = np.indices(shape)
        pixels = np.stack([columns, rows], axis=-1)
        distance, nearest = cKDTree(xy).query(pixels, distance_upper_bound=np.max(radius_px))
        labels = np.where(distance < radius_px, nearest + 1, 0)
    discs, points = contiguous(labels)
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
    seen: dict[tuple[float, float, int], int] = {}
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
        elif point in seen:
            problems.append(f"{where}: point ({x:g}, {y:g}) of class {kind} repeats line {seen[point]}, dropped")
        else:
            seen[point] = number
    points = np.array(list(seen), dtype=np.float64).reshape(-1, 3)
    return points[:, :2], points[:, 2].astype(np.int64), tuple(problems)


def id_runs(ids: Iterable[int], gap: int = 50) -> list[list[int]]:
    """Split tile ids into runs of close ids, the best available proxy for slides.

    Args:
        ids: tile ids in any order; repeats count once.
        gap: largest step between two ids of a run. In EndoNuke's published test set, ids of one run differ by at most
            25, and two runs by at least 161.

    >>> id_runs([946, 321, 322, 330, 945])
    [[321, 322, 330], [945, 946]]
    """
    runs: list[list[int]] = []
    for i in sorted(set(ids)):
        if not runs or i - runs[-1][-1] > gap:
            runs.append([])
        runs[-1].append(i)
    return runs


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


def _by_id(folder: Path, suffix: str) -> dict[int, Path]:
    files = list_files(folder, suffix)
    for stem, path in files.items():
        if not (stem.isascii() and stem.isdigit()):
            raise ValueError(f"{path}: expected a tile id as name, as in 321{suffix}, found {stem!r}")
    return {int(stem): path for stem, path in files.items()}


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _joined(names: list[str]) -> str:
    return ", ".join(names) or "nothing"
