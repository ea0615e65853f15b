"""CPU time of post-processing, from maps to a table of nuclei: `python tests/benchmarks/bench_postprocess.py`.

The baseline is the published procedure: a watershed of the whole image, then one pass over it per nucleus. Both use one
thread and alternate.
"""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from common import options, seconds

from histolib.nuclei import describe_instances, hover_targets, postprocess

PITCH = 31  # px between nuclei: 1,024 of them on 1000 x 1000 px
published_watershed = runpy.run_path(str(Path(__file__).parents[1] / "nuclei/published.py"))["published_watershed"]


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


def one_pass_each(prob: np.ndarray, hv: np.ndarray, types: np.ndarray) -> pd.DataFrame:
    instances = published_watershed(prob, hv)
    rows = []
    for i in np.unique(instances)[1:]:
        mask = instances == i
        down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = np.s_[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        crop = mask[box].astype(np.uint8)
        moments = cv2.moments(crop)
        contour = cv2.findContours(crop, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0][0]
        kinds, votes = np.unique(types[box][crop > 0], return_counts=True)
        x, y = moments["m10"] / moments["m00"] + across[0], moments["m01"] / moments["m00"] + down[0]
        rows.append((x, y, contour, kinds[votes.argmax()], votes.max() / crop.sum()))
    return pd.DataFrame(rows, columns=["x", "y", "contour", "type", "type_prob"])


def main() -> None:
    repeats = options(__doc__, repeats=5).repeats
    cv2.setNumThreads(1)
    drawn = maps(1000)
    cost, rival = seconds(lambda: ours(*drawn), lambda: one_pass_each(*drawn), repeats=repeats)
    same = np.array_equal(postprocess(*drawn[:2]), published_watershed(*drawn[:2]))
    worst = np.abs(ours(*drawn)[["x", "y"]].to_numpy() - one_pass_each(*drawn)[["x", "y"]].to_numpy()).max()
    print(f"1000 px: whole image and one pass per nucleus {rival:.3f} s, {rival / cost:.1f}x ours; ", end="")
    print(f"label maps {'equal' if same else 'DIFFER'}, centres differ by {worst:.0e} px", flush=True)
    for side in (1000, 2000, 4000):
        drawn, found = maps(side), len(ours(*maps(side)))
        (cost,) = seconds(lambda drawn=drawn: ours(*drawn), repeats=repeats)
        print(f"{side} px: {found} nuclei in {cost:.3f} s, {1e6 * cost / found:.0f} µs per nucleus", flush=True)


if __name__ == "__main__":
    main()
