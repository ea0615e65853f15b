"""CPU time of post-processing, from maps to a table of nuclei: `python tests/benchmarks/bench_postprocess.py`.

The baseline is the published procedure: a watershed of the whole image, then one pass over it per nucleus. Both use one
thread and alternate. CPU time depends less on the load of the machine than wall time.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.segmentation import watershed

from histolib.nuclei import describe_instances, hover_targets, postprocess

PITCH = 31  # px between nuclei: 1,024 of them on 1000 x 1000 px


def maps(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Touching and free nuclei in a jittered grid: probability, distances with some noise, types."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    column, row = x // PITCH, y // PITCH
    count = -(-side // PITCH)
    radius = rng.uniform(10, 15.5, (count, count))
    shift = rng.uniform(-2, 2, (2, count, count))
    dx = x - (column + 0.5) * PITCH - shift[0, row, column]
    dy = y - (row + 0.5) * PITCH - shift[1, row, column]
    instances = np.where(dx**2 + dy**2 < radius[row, column] ** 2, row * count + column + 1, 0)
    hv = hover_targets(instances) + rng.normal(0, 0.05, (side, side, 2)).astype(np.float32)
    return (instances > 0).astype(np.float32) * 0.9, hv, (instances % 5 + 1) * (instances > 0)


def ours(prob: np.ndarray, hv: np.ndarray, types: np.ndarray) -> pd.DataFrame:
    return describe_instances(postprocess(prob, hv), types)


def separate(prob: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Published procedure: every step on the whole image."""

    def stretch(values: np.ndarray) -> np.ndarray:
        return cv2.normalize(values, None, alpha=0, beta=1, norm_type=cv2.NORM_MINMAX, dtype=cv2.CV_32F)

    def large(labels: np.ndarray) -> np.ndarray:
        return np.where((np.bincount(labels.ravel()) < 10)[labels], 0, labels)

    nuclear = (large(ndimage.label(prob >= 0.5)[0]) > 0).astype(np.int32)
    falls = [1 - stretch(cv2.Sobel(stretch(hv[..., i].copy()), cv2.CV_64F, 1 - i, i, ksize=21)) for i in (0, 1)]
    edges = np.maximum(np.maximum(*falls) - (1 - nuclear), 0)
    basins = -cv2.GaussianBlur((1.0 - edges) * nuclear, (3, 3), 0)
    markers = np.maximum(nuclear - (edges >= 0.4), 0)
    markers = ndimage.binary_fill_holes(markers).astype(np.uint8)
    markers = cv2.morphologyEx(markers, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    return watershed(basins, markers=large(ndimage.label(markers)[0]), mask=nuclear)


def one_pass_each(prob: np.ndarray, hv: np.ndarray, types: np.ndarray) -> list[dict]:
    instances = separate(prob, hv)
    rows = []
    for i in np.unique(instances)[1:]:
        mask = instances == i
        down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = np.s_[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        crop = mask[box].astype(np.uint8)
        moments = cv2.moments(crop)
        contour = cv2.findContours(crop, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0][0]
        kinds, votes = np.unique(types[box][crop > 0], return_counts=True)
        rows.append(
            {
                "x": moments["m10"] / moments["m00"] + across[0],
                "y": moments["m01"] / moments["m00"] + down[0],
                "contour": contour,
                "type": kinds[votes.argmax()],
                "type_prob": votes.max() / crop.sum(),
            }
        )
    return rows


def seconds(*works: Callable[[], object], repeats: int) -> list[float]:
    """Median CPU time of each, measured alternately."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, taken in zip(works, times, strict=True):
            start = time.process_time()
            work()
            taken.append(time.process_time() - start)
    return list(map(median, times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    cv2.setNumThreads(1)
    for side in (1000, 2000, 4000):
        drawn = maps(side)
        found = len(ours(*drawn))
        works = [lambda drawn=drawn: ours(*drawn), lambda drawn=drawn: one_pass_each(*drawn)]
        cost, *rest = seconds(*works[: 2 if side == 1000 else 1], repeats=repeats)
        line = f"{side} px: {found} nuclei in {cost:.3f} s, {1e6 * cost / found:.0f} µs per nucleus"
        if side == 1000:
            rows = one_pass_each(*drawn)
            same = np.array_equal(postprocess(*drawn[:2]), separate(*drawn[:2]))
            centres = ours(*drawn)[["x", "y"]].to_numpy()
            worst = np.abs(centres - [(row["x"], row["y"]) for row in rows]).max()
            line += f"; whole image and one pass per nucleus {rest[0]:.3f} s, {rest[0] / cost:.1f}x ours"
            line += f"; label maps {'equal' if same else 'DIFFER'}, centres differ by {worst:.0e} px"
        print(line, flush=True)


if __name__ == "__main__":
    main()
