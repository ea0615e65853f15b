"""Cost of the main operations, each beside a rival in the same run: `python tests/benchmarks/bench_operations.py`.

Times are medians of a few repeats; only the ratios are comparable between machines.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import torch

from histolib.data import phantom
from histolib.imaging import Patch
from histolib.nuclei import HoVerNet, describe_instances, detect_log, hover_targets, predict_maps
from histolib.translation import Generator, StainReference, recolour_od, translate


def seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def one_mask_each(instances: np.ndarray) -> list[np.ndarray]:
    return [np.argwhere(instances == i).mean(axis=0) for i in range(1, instances.max() + 1)]


def operations() -> Iterator[tuple[str, Callable[[], object], str, Callable[[], object]]]:
    """Name, work, name of the rival, its work."""
    sample = phantom.draw(0, 512, 0.25, slide=2)
    labels = sample.instances
    yield (
        f"describe {labels.max()} nuclei, 512 px",
        lambda: describe_instances(labels),
        "one pass over the image per nucleus",
        lambda: one_mask_each(labels),
    )
    yield (
        f"targets, {labels.max()} nuclei, 512 px",
        lambda: hover_targets(labels),
        "one pass over the image per nucleus",
        lambda: one_mask_each(labels),
    )
    net, generator = HoVerNet("fast", 6, 0.25).eval(), Generator(16, 6).eval()
    image, patch = sample.ihc.image, Patch(sample.ihc.image, 0.25)

    def published_windows() -> None:
        padded = np.pad(image, ((46, 300), (46, 300), (0, 0)), mode="reflect")
        with torch.inference_mode():
            for top in range(0, 512, 164):
                for left in range(0, 512, 164):
                    window = torch.from_numpy(padded[top : top + 256, left : left + 256]).permute(2, 0, 1)[None] / 255
                    net(window)

    yield (
        "HoVer-Net maps, width 1/4, 512 px",
        lambda: predict_maps(image, net),
        "256 px windows, 164 out",
        published_windows,
    )
    yield (
        "CycleGAN, 16 channels, 512 px, in tiles",
        lambda: translate(patch, generator, tile_px=256),
        "whole image",
        lambda: translate(patch, generator),
    )
    reference = StainReference.fit([sample.he])
    yield (
        "log detector, 512 px",
        lambda: detect_log(patch),
        "od recolouring",
        lambda: recolour_od(patch, reference),
    )
    yield (
        "phantom, both stains, 256 px",
        lambda: phantom.draw(1, 256, 0.25),
        "four times the area",
        lambda: phantom.draw(1, 512, 0.25),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{'operation':<42} {'ms':>9}  {'rival':<34} {'ms':>9}  {'rival / ours':>12}")
    for name, work, rival, other in operations():
        work()
        ours, theirs = seconds(work, repeats), seconds(other, repeats)
        print(f"{name:<42} {1e3 * ours:9.1f}  {rival:<34} {1e3 * theirs:9.1f}  {theirs / ours:12.2f}")


if __name__ == "__main__":
    main()
