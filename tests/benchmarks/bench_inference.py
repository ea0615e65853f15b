"""Cost of HoVer-Net's maps a square millimetre: `python tests/benchmarks/bench_inference.py`.

The rival is the published procedure: windows of 256 px that each give 164, in batches, float32, the network as it is
trained. Times are CPU times of the same image in one run, with weights that are random, on which they do not depend.
Whether lower precision finds the same nuclei needs a network that finds some: pass its file with --weights, else one of
an eighth of the width learns from phantom tissue for two minutes first.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from histolib import recipes
from histolib.config import profile
from histolib.data import PanNuke, phantom
from histolib.imaging import Patch
from histolib.metrics import detection_scores
from histolib.nuclei import HoVerNet, find_nuclei, load_hovernet, predict_maps
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


def learnt(folder: Path) -> tuple[HoVerNet, dict]:
    """A narrow network that has learnt from phantom tissue as on the quick profile."""
    samples = PanNuke(phantom.write_pannuke(folder / "pannuke", 40), folds=(1, 2))
    settings = recipes.hover_settings(profile("quick"), samples.types)
    recipes.train_hovernet(samples, settings, folder, progress=False)
    return load_hovernet(folder / "hovernet.safetensors")


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
        cost = seconds(lambda autocast=autocast: predict_maps(net, image, autocast=autocast))
        print(f"ours, {name}: {cost / area:.0f} s a mm², {rival / cost:.1f}x", flush=True)

    whole, tiled = (predict_maps(net, image[:400, :400], tile_px=side) for side in (1024, 256))
    worst = max(float(np.abs(whole[name] - tiled[name]).max()) for name in ("np", "hv"))
    print(f"stitched against whole, 400 px: maps differ by at most {worst:.0e}")

    with tempfile.TemporaryDirectory() as folder:
        trained, card = load_hovernet(options.weights) if options.weights else learnt(Path(folder))
    patches = [phantom.draw(5, 512, MPP, slide=slide).he for slide in range(8)]
    for name, autocast in ours.items():
        pooled = np.zeros(3, int)
        for patch in patches:
            one, other = nuclei(trained, card, patch, None), nuclei(trained, card, patch, autocast)
            scores = detection_scores(other, one, 1.0)
            pooled += scores["tp"], scores["fp"], scores["fn"]
        tp, fp, fn = pooled
        print(f"centroids of {name} against float32, 1 µm: F1 {2 * tp / (2 * tp + fp + fn):.4f} of {tp + fn} nuclei")


def nuclei(net: HoVerNet, card: dict, patch: Patch, autocast: torch.dtype | None) -> np.ndarray:
    found = find_nuclei(patch, net, card["mpp"], autocast=autocast, thresholds=card["thresholds"])
    return found[["x", "y"]].to_numpy() * patch.mpp


if __name__ == "__main__":
    main()
