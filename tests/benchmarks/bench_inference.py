"""Cost of HoVer-Net's maps per square millimetre: `python tests/benchmarks/bench_inference.py`.

The rival is the published procedure: windows of 256 px with an output of 164 px, in batches, in float32. Times are CPU
times of the same image in one run, with random weights. The nuclei found at lower precision are compared with the
pretrained network.
"""

import numpy as np
import torch
from common import options, seconds

from histolib.data import phantom
from histolib.ensemble import Models
from histolib.metrics import detection_scores
from histolib.nuclei import HoVerNet, find_nuclei, predict_maps

WINDOW, KEPT, BATCH = 256, 164, 4
MPP = 0.25
OURS = {"float32": None, "bfloat16": torch.bfloat16}


def published(net: HoVerNet, image: np.ndarray) -> dict[str, np.ndarray]:
    """Maps from windows of 256 px side by side."""
    height, width = image.shape[:2]
    margin = (WINDOW - KEPT) // 2
    sides = [(margin, margin + -side % KEPT) for side in (height, width)]
    padded = torch.from_numpy(np.pad(image, [*sides, (0, 0)], mode="reflect")).permute(2, 0, 1)
    maps = {"np": np.zeros((height, width), np.float32), "hv": np.zeros((height, width, 2), np.float32)}
    places = [(top, left) for top in range(0, height, KEPT) for left in range(0, width, KEPT)]
    with torch.inference_mode():
        for start in range(0, len(places), BATCH):
            some = places[start : start + BATCH]
            windows = [padded[:, top : top + WINDOW, left : left + WINDOW] for top, left in some]
            logits = net(torch.stack(windows).float() / 255)
            found = {"np": logits["np"].softmax(1)[:, 1], "hv": logits["hv"].permute(0, 2, 3, 1)}
            for name, values in found.items():
                for (top, left), value in zip(some, values.numpy(), strict=True):
                    place = maps[name][top : top + KEPT, left : left + KEPT]
                    place[:] = value[: place.shape[0], : place.shape[1]]
    return maps


def main() -> None:
    args = options(__doc__, side=656, width=1.0)
    image = phantom.draw(3, args.side, MPP).he.image
    area = args.side**2 * MPP**2 / 1e6
    torch.manual_seed(0)
    net = HoVerNet("fast", 6, args.width).eval()
    (rival,) = seconds(lambda: published(net, image))
    print(f"windows of {WINDOW} px: {rival / area:.0f} s a mm² on {torch.get_num_threads()} threads", flush=True)
    for name, autocast in OURS.items():
        (cost,) = seconds(lambda autocast=autocast: predict_maps(image, net, autocast=autocast))
        print(f"ours, {name}: {cost / area:.0f} s a mm², {rival / cost:.1f}x", flush=True)

    trained, pooled = Models(precision=torch.float32).load("selftrained"), np.zeros(3, int)
    for patch in (phantom.draw(5, 512, MPP, slide=slide).ihc for slide in range(8)):
        exact, rough = (
            find_nuclei(patch, trained, autocast=autocast)[["x", "y"]].to_numpy() * MPP for autocast in OURS.values()
        )
        scores = detection_scores(rough, exact, 1.0)
        pooled += scores["tp"], scores["fp"], scores["fn"]
    tp, fp, fn = pooled
    print(f"centroids of bfloat16 against float32, 1 µm: F1 {2 * tp / (2 * tp + fp + fn):.4f} of {tp + fn} nuclei")


if __name__ == "__main__":
    main()
