"""CPU time of HoVer-Net maps per square millimetre: `python tests/benchmarks/bench_inference.py`.

The baseline is the published procedure: windows of 256 px with outputs of 164 px, in batches, in float32, without
folded batch norms. Both run on the same image in one process, with random weights, which do not affect the time. The
centroids in lower precision are compared with the weights of --weights (default: the pretrained ones).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import histolib
from histolib.data import phantom
from histolib.imaging import Patch
from histolib.metrics.points import PointCounts, count_points
from histolib.nuclei import HoVerNet, find_nuclei, predict_maps
from histolib.nuclei.inference import mirrored

WINDOW, KEPT, BATCH = 256, 164, 4
MPP = 0.25
WEIGHTS = Path(histolib.__file__).parent / "pretrained" / "hovernet" / "hovernet.safetensors"


def published(net: HoVerNet, image: np.ndarray) -> dict[str, np.ndarray]:
    """Maps from adjacent windows of 256 px."""
    margin = (WINDOW - KEPT) // 2
    height, width = image.shape[:2]
    maps = {"np": np.zeros((height, width), np.float32), "hv": np.zeros((height, width, 2), np.float32)}
    places = [(top, left) for top in range(0, height, KEPT) for left in range(0, width, KEPT)]
    with torch.inference_mode():
        for start in range(0, len(places), BATCH):
            some = places[start : start + BATCH]
            windows = [
                image[mirrored(top - margin, WINDOW, height)[:, None], mirrored(left - margin, WINDOW, width)]
                for top, left in some
            ]
            logits = net(torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2).float() / 255)
            found = {"np": logits["np"].softmax(1)[:, 1], "hv": logits["hv"].permute(0, 2, 3, 1)}
            for name, values in found.items():
                for (top, left), value in zip(some, values.numpy(), strict=True):
                    place = maps[name][top : top + KEPT, left : left + KEPT]
                    place[:] = value[: place.shape[0], : place.shape[1]]
    return maps


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--side", type=int, default=656, help="side of the timed image in pixels, preferably a multiple of 164"
    )
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="HoVer-Net weights to compare precisions with")
    options = parser.parse_args()
    image = phantom.draw(3, options.side, MPP).he.image
    area = image.shape[0] * image.shape[1] * MPP**2 / 1e6
    torch.manual_seed(0)
    net = HoVerNet("fast", 6, options.width).eval()
    ours = {"float32": None, "bfloat16": torch.bfloat16}
    baseline = seconds(lambda: published(net, image))
    print(f"windows of {WINDOW} px: {baseline / area:.0f} s per mm² on {torch.get_num_threads()} threads", flush=True)
    for name, autocast in ours.items():
        cost = seconds(lambda autocast=autocast: predict_maps(image, net, autocast=autocast))
        print(f"ours, {name}: {cost / area:.0f} s per mm², {baseline / cost:.1f}x faster", flush=True)

    whole, tiled = (predict_maps(image[:400, :400], net, tile_px=side) for side in (1024, 256))
    worst = max(float(np.abs(whole[name] - tiled[name]).max()) for name in ("np", "hv"))
    print(f"stitched against whole maps, 400 px: largest difference {worst:.0e}")

    trained = HoVerNet.load(options.weights)
    patches = [phantom.draw(5, 512, MPP, slide=slide).he for slide in range(8)]
    for name, autocast in ours.items():
        pooled = PointCounts()
        for patch in patches:
            pooled += count_points(centroids(patch, trained, autocast), centroids(patch, trained, None), 1.0)
        count = pooled.tp + pooled.fn
        print(f"centroids in {name} against float32, 1 µm: F1 {pooled.scores()['f1']:.4f} on {count} nuclei")


def centroids(patch: Patch, net: HoVerNet, autocast: torch.dtype | None) -> np.ndarray:
    """Centroids in microns."""
    return find_nuclei(patch, net, autocast=autocast)[["x", "y"]].to_numpy() * patch.mpp


if __name__ == "__main__":
    main()
