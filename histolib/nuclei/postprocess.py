"""Post-processing of HoVer-Net maps: the published watershed, and a table of nuclei."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.segmentation import watershed

from ..imaging import Patch, map_points
from ..metrics.instances import compact_ids

PUBLISHED_MPP = 0.25  # scale of the published thresholds
PUBLISHED_SIDES = {"sobel_px": 21, "opening_px": 5}


@dataclass(frozen=True, slots=True)
class WatershedSteps:
    """Intermediate results of the watershed, each (H, W), in order."""

    nuclear: np.ndarray  # bool: nuclear pixels, without small areas
    edges: np.ndarray  # float64 in [0, 1]: steepness of the fall in the distances, 0 outside nuclei
    basins: np.ndarray  # float64 in [-1, 0]: landscape to flood, lowest far from edges
    markers: np.ndarray  # int32: ids of the regions where flooding starts
    instances: np.ndarray  # int32: ids of the nuclei


def postprocess(np_prob: np.ndarray, hv: np.ndarray, **thresholds: Any) -> np.ndarray:
    """Separate nuclei by a watershed on the gradients of the distance maps (Graham et al. 2019, section 3.2).

    Args:
        np_prob: probability of nucleus, (H, W).
        hv: horizontal and vertical distance, (H, W, 2).
        thresholds: as in `watershed_steps`.

    Returns:
        int32 (H, W) instance ids, 0 is background; ids may have gaps, as in the published code.

    Raises:
        ValueError: the maps disagree in shape.

    >>> from histolib.nuclei import hover_targets
    >>> y, x = np.indices((50, 80))
    >>> two = np.where(np.hypot(x - 25, y - 25) < 15, 1, 2 * (np.hypot(x - 52, y - 25) < 15))  # they touch
    >>> len(np.unique(postprocess((two > 0).astype(float), hover_targets(two)))) - 1
    2
    """
    return watershed_steps(np_prob, hv, **thresholds).instances


def watershed_steps(
    np_prob: np.ndarray,
    hv: np.ndarray,
    *,
    np_threshold: float = 0.5,
    edge_threshold: float = 0.4,
    min_area_px: int = 10,
    sobel_px: int = 21,
    opening_px: int = 5,
) -> WatershedSteps:
    """Watershed of `postprocess` with its intermediate results.

    The label map equals that of the published code. Values are normalised from the minimum to the maximum of the whole
    map, so the maps of a tiled image must be stitched first. Defaults in pixels hold at 0.25 microns per pixel;
    `published_thresholds` gives them for other scales.

    Args:
        np_prob: probability of nucleus, (H, W).
        hv: horizontal and vertical distance, (H, W, 2).
        np_threshold: lowest probability of a nuclear pixel.
        edge_threshold: normalised gradient at which a pixel is an edge between nuclei and not part of a marker.
        min_area_px: smaller nuclear areas and markers are dropped.
        sobel_px: side of the Sobel filter, odd, at most 31.
        opening_px: diameter of the ellipse that smooths the markers.

    Raises:
        ValueError: the maps disagree in shape.
    """
    if np_prob.ndim != 2 or hv.shape != (*np_prob.shape, 2):
        raise ValueError(f"postprocess: expected maps (H, W) and (H, W, 2), found {np_prob.shape} and {hv.shape}")
    areas = large(ndimage.label(np.asarray(np_prob, np.float32) >= np_threshold)[0], min_area_px)
    nuclear = areas > 0
    x_map, y_map = (_stretch(np.ascontiguousarray(hv[..., i], dtype=np.float32)) for i in (0, 1))
    fall_x = 1 - _stretch(cv2.Sobel(x_map, cv2.CV_64F, 1, 0, ksize=sobel_px))
    fall_y = 1 - _stretch(cv2.Sobel(y_map, cv2.CV_64F, 0, 1, ksize=sobel_px))
    # Distances rise across a nucleus and fall where the next one begins, so a fall in either direction is an edge.
    edges = np.maximum(np.maximum(fall_x, fall_y) - (1.0 - nuclear), 0)
    basins = -cv2.GaussianBlur((1.0 - edges) * nuclear, (3, 3), 0)

    starts = filled(nuclear & (edges < edge_threshold)).astype(np.uint8)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (opening_px, opening_px))
    markers = large(ndimage.label(cv2.morphologyEx(starts, cv2.MORPH_OPEN, ellipse))[0], min_area_px)
    instances = _flood(basins, markers, areas)
    return WatershedSteps(nuclear, edges, basins, markers, instances)


def published_thresholds(mpp: float) -> dict[str, int]:
    """Published thresholds of `postprocess` that are in pixels, converted from 0.25 microns per pixel to `mpp`.

    Sides are odd and between 3 and 31 px, the limit of OpenCV's Sobel filter.

    >>> published_thresholds(0.5)
    {'min_area_px': 3, 'sobel_px': 11, 'opening_px': 3}
    """
    factor = PUBLISHED_MPP / mpp
    odd = {name: 2 * round((side * factor - 1) / 2) + 1 for name, side in PUBLISHED_SIDES.items()}
    return {"min_area_px": max(3, round(10 * factor**2)), **{name: min(max(side, 3), 31) for name, side in odd.items()}}


def describe_instances(instances: np.ndarray, type_map: np.ndarray | None = None) -> pd.DataFrame:
    """Table of nuclei, one row each in ascending order of their ids, in one pass over the image.

    Args:
        instances: integer ids (H, W), 0 is background.
        type_map: type of each pixel, integers (H, W), 0 is background.

    Returns:
        columns id; x, y: centroid in pixels; area: pixels; contour: int (V, 2) outline of the
        largest piece in (x, y). With a `type_map` also type: the most frequent type other than
        background (the smallest in a tie; 0 if all pixels are background), and type_prob: its share of the pixels.

    Raises:
        ValueError: the maps disagree in shape.

    >>> instances = np.zeros((8, 12), int)
    >>> instances[1:4, 2:7], instances[5:7, 8:10] = 3, 8
    >>> print(describe_instances(instances)[["id", "x", "y", "area"]].to_string(index=False))
     id   x   y  area
      3 4.0 2.0    15
      8 8.5 5.5     4
    """
    if type_map is not None and type_map.shape != instances.shape:
        raise ValueError(f"describe_instances: expected a type map {instances.shape}, found {type_map.shape}")
    ids, compact, area = compact_ids(instances)
    rows, columns = np.nonzero(compact)
    index = compact[rows, columns] - 1
    contours = []
    for number, (down, across) in enumerate(ndimage.find_objects(compact), start=1):
        mask = (compact[down, across] == number).astype(np.uint8)
        pieces, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        outline = max(pieces, key=lambda piece: (cv2.contourArea(piece), len(piece)))
        contours.append(outline.reshape(-1, 2) + np.array((across.start, down.start)))
    table: dict[str, Any] = {
        "id": ids,
        "x": np.bincount(index, columns, len(ids)) / area,
        "y": np.bincount(index, rows, len(ids)) / area,
        "area": area,
        "contour": pd.Series(contours, dtype=object),
    }
    if type_map is not None:
        types = type_map[rows, columns].astype(np.int64)
        count = max(2, int(types.max(initial=0)) + 1)
        votes = np.bincount(index * count + types, minlength=len(ids) * count).reshape(len(ids), count)
        best = np.where(votes[:, 0] == area, 0, votes[:, 1:].argmax(axis=1) + 1)
        table |= {"type": best, "type_prob": votes[np.arange(len(ids)), best] / area}
    return pd.DataFrame(table)


def to_patch(table: pd.DataFrame, shape: tuple[int, ...], patch: Patch) -> pd.DataFrame:
    """Map a table of `describe_instances` to the patch that its label map comes from.

    Args:
        table: x, y, area and contour in pixels of the label map.
        shape: (H, W) of the label map.
        patch: the patch, of any scale.

    Returns:
        a new table in pixels of the patch (contours float), with area_um2.
    """
    scale = patch.image.shape[1] / shape[1], patch.image.shape[0] / shape[0]
    table = table.assign(area=table["area"] * scale[0] * scale[1])
    table["area_um2"] = table["area"] * patch.mpp**2
    table[["x", "y"]] = map_points(table[["x", "y"]].to_numpy(), scale)
    table["contour"] = table["contour"].map(lambda contour: map_points(contour, scale))
    return table


def label_means(values: np.ndarray, labels: np.ndarray, count: int = 0) -> np.ndarray:
    """Mean of the values (H, W) in each label, in the order of the labels from 0; 0 for unused labels.

    The result has at least `count` entries.
    """
    pixels, sums = np.bincount(labels.ravel(), minlength=count), np.bincount(labels.ravel(), values.ravel(), count)
    return sums / np.maximum(pixels, 1)


def large(labels: np.ndarray, min_area_px: int) -> np.ndarray:
    """Labels without the regions smaller than `min_area_px`."""
    small = np.bincount(labels.ravel()) < min_area_px
    return np.where(small[labels], 0, labels)


def filled(mask: np.ndarray) -> np.ndarray:
    """Mask (H, W) without holes, which are background regions that do not touch the image border."""
    padded = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(padded, None, (0, 0), 2)
    return padded[1:-1, 1:-1] != 2


def _flood(basins: np.ndarray, markers: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Watershed of the whole image, area by area: areas (H, W) that do not touch cannot flood each other.

    An area with one marker belongs to that marker and needs no flooding. The cost per nucleus does not grow with the
    image.
    """
    seeds = np.flatnonzero(markers)
    area, marker = areas.ravel()[seeds], markers.ravel()[seeds]
    only = np.zeros(int(areas.max()) + 1, np.int32)
    only[area] = marker
    only[0] = 0
    crowded = np.unique(area[(only[area] != marker) & (area > 0)])
    instances = only[areas]
    boxes = ndimage.find_objects(areas) if len(crowded) else []
    for number in crowded:
        box = boxes[number - 1]
        mask = areas[box] == number
        instances[box] = np.where(mask, watershed(basins[box], markers=markers[box], mask=mask), instances[box])
    return instances


def _stretch(values: np.ndarray) -> np.ndarray:
    """Scale values linearly to [0, 1], float32."""
    return cv2.normalize(values, np.empty(0), 0, 1, cv2.NORM_MINMAX, dtype=cv2.CV_32F)
