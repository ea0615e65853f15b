"""Time of the metrics against reference implementations in the same run: `python tests/benchmarks/bench_metrics.py`.

The largest input runs first, because the peak memory of a process never falls. Compare ratios between machines.
"""

import argparse
import resource
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from histolib.metrics import match_points, segmentation_scores
from histolib.metrics.instances import typed_quality

PER_MM2, RADIUS_UM = 4500, 3.0
DENSE_POINTS = 4000


def seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # Linux counts in KiB


def detections(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Annotated points at tissue density; predictions with 1 µm noise, 15 % of them at random places."""
    rng = np.random.default_rng(seed)
    side_um = 1000 * np.sqrt(count / PER_MM2)
    true = rng.uniform(0, side_um, (count, 2))
    astray = rng.random((count, 1)) < 0.15
    pred = np.where(astray, rng.uniform(0, side_um, (count, 2)), true + rng.normal(0, 1, (count, 2)))
    return rng.permutation(pred), true


def dense_match(pred: np.ndarray, true: np.ndarray) -> int:
    distance = np.linalg.norm(pred[:, None] - true[None], axis=-1)
    rows, columns = linear_sum_assignment(np.where(distance <= RADIUS_UM, distance - 1e6, 0.0))
    return int((distance[rows, columns] <= RADIUS_UM).sum())


def greedy_match(pred: np.ndarray, true: np.ndarray) -> int:
    """Greedy matching, nearest pair first: simple, but not the largest matching."""
    near = cKDTree(pred).sparse_distance_matrix(cKDTree(true), RADIUS_UM, output_type="ndarray")
    free_pred, free_true, hits = [True] * len(pred), [True] * len(true), 0
    order = np.argsort(near["v"])
    for i, j in zip(near["i"][order].tolist(), near["j"][order].tolist(), strict=True):
        if free_pred[i] and free_true[j]:
            free_pred[i] = free_true[j] = False
            hits += 1
    return hits


def nuclei_maps(size: int = 1000, across: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two label maps (size, size) of across² discs with different radii and shifted centres."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    row, column = y * across // size, x * across // size
    maps = []
    for _ in range(2):
        centre = (np.stack([row, column]) + 0.5) * size / across + rng.normal(0, 2, (2, across, across))[:, row, column]
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < rng.uniform(9, 13, (across, across))[row, column] ** 2
        maps.append((np.where(inside, row * across + column + 1, 0)).astype(np.int32))
    return maps[0], maps[1]


def one_mask_per_nucleus(pred: np.ndarray, true: np.ndarray) -> list[float]:
    """IoU of overlapping pairs with one pass over the image per nucleus, as in the published evaluation."""
    masks = [pred == i for i in range(1, pred.max() + 1)]
    found = []
    for i in range(1, true.max() + 1):
        mask = true == i
        for j in np.unique(pred[mask]):
            if j:
                shared = (mask & masks[j - 1]).sum()
                found.append(shared / (mask.sum() + masks[j - 1].sum() - shared))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    count = arguments.points

    pred, true = detections(count)
    before = peak_gb()
    start = time.perf_counter()
    hits = len(match_points(pred, true, RADIUS_UM).pred)
    ours = time.perf_counter() - start
    print(f"match {count:,} x {count:,} points, {RADIUS_UM} µm, {PER_MM2:,} per mm²: {hits:,} pairs")
    print(f"  ours                     {ours:9.2f} s, peak of the process {peak_gb():.2f} GB ({before:.2f} before)")
    start = time.perf_counter()
    fewer = hits - greedy_match(pred, true)
    greedy = time.perf_counter() - start
    print(f"  greedy over a KD-tree    {greedy:9.2f} s, {greedy / ours:.2f} times ours, {fewer:,} pairs fewer")
    few = detections(DENSE_POINTS)
    dense, same = seconds(lambda: dense_match(*few), 3), seconds(lambda: match_points(*few, RADIUS_UM), 3)
    scale = (count / DENSE_POINTS) ** 2
    print(f"  dense, {DENSE_POINTS:,} points      {dense:9.2f} s, {dense / same:.0f} times ours ({1e3 * same:.1f} ms)")
    print(
        f"  dense, {count:,} points, extrapolated quadratically from {DENSE_POINTS:,} (a lower bound): "
        f"{dense * scale / 3600:,.1f} h, {8e-12 * count**2:.1f} TB per matrix"
    )

    first, second = nuclei_maps()
    types = np.arange(first.max()) % 5 + 1
    rival = seconds(lambda: one_mask_per_nucleus(first, second), 1)
    print(f"1000 x 1000 px, {len(types):,} nuclei")
    print(f"  one mask per nucleus     {1e3 * rival:9.1f} ms")
    for name, work in (
        ("segmentation_scores", lambda: segmentation_scores(first, second)),
        ("typed_quality", lambda: typed_quality(first, types, second, types, 6)),
    ):
        ours = seconds(work, arguments.repeats)
        print(f"  {name:<24} {1e3 * ours:9.1f} ms, rival / ours {rival / ours:.0f}")


if __name__ == "__main__":
    main()
