"""Reader of tiles with a PNG of instance ids and a table of types, and of the images that CoNSeP's tiles come from."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..imaging import Patch, read_rgb
from ..io import reading
from .samples import InstanceReader, InstanceSample, contiguous, list_files, locate, shorten

MPP = 0.25  # microns per pixel
# Position (top, left) of tile k in its CoNSeP image: a grid of 256 px, then the strips that end at pixel 1000.
GRID, LAST, SIDE, TILE_PX = (0, 256, 512), 744, 1000, 256
ORIGINS = (*((y, x) for y in GRID for x in GRID), *((LAST, x) for x in GRID), *((y, LAST) for y in GRID), (LAST, LAST))


class InstanceTiles(InstanceReader):
    """Tiles of 0.25 microns per pixel, sorted by name; the group of `train_10_003` is `train_10`.

    Args:
        root: folder with `images/*.{png,jpg}`, `labels/*.png` (ids, 8 or 16 bits, 0 is background) and `types.json`,
            which holds `{tile: {id: type}}`.

    Raises:
        FileNotFoundError: a folder, `types.json`, or the image, label or types of a tile is missing.
        ValueError: `types.json` has another form, or (on access) an image or a label is damaged, they differ in size,
            or label and table have different ids.
    """

    types = {1: "miscellaneous", 2: "inflammatory", 3: "epithelial", 4: "spindle-shaped"}  # noqa: RUF012 - a constant

    def __init__(self, root: str | Path) -> None:
        root = locate(root, ("images", "labels", "types.json"), "consep_tiles")
        images = list_files(root / "images", ".png", ".jpg", ".jpeg")
        labels, types = list_files(root / "labels", ".png"), _read_types(root / "types.json")
        tiles = images.keys() | labels.keys() | types.keys()
        for part, found in (("an image", images), ("a label", labels), ("an entry in types.json", types)):
            _complete(root, f"{part} for every tile", tiles, found)
        super().__init__(images)
        self.root = root
        self.groups = tuple(name.rpartition("_")[0] or name for name in images)
        self._parts = {name: (images[name], labels[name], types[name]) for name in images}

    def _read(self, key: str) -> InstanceSample:
        return _sample(key, key.rpartition("_")[0] or key, *self.raw(key))

    def raw(self, name: str) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
        """Image (H, W, 3) of a tile, ids as in the file (H, W), and the type of each id."""
        picture, path, types = self._parts[name]
        image, labels = read_rgb(picture), _read_ids(path)
        if image.shape[:2] != labels.shape:
            raise ValueError(f"{path}: expected {image.shape[:2]} px like its image, found {labels.shape}")
        differing = sorted(set(np.unique(labels).tolist()) - {0} ^ types.keys())
        if differing:
            found = f"ids {shorten(list(map(str, differing)))} in only one of them"
            raise ValueError(f"{path}: expected the same ids as in types.json, found {found}")
        return image, labels, types


class _ConsepImages(InstanceReader):
    def __init__(self, root: str | Path) -> None:
        self._tiles = InstanceTiles(root)
        self.groups = tuple(dict.fromkeys(self._tiles.groups))
        super().__init__([f"{image}_{k:03d}" for k in range(len(ORIGINS))] for image in self.groups)
        wanted = set().union(*self._keys)
        _complete(self._tiles.root, f"{len(ORIGINS)} tiles of every image", wanted, self._tiles._keys)

    def _read(self, key: list[str]) -> InstanceSample:
        images, labels, tables = zip(*map(self._tiles.raw, key), strict=True)
        types: dict[int, int] = {}
        for tile, table in zip(key, tables, strict=True):
            differ = [str(i) for i, kind in table.items() if types.setdefault(i, kind) != kind]
            if differ:
                found = f"others for ids {shorten(differ)}"
                raise ValueError(f"{tile}: expected the same types as in its neighbours, found {found}")
        name = key[0].rpartition("_")[0]
        return _sample(name, name, stitch(images), stitch(labels), types)


def _sample(name: str, group: str, image: np.ndarray, labels: np.ndarray, types: dict[int, int]) -> InstanceSample:
    instances, ids = contiguous(labels)
    kinds = np.array([types[i] for i in ids.tolist()], dtype=np.int64)
    return InstanceSample(Patch(image, MPP, name), instances, kinds, "", group)


def consep_images(root: str | Path) -> InstanceReader:
    """Open the 1000 x 1000 px images of CoNSeP, assembled from their tiles and sorted by name.

    Graham et al., HoVer-Net, Medical Image Analysis 58 (2019).

    Args:
        root: folder as for `InstanceTiles`; every image has 16 tiles, `<image>_000` to `<image>_015`.

    Returns:
        One sample per image; name and group are those of the image.

    Raises:
        FileNotFoundError, ValueError: as `InstanceTiles`, a tile is missing, or tiles of an image disagree.
    """
    return _ConsepImages(root)


def stitch(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Assemble the 16 tiles of a CoNSeP image.

    Tiles 000-008 lie at rows and columns {0, 256, 512}, 009-011 at row 744, 012-014 at column 744, 015 at both. The
    last seven overlap their neighbours by 24 px, where the later tile is used.

    Args:
        tiles: images (256, 256, 3) or label maps (256, 256), in the order of their numbers.

    Returns:
        (1000, 1000, ...) of the same dtype.

    Raises:
        ValueError: there are not 16 tiles of 256 px.
    """
    shapes = {tile.shape[:2] for tile in tiles}
    if len(tiles) != len(ORIGINS) or shapes != {(TILE_PX, TILE_PX)}:
        raise ValueError(f"stitch: expected {len(ORIGINS)} tiles of 256 x 256 px, found {len(tiles)} of {shapes}")
    whole = np.zeros((SIDE, SIDE, *tiles[0].shape[2:]), tiles[0].dtype)
    for (top, left), tile in zip(ORIGINS, tiles, strict=True):
        whole[top : top + TILE_PX, left : left + TILE_PX] = tile
    return whole


def _complete(root: Path, expected: str, wanted: set[str], found: Iterable[str]) -> None:
    missing = sorted(wanted.difference(found))
    if missing:
        raise FileNotFoundError(f"{root}: expected {expected}, missing {shorten(missing)}")


def _read_ids(path: Path) -> np.ndarray:
    with reading(path, "a PNG of instance ids", OSError, SyntaxError), Image.open(path) as picture:
        ids = np.array(picture)
    if ids.ndim != 2 or ids.dtype.kind not in "ui":
        raise ValueError(f"{path}: expected one channel of integer ids, found {ids.dtype} {ids.shape}")
    return ids


def _read_types(path: Path) -> dict[str, dict[int, int]]:
    with reading(path, "a table {tile: {id: type}}", ValueError, AttributeError):
        table = json.loads(path.read_text("utf-8"))
        types = {tile: {int(i): kind for i, kind in row.items()} for tile, row in table.items()}
    for tile, row in types.items():
        for i, kind in row.items():
            if type(kind) is not int or not 1 <= kind <= 255:
                raise ValueError(f"{path}: expected a type from 1 to 255 for id {i} of {tile}, found {kind!r}")
    return types
