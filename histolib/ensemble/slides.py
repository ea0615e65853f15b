"""Slides: pyramids that are read region by region, from OpenSlide formats, tiled TIFF and plain images."""

import logging
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from PIL import Image

from ..imaging import PLAUSIBLE_MPP, Patch, Window, optical_density, read_mpp, read_rgb, summed_density, windows
from ..io import reading

SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".svslide", ".bif", ".dcm"})  # of OpenSlide
COARSER = 1.2  # a level may be coarser than the model's scale by this factor
CONTRADICTION = 0.05  # relative difference between two scales that is worth a warning
THUMBNAIL_PX = 1024  # longest side of the thumbnail
BLOCK_PX = 2048  # side of the blocks in which a level is read for the thumbnail
KEEP_UM, MARGIN_UM = 320.0, 32.0  # kept part of a tile, and its context: the reach of a HoVer-Net plus a nucleus
GRID_PX = 16  # tile origins are multiples, so that a network at half the scale uses the same grid of 8 px in all tiles
TISSUE_DENSITY = 0.1  # summed optical density above that of glass
DARKEST_GLASS = 200  # grey level; a slide whose brightest pixels are darker shows no glass
SAMPLE_CROPS, SAMPLE_PX = 16, 256  # number and side of the crops for the stain statistics of a slide

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slide:
    """An image in one or more resolutions, of which regions are read.

    Attributes:
        path: the file.
        mpp: microns per pixel of level 0.
        sizes: (width, height) of each level in pixels, the finest first.
        read_region: function of (level, left, top, width, height), in pixels of the level and inside it, to uint8 RGB.
    """

    path: Path
    mpp: float
    sizes: tuple[tuple[int, int], ...]
    read_region: Callable[[int, int, int, int, int], np.ndarray]

    def scale(self, level: int) -> tuple[float, float]:
        """Pixels of level 0 per pixel of a level, in x and in y."""
        return self.sizes[0][0] / self.sizes[level][0], self.sizes[0][1] / self.sizes[level][1]

    def level_mpp(self, level: int) -> float:
        """Microns per pixel of a level."""
        return self.mpp * self.scale(level)[0]

    def level_for(self, mpp: float) -> int:
        """The coarsest level that is at most 1.2 times coarser than `mpp`."""
        return max(i for i in range(len(self.sizes)) if i == 0 or self.level_mpp(i) <= COARSER * mpp)

    def read(self, level: int, rows: slice, columns: slice) -> np.ndarray:
        """Pixels of a region of a level as uint8 RGB (H, W, 3).

        Raises:
            ValueError: the file is damaged there.
        """
        size = columns.stop - columns.start, rows.stop - rows.start
        errors = OSError, ValueError, RuntimeError, IndexError, struct.error, zlib.error  # OpenSlideError is an OSError
        with reading(self.path, "a whole slide", *errors):
            return self.read_region(level, columns.start, rows.start, *size)

    def thumbnail(self) -> Patch:
        """The whole slide, at most 1024 px wide and high; memory grows with the thumbnail only."""
        level = max(i for i, size in enumerate(self.sizes) if i == 0 or max(size) >= THUMBNAIL_PX)
        shrink = max(1.0, max(self.sizes[level]) / THUMBNAIL_PX)
        width, height = (max(1, round(side / shrink)) for side in self.sizes[level])
        scale = self.sizes[level][1] / height, self.sizes[level][0] / width
        image = np.empty((height, width, 3), np.uint8)
        for block in windows((height, width), max(1, int(BLOCK_PX / shrink)), 0, multiple=1):
            parts = [
                slice(round(part.start * factor), max(round(part.stop * factor), round(part.start * factor) + 1))
                for part, factor in zip(block.keep, scale, strict=True)
            ]
            size = block.keep[1].stop - block.keep[1].start, block.keep[0].stop - block.keep[0].start
            image[block.keep] = cv2.resize(self.read(level, *parts), size, interpolation=cv2.INTER_AREA)
        return Patch(image, self.mpp * self.sizes[0][0] / width, self.path.stem)

    def tiles(self, level: int) -> list[Window]:
        """Windows that cover a level, each with the context that detection needs; a small image is one window."""
        keep, margin = (round(um / self.level_mpp(level) / GRID_PX) * GRID_PX for um in (KEEP_UM, MARGIN_UM))
        width, height = self.sizes[level]
        if max(width, height) <= keep + 2 * margin:
            return [Window(*[(slice(0, height), slice(0, width))] * 3)]
        # Tiles of equal size: an image a little larger than one tile is not cut into a large and a narrow one.
        counts = (-(-side // max(keep, GRID_PX)) for side in (height, width))
        step = max(-(-side // count // GRID_PX) * GRID_PX for side, count in zip((height, width), counts, strict=True))
        return list(windows((height, width), step + 2 * margin, margin, GRID_PX))

    def stain_sample(self, level: int, tiles: list[Window]) -> np.ndarray:
        """Crops of 256 px from the centres of up to 16 tiles, below each other: uint8 (n * 256, 256, 3)."""
        chosen = np.unique(np.linspace(0, len(tiles) - 1, SAMPLE_CROPS).round().astype(int))
        crops = []
        for i in chosen:
            middles = [(part.start + part.stop) // 2 for part in tiles[i].keep]
            parts = [
                slice(start := max(0, min(middle - SAMPLE_PX // 2, size - SAMPLE_PX)), min(start + SAMPLE_PX, size))
                for middle, size in zip(middles, self.sizes[level][::-1], strict=True)
            ]
            crops.append(self.read(level, *parts))
        return np.concatenate(crops)


def find_tissue(thumbnail: np.ndarray) -> np.ndarray:
    """Mask (H, W) of the tissue on a thumbnail (H, W, 3): pixels denser than the brightest percent, which is glass."""
    glass = np.maximum(np.percentile(thumbnail, 99, axis=(0, 1)), DARKEST_GLASS)
    density = cv2.GaussianBlur(summed_density(thumbnail), (0, 0), 1.0) - optical_density(glass).sum()
    return cv2.dilate((density > TISSUE_DENSITY).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def open_slide(path: str | Path, mpp: float | None = None) -> Slide:
    """Open a slide, a tiled TIFF or a plain image with its scale: `mpp` if given, otherwise the file's own.

    OpenSlide reads the formats of slide scanners (needs `histolib[wsi]`), tifffile other tiled TIFF, and Pillow plain
    images, which are held in memory. Coordinates begin at the bounds of the scanned area, as in QuPath.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: no reader accepts the file, it is damaged, or its scale is unknown.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected an image file, found {'a folder' if path.is_dir() else 'nothing'}")
    known, sizes, read_region = _vendor(path, "generic-tiff") or _tiled_tiff(path) or _vendor(path) or _plain(path)
    scale = mpp or known
    if scale is None:
        raise ValueError(f"{path}: expected a scale in microns per pixel, found no usable tag; give it with --mpp")
    if mpp and known and abs(mpp / known - 1) > CONTRADICTION:
        logger.warning("%s: its metadata give %.4g microns per pixel, using %.4g as requested", path, known, mpp)
    return Slide(path, scale, sizes, read_region)


Opened = tuple[float | None, tuple[tuple[int, int], ...], Callable[[int, int, int, int, int], np.ndarray]]


def _plain(path: Path) -> Opened:
    if path.suffix.lower() in SLIDE_SUFFIXES:
        raise ValueError(f"{path}: expected a slide that OpenSlide reads, found none; pip install 'histolib[wsi]'")
    image = read_rgb(path)
    size = image.shape[1], image.shape[0]
    return read_mpp(path), (size,), lambda level, x, y, width, height: image[y : y + height, x : x + width]


def _vendor(path: Path, unwanted: str | None = None) -> Opened | None:
    """A slide that OpenSlide recognises; for generic TIFF it finds levels in pages only, tifffile in sub-pages too."""
    try:
        import openslide
    except (ImportError, OSError):  # the package without its library raises OSError
        return None
    if openslide.OpenSlide.detect_format(path) in (None, unwanted):
        return None
    with reading(path, "a whole slide", openslide.OpenSlideError):
        slide = openslide.OpenSlide(path)
    own = slide.properties
    x0, y0, *size = (int(own.get(f"openslide.bounds-{name}", 0)) for name in ("x", "y", "width", "height"))
    width, height = size if all(size) else slide.dimensions
    factors = slide.level_downsamples
    sizes = tuple((max(1, round(width / factor)), max(1, round(height / factor))) for factor in factors)

    def read_region(level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        origin = x0 + round(x * factors[level]), y0 + round(y * factors[level])
        picture = slide.read_region(origin, level, (width, height))
        return np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture))[..., :3]

    return _scale(own.get("openslide.mpp-x")) or read_mpp(path), sizes, read_region


def _tiled_tiff(path: Path) -> Opened | None:
    """Levels of a tiled RGB TIFF with 8 bits; only the tiles of the region are decoded."""
    import tifffile

    try:
        file = tifffile.TiffFile(path)
        levels = [level.keyframe for level in file.series[0].levels]
    except (tifffile.TiffFileError, IndexError, struct.error):
        return None
    decodable = all(page.compression in tifffile.TIFF.DECOMPRESSORS for page in levels)
    if not decodable or not all(page.is_tiled and page.dtype == np.uint8 and page.shape[2:] == (3,) for page in levels):
        file.close()
        return None

    lock = Lock()

    def read_region(level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        page = levels[level]
        down, across = page.tilelength, page.tilewidth
        region = np.full((height, width, 3), 255, np.uint8)
        for row in range(y // down, -(-(y + height) // down)):
            for column in range(x // across, -(-(x + width) // across)):
                index = row * -(-page.imagewidth // across) + column
                with lock:  # threads share the position in the file
                    file.filehandle.seek(page.dataoffsets[index])
                    data = file.filehandle.read(page.databytecounts[index])
                tile = page.decode(data, index, jpegtables=page.jpegtables)[0]
                if tile is not None:
                    # The part of the TIFF tile that lies in the region, and where it goes.
                    t, u = row * down - y, column * across - x
                    part = tile[0, max(0, -t) : height - t, max(0, -u) : width - u]
                    region[max(0, t) : max(0, t) + part.shape[0], max(0, u) : max(0, u) + part.shape[1]] = part
        return region

    per_um = levels[0].get_resolution("MICROMETER")
    named = re.search(r'PhysicalSizeX="([0-9.eE+-]+)"', file.ome_metadata or "")  # in microns unless said otherwise
    scale = _scale(named[1]) if named else _scale(1 / per_um[0] if per_um[0] > 0 else None)
    return scale, tuple((page.imagewidth, page.imagelength) for page in levels), read_region


def _scale(text: str | float | None) -> float | None:
    """A plausible number of microns per pixel, else None."""
    try:
        mpp = float(text or "nan")
    except ValueError:
        return None
    return mpp if PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1] else None
