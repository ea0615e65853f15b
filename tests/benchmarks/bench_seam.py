"""Seams of a translation in tiles, in 8-bit levels: `python tests/benchmarks/bench_seam.py`.

A small generator is trained on phantom tissue for a few steps. A large patch is then translated in one piece, in tiles
with held statistics, and in tiles with their own instance norm statistics.
"""

import tempfile
from dataclasses import replace

import numpy as np
from common import options

from histolib.config import profile
from histolib.data import phantom
from histolib.imaging import Patch, windows
from histolib.translation import Generator, train_cyclegan, translate

TILE_PX = 256
SETTINGS = replace(profile("quick").cyclegan, discriminator_width=16, content_limit=-1.0)


def trained(warm_steps: int, steps: int) -> Generator:
    samples = [phantom.draw(0, 200, 0.5, slide=slide) for slide in range(12)]
    settings = replace(SETTINGS, warm_steps=warm_steps, steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        train_cyclegan([s.ihc for s in samples[:6]], [s.he for s in samples[6:]], settings, folder, progress=False)
        return Generator.load(f"{folder}/ihc_to_he.safetensors")


def own_statistics(patch: Patch, generator: Generator) -> np.ndarray:
    """Tiles translated one by one."""
    whole = np.zeros_like(patch.image)
    for top, left in np.ndindex(*(side // TILE_PX for side in patch.image.shape[:2])):
        place = np.s_[top * TILE_PX : (top + 1) * TILE_PX, left * TILE_PX : (left + 1) * TILE_PX]
        whole[place] = translate(replace(patch, image=patch.image[place].copy()), generator).image
    return whole


def jumps(image: np.ndarray, borders: list[int]) -> tuple[float, float]:
    """Mean step between neighbouring columns at the borders of tiles, and elsewhere."""
    steps = np.abs(np.diff(image.astype(float), axis=1)).mean(axis=(0, 2))
    at = np.isin(np.arange(1, image.shape[1]), borders)
    return steps[at].mean(), steps[~at].mean()


def main() -> None:
    args = options(__doc__, side=1024, warm_steps=100, steps=40)
    patch = phantom.draw(3, args.side, SETTINGS.mpp, slide=40).ihc
    generator = trained(args.warm_steps, args.steps)
    whole = translate(patch, generator, tile_px=args.side).image
    kept = {window.keep[1] for window in windows(patch.image.shape[:2], TILE_PX, generator.reach_px)}
    naive = list(range(TILE_PX, args.side, TILE_PX))
    ways = {
        "whole": (whole, naive),
        "ours: held statistics": (translate(patch, generator, tile_px=TILE_PX).image, sorted(kept - {0})),
        "own statistics": (own_statistics(patch, generator), naive),
    }
    print(f"{'way':<22}{'off whole: mean':>16}{'worst':>7}{'jump at borders':>17}{'elsewhere':>11}{'ratio':>7}")
    for name, (image, borders) in ways.items():
        off, (at, elsewhere) = np.abs(image.astype(float) - whole), jumps(image, borders)
        print(f"{name:<22}{off.mean():16.2f}{off.max():7.0f}{at:17.2f}{elsewhere:11.2f}{at / elsewhere:7.2f}")


if __name__ == "__main__":
    main()
