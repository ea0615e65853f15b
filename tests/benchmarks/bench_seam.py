"""Tiling and upsampling artefacts of a translation, in 8-bit levels: `python tests/benchmarks/bench_seam.py`.

A small generator is trained on phantom tissue for a few steps. A large patch is then translated in one piece, in tiles
with held statistics, in tiles with their own instance norm statistics, and in such tiles blended over half their width.
The spectrum shows checkerboards, compared with a generator that has the published transposed convolutions.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import nn

from histolib.config import profile
from histolib.data import phantom
from histolib.imaging import Patch, windows
from histolib.translation import Generator, cyclegan, train_cyclegan, translate

TILE_PX = 256
SETTINGS = replace(profile("quick").cyclegan, discriminator_width=16, content_limit=-1.0)


class Published(Generator):
    """The generator with the transposed convolutions of the paper."""

    def __init__(self, width: int = 64, blocks: int = 9, on_od: bool = False) -> None:
        super().__init__(width, blocks, on_od)
        for i, channels in ((0, 4 * width), (3, 2 * width)):
            self.decoder[i] = nn.ConvTranspose2d(channels, channels // 2, 3, 2, 1, output_padding=1, bias=False)
            nn.init.normal_(self.decoder[i].weight, 0.0, 0.02)


def trained(kind: type[Generator], warm_steps: int, steps: int) -> Generator:
    samples = [phantom.draw(0, 200, 0.5, slide=slide) for slide in range(12)]
    settings = replace(SETTINGS, warm_steps=warm_steps, steps=steps)
    published, cyclegan.Generator = cyclegan.Generator, kind
    try:
        with tempfile.TemporaryDirectory() as folder:
            train_cyclegan([s.ihc for s in samples[:6]], [s.he for s in samples[6:]], settings, folder, progress=False)
            return kind.load(f"{folder}/ihc_to_he.safetensors")
    finally:
        cyclegan.Generator = published


def tiles(size: int, step: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, size - TILE_PX + 1, step):
        for left in range(0, size - TILE_PX + 1, step):
            yield np.s_[top : top + TILE_PX], np.s_[left : left + TILE_PX]


def own_statistics(patch: Patch, generator: Generator, step: int) -> np.ndarray:
    """Tiles translated one by one; where they overlap, blended by weights that fall linearly to their edges."""
    ramp = np.minimum(np.arange(TILE_PX), np.arange(TILE_PX)[::-1]) + 1.0
    weight = np.outer(ramp, ramp)[..., None] if step < TILE_PX else np.ones((TILE_PX, TILE_PX, 1))
    total, weights = np.zeros(patch.image.shape), np.zeros((*patch.image.shape[:2], 1))
    for place in tiles(patch.image.shape[0], step):
        tile = replace(patch, image=np.ascontiguousarray(patch.image[place]))
        total[place] += weight * translate(tile, generator).image
        weights[place] += weight
    return total / weights


def jumps(image: np.ndarray, borders: list[int]) -> tuple[float, float]:
    """Mean step between neighbouring columns at the borders of tiles, and elsewhere."""
    steps = np.abs(np.diff(image.astype(float), axis=1)).mean(axis=(0, 2))
    at = np.isin(np.arange(1, image.shape[1]), borders)
    return steps[at].mean(), steps[~at].mean()


def checkerboard(image: np.ndarray) -> float:
    """Largest excess in dB of the spectrum at periods of 2 and 4 px over its neighbourhood (0: none)."""
    grey = image.astype(float).mean(axis=2)
    size = grey.shape[0] // 4 * 4
    taper = np.hanning(size)
    power = np.abs(np.fft.fft2((grey[:size, :size] - grey.mean()) * np.outer(taper, taper))) ** 2
    excess = []
    for row, column in ((a * size // 4, b * size // 4) for a in range(3) for b in range(3) if a or b):
        around = power[np.ix_(*(np.arange(c - 12, c + 13) % size for c in (row, column)))]
        ring = np.ones((25, 25), bool)
        ring[9:16, 9:16] = False  # the taper spreads a peak over a few bins
        excess.append(around[11:14, 11:14].mean() / np.median(around[ring]))
    return 10 * np.log10(max(excess))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024, help="side of the patch in px, a multiple of 256")
    parser.add_argument("--warm-steps", type=int, default=100)
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    patch = phantom.draw(3, arguments.side, SETTINGS.mpp, slide=40).ihc
    generator = trained(Generator, arguments.warm_steps, arguments.steps)
    whole = translate(patch, generator, tile_px=arguments.side).image
    kept = [window.keep[1] for window in windows(patch.image.shape[:2], TILE_PX, generator.reach_px)]
    ours = sorted({left for left in kept if left})
    naive = list(range(TILE_PX, arguments.side, TILE_PX))
    ways = {
        "whole": (whole, naive),
        "ours: held statistics": (translate(patch, generator, tile_px=TILE_PX).image, ours),
        "own statistics": (own_statistics(patch, generator, TILE_PX), naive),
        "own statistics, blended": (own_statistics(patch, generator, TILE_PX // 2), naive),
    }
    print(f"{arguments.side} px in tiles of {TILE_PX} px, levels of 255")
    titles = f"{'jump at borders':>17}{'elsewhere':>11}{'ratio':>7}{'whole':>7}"
    print(f"{'way':<26}{'off whole: mean':>16}{'worst':>8}{titles}")
    for name, (image, borders) in ways.items():
        off = np.abs(image.astype(float) - whole)
        (at, elsewhere), (same, rest) = jumps(image, borders), jumps(whole, borders)
        print(
            f"{name:<26}{off.mean():16.2f}{off.max():8.0f}{at:17.2f}{elsewhere:11.2f}{at / elsewhere:7.2f}"
            f"{same / rest:7.2f}"
        )
    generator = trained(Published, arguments.warm_steps, arguments.steps)
    published = translate(patch, generator, tile_px=arguments.side).image
    print("checkerboard, dB above the spectrum around periods of 2 and 4 px")
    for name, image in (("input", patch.image), ("ours", whole), ("transposed convolutions", published)):
        print(f"{name:<26}{checkerboard(image):6.1f}")


if __name__ == "__main__":
    main()
