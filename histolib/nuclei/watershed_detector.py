"""Classical nucleus detector of slide viewers: background subtraction, Laplacian of Gaussian and two watersheds."""

import cv2
import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.morphology import reconstruction

from ..imaging import Patch, resample, summed_density, windows
from .log_detector import MPP
from .postprocess import describe_instances, filled, label_means, large, to_patch

BACKGROUND_UM = 8.0  # radius of the opening that finds the background, more than that of a nucleus
BACKGROUND_MPP = 1.0  # scale of the background in microns per pixel; it varies slowly
SIGMA_UM = 1.5  # standard deviation of the Gaussian that finds fragments
THRESHOLD = 0.1  # lowest mean of a fragment, in summed optical density (log10) above the background
AREA_UM2 = 10.0, 400.0  # other nuclei are dropped; larger holes are not filled
SPLIT_SIGMA_UM = 0.75  # smooths the distance transform; unevenness of an outline would split a nucleus otherwise
CONTEXT_PX = 64  # overlap of tiles, 32 microns: more than the reach of the filters and the diameter of a nucleus


def detect_watershed(patch: Patch, *, tile_px: int = 2048) -> pd.DataFrame:
    """Detect and outline nuclei by two watersheds on optical density summed over R, G and B, whatever the stain.

    1. Background: opening by reconstruction, subtracted (Vincent, Morphological grayscale reconstruction in image
       analysis, IEEE Trans. Image Process. 2 (1993)).
    2. Fragments: watershed of the negative Laplacian of Gaussian where it is positive, from its maxima. Fragments
       denser than `THRESHOLD` form the nuclear area, and its holes are filled.
    3. Nuclei: watershed of the distance to the edge of the nuclear area, which splits touching nuclei at their necks
       (Beucher & Meyer, The morphological approach to segmentation, in Mathematical Morphology in Image Processing
       (1993)).

    An image larger than `tile_px` is processed in overlapping tiles, so that the maps need memory for one tile only. A
    nucleus belongs to the tile that keeps its centroid. Reconstruction has no fixed reach; where a dense band is longer
    than the overlap, a nucleus can differ from that of the image in one piece.

    Args:
        patch: the image; it is resampled to 0.5 microns per pixel.
        tile_px: side of the tiles at 0.5 microns per pixel, without their overlap; at least 8.

    Returns:
        as `find_nuclei`: columns of `describe_instances` in pixels of the patch (contours float), area_um2, and score,
        the share of the light that the nucleus absorbs in addition to its background, in [0, 1).

    Raises:
        ValueError: `tile_px` is too small.

    >>> y, x = np.indices((40, 60))
    >>> dark = np.where(np.hypot(x - 20, y - 15) < 6, 90, 240)[..., None].repeat(3, axis=2)
    >>> print(detect_watershed(Patch(dark.astype(np.uint8), mpp=0.5))[["x", "y"]].round().to_string(index=False))
       x    y
    20.0 15.0
    """
    image = resample(patch.image, patch.mpp / MPP)
    height, width = image.shape[:2]
    tables = []
    for tile in windows((height, width), tile_px + 2 * CONTEXT_PX, CONTEXT_PX):
        density = _above_background(summed_density(image[tile.read]))
        nuclear = _nuclear_area(density)
        distance = cv2.distanceTransform(nuclear.astype(np.uint8), cv2.DIST_L2, 5)
        instances = _basins(cv2.GaussianBlur(distance, (0, 0), SPLIT_SIGMA_UM / MPP), nuclear)
        area_um2 = np.bincount(instances.ravel()) * MPP**2
        instances[((area_um2 < AREA_UM2[0]) | (area_um2 > AREA_UM2[1]))[instances]] = 0
        table = describe_instances(instances)
        table["score"] = 1 - 10 ** (-np.maximum(label_means(density, instances)[table["id"]], 0) / 3)
        origin = np.array((tile.read[1].start, tile.read[0].start))
        table[["x", "y"]] += origin
        table["contour"] = [contour + origin for contour in table["contour"]]
        rows, columns = tile.keep
        tables.append(table.query(f"{columns.start} <= x < {columns.stop} and {rows.start} <= y < {rows.stop}"))
    table = to_patch(pd.concat(tables, ignore_index=True), (height, width), patch)
    return table.assign(id=table.index + 1)


def _above_background(density: np.ndarray) -> np.ndarray:
    """Density (H, W) minus its opening by reconstruction: peaks that the disc of `BACKGROUND_UM` does not fit into."""
    coarse = resample(density, MPP / BACKGROUND_MPP)
    side = 2 * round(BACKGROUND_UM / BACKGROUND_MPP) + 1
    eroded = cv2.erode(coarse, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return density - cv2.resize(reconstruction(eroded, coarse).astype(np.float32), density.shape[::-1])


def _nuclear_area(density: np.ndarray) -> np.ndarray:
    """Mask (H, W) of the fragments of the Laplacian of Gaussian that are denser than the threshold, holes filled."""
    response = -cv2.Laplacian(cv2.GaussianBlur(density, (0, 0), SIGMA_UM / MPP), cv2.CV_32F)
    fragments = _basins(response, response > 0)
    open_area = (fragments > 0) & (label_means(density, fragments) > THRESHOLD)[fragments]
    closed_area = filled(open_area)
    holes = ndimage.label(closed_area & ~open_area)[0]
    return closed_area & (large(holes, round(AREA_UM2[1] / MPP**2)) == 0)


def _basins(surface: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Watershed of the negative surface inside the mask (H, W): one label for each maximum, 0 outside.

    By topographic distance (Meyer, Topographic distance and watershed lines, Signal Process. 38 (1994)): each pixel
    points to the highest of its 8 neighbours, and all pixels whose paths end at one maximum are its basin. Paths are
    halved in every pass over the pixels, so no pass over single pixels or nuclei is needed.
    """
    hills = np.pad(np.where(mask, surface, -np.inf), 1, constant_values=-np.inf)
    flat, pixels = hills.ravel(), np.flatnonzero(np.pad(mask, 1)).astype(np.int32)
    highest, uphill = flat[pixels], pixels
    row = hills.shape[1]
    for step in (-row - 1, -row, -row + 1, -1, 1, row - 1, row, row + 1):
        neighbours = pixels + step
        heights = flat[neighbours]
        uphill = np.where(heights > highest, neighbours, uphill)
        highest = np.maximum(highest, heights)
    tops = np.zeros(hills.shape, bool)
    tops.ravel()[pixels[uphill == pixels]] = True
    labels = ndimage.label(tops, np.ones((3, 3)))[0]
    order = np.zeros(flat.size, np.int32)
    order[pixels] = np.arange(len(pixels))
    ends = order[uphill]
    while not np.array_equal(further := ends[ends], ends):
        ends = further
    labels.ravel()[pixels] = labels.ravel()[pixels[ends]]
    return labels[1:-1, 1:-1]
