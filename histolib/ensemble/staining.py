"""Staining of nuclei: DAB density, intensity 0 to 3+, and positivity, H-score and Allred score with intervals."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..imaging import STAIN_VECTORS, Patch, optical_density
from ..io import reading
from ..metrics.bootstrap import resampled_sums
from ..nuclei.postprocess import label_means
from .nuclei import Nuclei

INTENSITIES = ("Negative", "1+", "2+", "3+")
# Mean DAB density of a nucleus from which it is 1+, 2+ and 3+. No standard exists; laboratories set theirs. The first
# was checked on labelled Ki-67 nuclei of other laboratories, the others were chosen on phantom slides 12 to 23.
THRESHOLDS = (0.2, 0.4, 0.65)
DISC_UM = 3.0  # radius of the disc that stands for a nucleus without an outline
BLUEST_SHARE = 0.1  # share of the nuclei of a slide whose hue gives its hematoxylin vector
FEWEST_NUCLEI = 20  # fewer nuclei give no vector; the standard one is used
ALLRED_SHARES = (0.0, 0.01, 0.1, 1 / 3, 2 / 3)  # lower limits of the proportion scores 1 to 5


def nuclear_density(patch: Patch, nuclei: Nuclei) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean optical density of each nucleus inside its outline, or in a disc of 3 microns if it has none.

    Returns:
        densities (K, 3) in R, G and B; density (3,) of the glass, the brightest percent of the pixels; and median
        density (3,) between the nuclei.
    """
    labels = np.zeros(patch.image.shape[:2], np.int32)
    for i, xy in enumerate(nuclei.xy, 1):
        outline = nuclei.contours[i - 1] if nuclei.contours else ()
        if len(outline) > 2:
            cv2.fillPoly(labels, [np.rint(outline).astype(np.int32)], i)
        else:
            cv2.circle(labels, np.rint(xy).astype(int).tolist(), max(1, round(DISC_UM / patch.mpp)), i, cv2.FILLED)
    density, outside = optical_density(patch.image).reshape(-1, 3), labels.ravel() == 0
    means = np.stack([label_means(channel, labels, len(nuclei) + 1) for channel in density.T], axis=1)
    between = density[outside] if outside.any() else density
    return means[1:], np.percentile(density, 1, axis=0), np.median(between, axis=0)


def stain_vectors(density: np.ndarray) -> np.ndarray:
    """Vectors of hematoxylin and DAB of a slide: unit densities (2, 3).

    Counterstains differ between laboratories more than DAB, which is one chemical. Hematoxylin is the mean of the
    bluest tenth of the nuclei, unless there are fewer than 20 nuclei or these are brown too. DAB, and hematoxylin
    then, are those of Ruifrok & Johnston (2001).

    Args:
        density: mean optical density of each nucleus above the glass, (K, 3).
    """
    hematoxylin = STAIN_VECTORS["hematoxylin"]
    if len(density) >= FEWEST_NUCLEI:
        hue = (density[:, 2] - density[:, 0]) / np.maximum(density.sum(axis=1), 1e-6)
        bluest = density[hue <= np.quantile(hue, BLUEST_SHARE)].sum(axis=0)
        if bluest[0] > bluest[2]:
            hematoxylin = bluest / np.linalg.norm(bluest)
    return np.stack([hematoxylin, STAIN_VECTORS["dab"]])


def dab_density(density: np.ndarray, background: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """DAB density of nuclei above their surroundings, by colour deconvolution (Ruifrok & Johnston 2001).

    Args:
        density: mean optical density of each nucleus, (K, 3).
        background: optical density between the nuclei, (3,) or (K, 3).
        vectors: unit densities of hematoxylin and DAB, (2, 3); the third vector is their cross product.

    Returns:
        density along the DAB vector, (K,); negative where a nucleus is less brown than its surroundings.

    >>> hematoxylin, dab = STAIN_VECTORS["hematoxylin"], STAIN_VECTORS["dab"]
    >>> nuclei = np.stack([0.5 * hematoxylin, 0.3 * hematoxylin + 0.6 * dab])
    >>> print(dab_density(nuclei, np.zeros(3), np.stack([hematoxylin, dab])).round(2) + 0.0)
    [0.  0.6]
    """
    residual = np.cross(*vectors)
    inverse = np.linalg.inv(np.vstack([vectors, residual / np.linalg.norm(residual)]))
    return (np.asarray(density) - background) @ inverse[:, 1]


def slide_staining(density: np.ndarray, glass: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DAB density (K,) of the nuclei of a slide, and its stain vectors (2, 3).

    Args:
        density: mean optical density of all nuclei of the slide, (K, 3).
        glass, background: as `nuclear_density` returns them for each tile, (T, 3); their medians are used.
    """
    vectors = stain_vectors(density - np.median(glass, axis=0))
    return dab_density(density, np.median(background, axis=0), vectors), vectors


def grade_nuclei(patch: Patch, nuclei: Nuclei, thresholds: Sequence[float] = THRESHOLDS) -> Nuclei:
    """Nuclei of a nuclear marker with `dab_od` and `intensity`; stain vectors and background are those of the patch.

    Args:
        patch: the image.
        nuclei: as a route found them.
        thresholds: DAB densities from which a nucleus is 1+, 2+ and 3+.
    """
    density, *levels = nuclear_density(patch, nuclei)
    dab, _ = slide_staining(density, *(level[None] for level in levels))
    return replace(nuclei, dab_od=dab, intensity=np.digitize(dab, thresholds))


def staining_scores(counts: Sequence[Sequence[int]] | np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Positivity, H-score and Allred score of pooled tiles, with block-bootstrap intervals over the tiles.

    H-score: 1 x % of 1+ nuclei, 2 x % of 2+ and 3 x % of 3+ (McCarty et al., Arch. Pathol. Lab. Med. 109 (1985)).
    Allred score: proportion (0 to 5) plus mean intensity of the positive nuclei (0 to 3), 0 or 2 to 8 (Harvey et al.,
    J. Clin. Oncol. 17 (1999)).

    Args:
        counts: nuclei of intensity 0, 1+, 2+ and 3+ in each tile, (B, 4).
        seed: random seed of the bootstrap.

    Returns:
        n, counts (4,), positivity in percent, h_score (0 to 300), allred (0 to 8), and positivity_ci95, h_score_ci95;
        scores are NaN without nuclei, intervals without at least two tiles that have nuclei.

    >>> scores = staining_scores([[8, 1, 1, 0], [6, 2, 0, 2]])
    >>> scores["positivity"], scores["h_score"], scores["allred"]
    (30.0, 55.0, 5)
    """
    table = np.asarray(counts, np.float64).reshape(-1, 4)
    table = table[table.sum(axis=1) > 0]
    total = table.sum(axis=0, keepdims=True)
    scores: dict[str, Any] = {"n": int(total.sum()), "counts": total[0].astype(int).tolist()}
    draws = resampled_sums(table, seed) if len(table) > 1 else np.full((1, 4), np.nan)
    for name, weights in (("positivity", (0, 1, 1, 1)), ("h_score", (0, 1, 2, 3))):
        value, drawn = (100 * sums @ weights / np.maximum(sums.sum(axis=1), 1) for sums in (total, draws))
        scores[name] = float(value[0]) if total.sum() else np.nan
        scores[f"{name}_ci95"] = np.percentile(drawn, [2.5, 97.5]).tolist()
    return scores | {"allred": allred_score(total[0])}


def allred_score(counts: np.ndarray) -> int:
    """Allred score (0 to 8) of the numbers of nuclei of intensity 0, 1+, 2+ and 3+."""
    positive = counts[1:].sum()
    if not positive:
        return 0
    share, mean = positive / counts.sum(), counts[1:] @ (1, 2, 3) / positive
    return int(np.searchsorted(ALLRED_SHARES, share, "right")) + int(np.floor(mean + 0.5))


def read_regions(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Named polygons of a GeoJSON file of QuPath annotations, in pixels of the slide, holes included.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a GeoJSON file of regions, found nothing")
    regions: dict[str, list[np.ndarray]] = {}
    with reading(path, "GeoJSON with polygons", ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(path.read_text("utf-8"))
        for number, feature in enumerate(content if isinstance(content, list) else content["features"], 1):
            properties, geometry = feature.get("properties") or {}, feature["geometry"]
            name = properties.get("name") or (properties.get("classification") or {}).get("name") or f"region {number}"
            if geometry["type"] not in ("Polygon", "MultiPolygon"):
                raise ValueError(f"a {geometry['type']}")
            polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
            rings = [np.array(ring, float).reshape(-1, 2) - 0.5 for polygon in polygons for ring in polygon]
            regions.setdefault(name, []).extend(rings)
    return regions
