"""A phantom tile in both stains with its exact ground truth."""

from dataclasses import dataclass

import numpy as np

from ...imaging import Patch
from .render import Raster, rasterise, render_he, render_ihc
from .settings import draw_style
from .tissue import lay_out


@dataclass(frozen=True, slots=True)
class PhantomSample:
    """The same tissue in two stains, with its nuclei.

    Attributes:
        he, ihc: the tile in H&E and in IHC, aligned to the pixel.
        instances: int32 (H, W), ids 1 to K of the visible regions; an upper nucleus hides the lower one.
        types: (K,) in PanNuke's numbers: 1 neoplastic, 2 inflammatory, 3 connective, 4 dead, 5 epithelial.
        xy: centroids of the visible regions in pixels, shape (K, 2).
        grade: (K,) DAB intensity 0 to 3 of the nucleus or of the cell membrane.
    """

    he: Patch
    ihc: Patch
    instances: np.ndarray
    types: np.ndarray
    xy: np.ndarray
    grade: np.ndarray


def draw(
    seed: int, size_px: int = 256, mpp: float = 0.25, marker: str = "nuclear", slide: int = 0, tile: int = 0,
    tissue: str | None = None, level: int | None = None,
) -> PhantomSample:  # fmt: skip
    """Draw a tile of synthetic tissue; equal arguments give equal bytes.

    The style of the slide (stains, thickness, scanner, crowding, positivity) depends on (seed, slide), the layout of
    the tissue on (seed, slide, tile). The layout is in microns: with half the `mpp` and twice the `size_px` it stays
    the same.

    Args:
        seed: random seed of the whole set, >= 0.
        size_px: side of the square tile, >= 8.
        mpp: microns per pixel.
        marker: "nuclear" (ER, PR: brown nuclei) or "membrane" (HER2: brown membranes).
        slide: number of the slide, >= 0.
        tile: number of the tile on its slide, >= 0.
        tissue: one of PanNuke's 19 names; the slide's choice when None.
        level: HER2 level 0 to 3 of the slide; the slide's choice when None.

    >>> tile = draw(seed=0, size_px=100, mpp=0.5)
    >>> tile.ihc.size_um, tile.instances.shape, len(tile.xy) == len(tile.types)
    ((50.0, 50.0), (100, 100), True)
    """
    raster, rng = prepare(seed, size_px, mpp, marker, slide, tile, tissue, level)
    name = f"phantom_{seed}_{slide}_{tile}"
    he = Patch(render_he(raster, rng), mpp, f"{name}_he")
    ihc = Patch(render_ihc(raster, rng), mpp, f"{name}_ihc")
    return PhantomSample(he, ihc, raster.instances, raster.types, raster.xy, raster.grade)


def prepare(
    seed: int, size_px: int, mpp: float, marker: str, slide: int, tile: int, tissue: str | None = None,
    level: int | None = None,
) -> tuple[Raster, np.random.Generator]:  # fmt: skip
    """A tile without its images, for writers of one stain, and the generator of image noise; arguments as `draw`."""
    style = draw_style(np.random.default_rng([seed, slide]), marker, tissue, level)
    scene = lay_out(np.random.default_rng([seed, slide, 1, tile]), style, size_px * mpp)
    return rasterise(scene, style, size_px, mpp, marker), np.random.default_rng([seed, slide, 2, tile])
