"""Cost of HoVer-Net's maps per square millimetre: `python tests/benchmarks/bench_inference.py`.

The rival is the published procedure: windows of 256 px with an output of 164 px, in batches, in float32. Times are CPU
times of the same image in one run, with random weights. The comparison of nuclei at lower precision needs a trained
network: pass its file with --weights, else a narrow one is first trained on phantom tissue for two minutes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from histolib.config import profile
from histolib.data import PanNuke, phantom
from histolib.imaging import Patch
from histolib.metrics import detection_scores
from histolib.nuclei import HoVerNet, find_nuclei, predict_maps, train_hovernet
from histolib.nuclei.inference import mirrored

WINDOW, KEPT, BATCH = 256, 164, 4
MPP = 0.25


def published(net: HoVerNet, image: np.ndarray) -> dict[str, np.ndarray]:
    """Maps from windows of 256 px side by side."""
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


def trained_on_phantom(folder: Path) -> HoVerNet:
    """A narrow network, trained on phantom tissue as on the quick profile."""
    samples = PanNuke(phantom.write_pannuke(folder / "pannuke", 40), folds=(1, 2))
    settings = replace(profile("quick").hovernet, types=tuple(samples.types.values()))
    train_hovernet(samples, settings, folder, progress=False)
    return HoVerNet.load(folder / "hovernet.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=656, help="pixels of the image to time, best a multiple of 164")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--weights", type=Path, help="trained network by which precisions are compared")
    options = parser.parse_args()
    image = phantom.draw(3, options.side, MPP).he.image
    area = image.shape[0] * image.shape[1] * MPP**2 / 1e6
    torch.manual_seed(0)
    net = HoVerNet("fast", 6, options.width).eval()
    ours = {"float32": None, "bfloat16": torch.bfloat16}
    rival = seconds(lambda: published(net, image))
    print(f"windows of {WINDOW} px: {rival / area:.0f} s a mm² on {torch.get_num_threads()} threads", flush=True)
    for name, autocast in ours.items():
        cost = seconds(lambda autocast=autocast: predict_maps(image, net, autocast=autocast))
        print(f"ours, {name}: {cost / area:.0f} s a mm², {rival / cost:.1f}x", flush=True)

    whole, tiled = (predict_maps(image[:400, :400], net, tile_px=side) for side in (1024, 256))
    worst = max(float(np.abs(whole[name] - tiled[name]).max()) for name in ("np", "hv"))
    print(f"stitched against whole, 400 px: maps differ by at most {worst:.0e}")

    with tempfile.TemporaryDirectory() as folder:
        trained = HoVerNet.load(options.weights) if options.weights else trained_on_phantom(Path(folder))
    patches = [phantom.draw(5, 512, MPP, slide=slide).he for slide in range(8)]
    for name, autocast in ours.items():
        pooled = np.zeros(3, int)
        for patch in patches:
            one, other = nuclei(trained, patch, None), nuclei(trained, patch, autocast)
            scores = detection_scores(other, one, 1.0)
            pooled += scores["tp"], scores["fp"], scores["fn"]
        tp, fp, fn = pooled
        print(f"centroids of {name} against float32, 1 µm: F1 {2 * tp / (2 * tp + fp + fn):.4f} of {tp + fn} nuclei")


def nuclei(net: HoVerNet, patch: Patch, autocast: torch.dtype | None) -> np.ndarray:
    return find_nuclei(patch, net, autocast=autocast)[["x", "y"]].to_numpy() * patch.mpp


if __name__ == "__main__":
    main()
