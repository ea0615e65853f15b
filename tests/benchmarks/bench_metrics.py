"""Time of the metrics against reference implementations in the same run: `python tests/benchmarks/bench_metrics.py`.

The largest input runs first, because the peak memory of a process never falls. Compare ratios between machines.
"""

import time

import numpy as np
from common import options, peak_mb, seconds
from scipy.spatial import cKDTree

from histolib.metrics import match_points, segmentation_scores
from histolib.metrics.instances import typed_quality

PER_MM2, RADIUS_UM = 4500, 3.0


def detections(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Annotated points at tissue density; predictions with 1 µm noise, 15 % of them at random places."""
    rng = np.random.default_rng(seed)
    side_um = 1000 * np.sqrt(count / PER_MM2)
    true = rng.uniform(0, side_um, (count, 2))
    astray = rng.random((count, 1)) < 0.15
    pred = np.where(astray, rng.uniform(0, side_um, (count, 2)), true + rng.normal(0, 1, (count, 2)))
    return rng.permutation(pred), true


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


def nuclei_maps(size: int = 1000, across: int = 32, seed: int = 0) -> list[np.ndarray]:
    """Two label maps (size, size) of across² discs with different radii and shifted centres."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    row, column = y * across // size, x * across // size
    maps = []
    for _ in range(2):
        centre = (np.stack([row, column]) + 0.5) * size / across + rng.normal(0, 2, (2, across, across))[:, row, column]
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < rng.uniform(9, 13, (across, across))[row, column] ** 2
        maps.append(np.where(inside, row * across + column + 1, 0).astype(np.int32))
    return maps


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
    args = options(__doc__, points=1_000_000, repeats=5)
    points, hits = detections(args.points), []
    before = peak_mb()
    (ours,) = seconds(lambda: hits.append(len(match_points(*points, RADIUS_UM).pred)), clock=time.perf_counter)
    print(f"match {args.points:,} x {args.points:,} points: {ours:.2f} s, {peak_mb():.0f} MB ({before:.0f} before)")
    (greedy,) = seconds(lambda: hits.append(greedy_match(*points)), clock=time.perf_counter)
    print(f"  greedy over a KD-tree: {greedy:.2f} s, {greedy / ours:.2f}x ours, {hits[0] - hits[1]:,} pairs fewer")

    first, second = nuclei_maps()
    types = np.arange(first.max()) % 5 + 1
    (rival,) = seconds(lambda: one_mask_per_nucleus(first, second))
    scores, quality = seconds(
        lambda: segmentation_scores(first, second),
        lambda: typed_quality(first, types, second, types, 6),
        repeats=args.repeats,
    )
    print(f"1000 x 1000 px, {len(types):,} nuclei; one mask per nucleus: {1e3 * rival:.0f} ms")
    for name, cost in (("segmentation_scores", scores), ("typed_quality", quality)):
        print(f"  {name}: {1e3 * cost:.1f} ms, rival / ours {rival / cost:.0f}")


if __name__ == "__main__":
    main()
