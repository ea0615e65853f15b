"""Images with a physical scale: reading, optical density, stain separation, resampling and tiling."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

MARKERS = ("nuclear", "membrane", "cytoplasm")  # what DAB stains: ER, PR and Ki-67 are nuclear, HER2 is membrane
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})

# Unit vectors of optical density in (R, G, B), from Ruifrok & Johnston, Quantification of histochemical
# staining by color deconvolution, Anal. Quant. Cytol. Histol. 23 (2001).
_VECTORS = {"hematoxylin": (0.65, 0.70, 0.29), "eosin": (0.07, 0.99, 0.11), "dab": (0.27, 0.57, 0.78)}
STAIN_VECTORS = {name: np.array(vector) / np.linalg.norm(vector) for name, vector in _VECTORS.items()}

# Microns per pixel that show nuclei: at 2 a small nucleus is 3 px wide. A resolution tag outside this range is
# a default of a screen or printer (72 dpi is 353 microns), not of a microscope.
PLAUSIBLE_MPP = (0.05, 2.0)


@dataclass(frozen=True, slots=True)
class Patch:
    """An image that knows its scale.

    Attributes:
        image: uint8 RGB, shape (H, W, 3).
        mpp: microns per pixel, > 0. Pixel centres sit at integers.
        name: source of the image, for messages and file names.
        sample: pixels of the same slide, uint8 (h, w, 3), for stain statistics; default: the image itself.

    Raises:
        ValueError: the image is not uint8 (H, W, 3) or empty, or mpp is not a positive number.

    >>> patch = Patch(np.full((100, 200, 3), 255, np.uint8), mpp=0.5)
    >>> patch.size_um
    (100.0, 50.0)
    """

    image: np.ndarray
    mpp: float
    name: str = ""
    sample: np.ndarray | None = None

    def __post_init__(self) -> None:
        image, label = self.image, self.name or "patch"
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise ValueError(f"{label}: expected a uint8 RGB image of shape (H, W, 3), found {found}")
        if image.size == 0:
            raise ValueError(f"{label}: expected an image with pixels, found shape {image.shape}")
        if not (np.isfinite(self.mpp) and self.mpp > 0):
            raise ValueError(f"{label}: expected microns per pixel > 0, found {self.mpp}")

    @property
    def stain_sample(self) -> np.ndarray:
        """Pixels from which stain statistics are estimated: `sample` if there is one, else the image."""
        return self.image if self.sample is None else self.sample

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height in microns."""
        return self.image.shape[1] * self.mpp, self.image.shape[0] * self.mpp

    @property
    def area_mm2(self) -> float:
        """Area in square millimetres."""
        width, height = self.size_um
        return width * height / 1e6


def read_rgb(path: str | Path) -> np.ndarray:
    """Read an 8-bit image file as uint8 RGB, shape (H, W, 3).

    Grey images are repeated into three channels. Transparent pixels are composited on white, like an empty slide. The
    orientation tag is not applied, as in ImageJ and QuPath, so that coordinates refer to the same pixels there. The
    first page of a multi-page file is read.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not a readable image, is truncated, has more than 8 bits per channel, or is too large.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected an image file, found {'a folder' if path.is_dir() else 'nothing'}")
    try:
        # Pillow warns about damaged tags; damaged pixels raise.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as picture:
            # Pillow silently narrows 16-bit RGB; only the raw mode of its decoder shows it.
            raw = " ".join(str(tile[-1]) for tile in picture.tile)
            if picture.mode.startswith(("I", "F")) or ";16" in raw:
                raise ValueError(f"{path}: expected 8 bits a channel, found 16 or more (mode {picture.mode})")
            picture.load()
            if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
                return np.array(picture.convert("RGB"))
            white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            return np.array(Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB"))
    except UnidentifiedImageError:
        with path.open("rb") as file:
            head = file.read(8)
        raise ValueError(f"{path}: expected an 8-bit image, found a file that starts with {head!r}") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{path}: expected at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels, found more") from None
    except PermissionError:
        raise ValueError(f"{path}: expected a file that can be read, found no read permission") from None
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path}: expected a whole image, found a damaged one ({error})") from None


def read_mpp(path: str | Path) -> float | None:
    """Microns per pixel from the resolution tag, or None if it is missing, not square or not of a microscope."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as picture:
            dpi = [float(value) for value in picture.info.get("dpi", ())]
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None
    if len(dpi) != 2 or not np.isfinite(dpi).all() or min(dpi) <= 0 or max(dpi) > 1.01 * min(dpi):
        return None
    mpp = 25_400.0 / dpi[0]
    return mpp if PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1] else None


def read_patch(path: str | Path, mpp: float | None = None) -> Patch:
    """Read an image file with its scale: `mpp` if given, otherwise the resolution tag.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: as `read_rgb`, or the scale is unknown.
    """
    image, scale = read_rgb(path), read_mpp(path) if mpp is None else mpp
    if scale is None:
        found = "no usable resolution tag; give it with --mpp"
        raise ValueError(f"{path}: expected a scale in microns per pixel, found {found}")
    return Patch(image, scale, Path(path).stem)


def optical_density(image: np.ndarray) -> np.ndarray:
    """Optical density log10(I0 / I) per channel, with I0 = 255 and intensities clipped to at least 1.

    Args:
        image: uint8 (..., 3), or float in [0, 255].

    Returns:
        float32, same shape, in [0, 2.41].

    >>> print(optical_density(np.array([128, 64, 32], np.uint8)).round(2))  # half the light is 0.3
    [0.3 0.6 0.9]
    """
    if image.dtype == np.uint8:
        return _DENSITY_OF_BYTE[image]
    return -np.log10(np.clip(image, 1.0, 255.0) / 255.0).astype(np.float32)


_DENSITY_OF_BYTE = -np.log10(np.maximum(np.arange(256), 1) / 255.0).astype(np.float32)


def summed_density(image: np.ndarray) -> np.ndarray:
    """Optical density summed over R, G and B, independent of the stain: float32 (H, W), in [0, 7.22]."""
    return optical_density(image).sum(axis=-1)


def rgb_from_density(density: np.ndarray) -> np.ndarray:
    """Inverse of `optical_density`: densities (..., 3) to uint8 intensities, clipped to [0, 255].

    >>> rgb_from_density(np.array([0.0, 0.3, 0.6])).tolist()
    [255, 128, 64]
    """
    return np.clip(np.rint(255.0 * 10.0 ** -np.asarray(density, dtype=np.float32)), 0, 255).astype(np.uint8)


def separate_stains(image: np.ndarray, *stains: str) -> np.ndarray:
    """Amount of each stain per pixel, by colour deconvolution (Ruifrok & Johnston 2001).

    Args:
        image: uint8 RGB (H, W, 3).
        stains: two or three keys of `STAIN_VECTORS`; with two, the third vector is their cross product (the residual).

    Returns:
        float32 (H, W, len(stains)), optical density along each unit vector; may be slightly negative.

    Raises:
        ValueError: a stain is unknown, or the number of stains is not two or three.

    >>> brown = rgb_from_density(0.8 * STAIN_VECTORS["dab"])[None, None]
    >>> print(separate_stains(brown, "hematoxylin", "dab").round(1) + 0.0)
    [[[0.  0.8]]]
    """
    unknown = [name for name in stains if name not in STAIN_VECTORS]
    if unknown or len(stains) not in (2, 3):
        raise ValueError(f"separate_stains: expected two or three of {', '.join(STAIN_VECTORS)}, found {stains}")
    rows = [STAIN_VECTORS[name] for name in stains]
    if len(rows) == 2:
        residual = np.cross(*rows)
        rows.append(residual / np.linalg.norm(residual))
    inverse = np.linalg.inv(np.stack(rows)).astype(np.float32)
    return (optical_density(image) @ inverse)[..., : len(stains)]


def map_points(xy: np.ndarray, scale: float | tuple[float, float]) -> np.ndarray:
    """Map points of an image to the image resampled by `scale`: x -> (x + 0.5) scale - 0.5.

    Args:
        xy: points in pixels, shape (K, 2).
        scale: factor, or factors for x and y.

    >>> map_points(np.array([[0.0, 10.0]]), 2).tolist()
    [[0.5, 20.5]]
    """
    return (np.asarray(xy, dtype=np.float64).reshape(-1, 2) + 0.5) * np.asarray(scale) - 0.5


def resample(image: np.ndarray, scale: float | tuple[float, float], nearest: bool = False) -> np.ndarray:
    """Resize by a factor: area interpolation for shrinking, bicubic for growing, `nearest` for label maps.

    Args:
        image: (H, W) or (H, W, C), of a type that OpenCV supports.
        scale: factor, or factors for x and y; the new size is rounded to whole pixels, at least 1.

    >>> resample(np.zeros((200, 300, 3), np.uint8), 0.5 / 0.25).shape  # from 0.5 to 0.25 microns per pixel
    (400, 600, 3)
    """
    import cv2

    scale_x, scale_y = np.broadcast_to(scale, 2)
    height, width = image.shape[:2]
    size = max(1, round(width * scale_x)), max(1, round(height * scale_y))
    if size == (width, height):
        return image
    how = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_AREA if scale_x < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=how).reshape(size[1], size[0], *image.shape[2:])


class Window(NamedTuple):
    """One tile of a large image; each part is a pair of slices, for rows and columns."""

    read: tuple[slice, slice]  # input of the network, inside the image
    keep: tuple[slice, slice]  # part of the output to keep; these parts tile the image
    keep_in_read: tuple[slice, slice]  # the same part, counted from the start of `read`


def windows(shape: tuple[int, int], tile_px: int, margin_px: int, multiple: int = 8) -> Iterator[Window]:
    """Cover an image with windows of about `tile_px` that overlap by `margin_px` on every inner side.

    Origins are multiples of `multiple`, so that a network with this stride uses the same grid for every window as for
    the whole image. The margin is rounded up to the multiple, the kept part down.

    Args:
        shape: (H, W) of the image.
        tile_px: side of the input of a window.
        margin_px: context around the kept part, discarded afterwards.

    Raises:
        ValueError: nothing remains between the margins.

    >>> [window.keep[1] for window in windows((48, 100), tile_px=64, margin_px=8)]
    [slice(0, 48, None), slice(48, 96, None), slice(96, 100, None)]
    """
    margin = -(-margin_px // multiple) * multiple
    step = (tile_px - 2 * margin) // multiple * multiple
    if step <= 0:
        raise ValueError(f"windows: expected a tile larger than two margins of {margin} px, found {tile_px} px")

    def along(size: int) -> Iterator[tuple[slice, slice, slice]]:
        for start in range(0, size, step):
            stop, first = min(start + step, size), max(0, start - margin)
            yield slice(first, min(stop + margin, size)), slice(start, stop), slice(start - first, stop - first)

    for rows, columns in product(*map(along, shape)):
        yield Window(*zip(rows, columns, strict=True))
