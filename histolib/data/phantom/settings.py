"""Parameters of the phantom's tissues, cells and slides, fitted to real tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np

MARKERS = ("nuclear", "membrane")
NEOPLASTIC, INFLAMMATORY, CONNECTIVE, DEAD, EPITHELIAL = 1, 2, 3, 4, 5
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Structure of a tissue; a range holds the values of different tiles, lengths are in microns.

    Attributes:
        cover: fraction of the area inside glands or nests.
        radius_um: radius of a gland or nest.
        wall_um: height of the epithelium; a gland narrower than this has no lumen.
        pitch_um: distance between neighbouring nuclei of the epithelium.
        nucleus_um: half axes of an epithelial nucleus, the first across the epithelium.
        stroma_um: half axes of a stromal nucleus, the first along the fibres.
        stroma_mm2: stromal nuclei per square millimetre of stroma.
        lymph_mm2: inflammatory nuclei per square millimetre of stroma, in clusters.
        void: fraction of the stroma that is torn, fat or off the section.
        fat: chance that a tile holds fat.
        glass: optical density of the empty slide, per channel.
        hormone: whether the stroma carries the nuclear receptor too.
    """

    cover: Range
    radius_um: Range
    wall_um: Range
    pitch_um: Range
    nucleus_um: Range
    stroma_um: Range
    stroma_mm2: Range
    lymph_mm2: Range
    void: Range
    fat: float = 0.1
    glass: Range = (0.014, 0.032)
    hormone: bool = False


_GLAND = Architecture(
    (0.0, 0.75), (18, 42), (11, 17), (3.4, 5.0), (3.0, 1.95), (2.8, 1.35), (3000, 8000), (0, 18000), (0.0, 0.6)
)
_NEST = replace(_GLAND, radius_um=(16, 45), wall_um=(1e3, 1e3), pitch_um=(5.2, 7.4), nucleus_um=(2.8, 2.2))
_SHEET = replace(
    _NEST, cover=(0.6, 1), radius_um=(35, 60), pitch_um=(6.5, 9), nucleus_um=(2.6, 2.45), lymph_mm2=(0, 2500)
)
_ENDOMETRIUM = Architecture(
    (0.0, 0.3), (18, 42), (11, 17), (3.6, 5.2), (3.9, 2.5), (3.6, 2.75), (6000, 25000), (0, 1200), (0.0, 0.8),
    fat=0.0, glass=(0.018, 0.032), hormone=True,
)  # fmt: skip
_BREAST = Architecture(
    (0.1, 0.8), (12, 36), (10, 34), (4.6, 6.4), (2.8, 2.2), (2.8, 1.35), (3000, 8000), (0, 18000), (0.0, 0.35),
    glass=(0.02, 0.14),
)  # fmt: skip

# The 19 tissues of PanNuke, in the spelling of its types.npy.
ARCHITECTURES: dict[str, Architecture] = {
    **dict.fromkeys(("Bile-duct", "Colon", "Ovarian", "Pancreatic", "Stomach"), _GLAND),
    **dict.fromkeys(("Bladder", "Cervix", "Esophagus", "HeadNeck", "Skin"), _NEST),
    **dict.fromkeys(("Adrenal_gland", "Liver", "Testis"), _SHEET),
    "Breast": _BREAST,
    "Kidney": replace(_GLAND, cover=(0.5, 0.9), radius_um=(14, 24), wall_um=(8, 11), nucleus_um=(2.5, 2.3)),
    "Lung": replace(_GLAND, void=(0.1, 0.8)),
    "Prostate": replace(_GLAND, radius_um=(14, 30)),
    "Thyroid": replace(_GLAND, wall_um=(5.5, 7.5), pitch_um=(5, 7), nucleus_um=(2.4, 2.3)),
    "Uterus": _ENDOMETRIUM,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Appearance of the nuclei of one type.

    Attributes:
        spread: relative spread of the size (log-normal).
        wobble: irregularity of the outline, as a fraction of the radius.
        chromatin: amount of hematoxylin, in optical density along the stain vector.
        rim: extra chromatin along the nuclear membrane.
        texture: contrast of the chromatin clumps.
        nucleoli: chance of a prominent nucleolus.
    """

    spread: float
    wobble: float
    chromatin: float
    rim: float
    texture: float
    nucleoli: float


CELLS: dict[int, Cell] = {
    NEOPLASTIC: Cell(0.20, 0.07, 0.31, 0.16, 0.30, 0.6),
    INFLAMMATORY: Cell(0.10, 0.03, 0.62, 0.08, 0.25, 0.0),
    CONNECTIVE: Cell(0.20, 0.06, 0.34, 0.10, 0.22, 0.05),
    DEAD: Cell(0.15, 0.12, 0.90, 0.0, 0.10, 0.0),
    EPITHELIAL: Cell(0.12, 0.04, 0.31, 0.16, 0.25, 0.15),
}

LYMPHOCYTE_UM = (2.15, 1.95)  # half axes
DEAD_UM = (1.9, 1.6)
ERYTHROCYTE_UM = (2.1, 2.7)  # radius
CLOSEST = 0.72  # smallest distance of two nuclei, as a fraction of the sum of their radii; below 1 they overlap
FAINT = 0.09  # chance that the section cuts off most of a nucleus, which is then pale
DEAD_CHANCE = 0.015  # per epithelial nucleus
FAT_PITCH_UM = 38.0  # distance of neighbouring fat cells
RECEPTOR_FREE = 0.09  # share of the tissue, in patches, whose nuclei lack the receptor (vessels, nerves)
PSEUDOSTRATIFIED_UM = 18.0  # an epithelium up to this height has its nuclei in rows, a higher one is a solid nest
BLOOD_CHANCE = 0.25  # a tile holds a pool of erythrocytes
SMALLEST_UM2 = 1.5  # visible area; smaller nuclei are left out of the ground truth

# Optical density per unit of stain in (R, G, B), measured on H&E (CoNSeP) and on DAB sections (EndoNuke).
VECTORS = {
    "hematoxylin": (0.58, 0.76, 0.28), "cytoplasm": (0.36, 0.85, 0.36), "collagen": (0.21, 0.87, 0.42),
    "blood": (0.14, 0.72, 0.68), "counterstain": (0.62, 0.62, 0.45), "dab": (0.36, 0.56, 0.74),
    "blush": (0.30, 0.54, 0.79), "haze": (0.50, 0.57, 0.65),
}  # fmt: skip

HUE_JITTER = (0.025, 0.012)  # between slides, per channel: dyes, and DAB, which is one chemical

# A cell's latent staining is the slide's mean plus its own deviation. Its grade counts how many limits it exceeds; its
# DAB, in optical density along the stain vector at strength 1, is read between the knots, and is 0 at grade 0.
GRADE_LIMITS = np.array([0.0, 1.0, 2.0])
DAB_KNOTS = np.array([[0.0, 0.5, 1.5, 2.5, 4.0], [0.18, 0.32, 0.75, 1.25, 1.6]])
LATENT_NUCLEAR: Range = (-0.4, 2.6)
LATENT_HORMONE: Range = (1.7, 3.1)
LATENT_HER2 = (-1.3, 0.1, 1.3, 2.8)  # by HER2 level 0, 1+, 2+, 3+


class Style(SimpleNamespace):
    """Properties that all tiles of a slide share: tissue, staining, section and scanner.

    Attributes:
        tissue: key of `ARCHITECTURES`.
        malignant: chance that a gland is neoplastic.
        crowding: factor on the density of nuclei.
        thickness: relative thickness of the section; scales every density.
        nuclei, cytoplasm, collagen, blood: strengths in H&E.
        counterstain, dab, blush: strengths in IHC; blush is DAB outside its target.
        latent: mean staining of a receptor-positive cell, see `LATENT_NUCLEAR`.
        level: HER2 level 0 to 3 of the slide.
        vectors: optical density per unit of stain, name -> (3,).
        white: (3,) optical density of the empty slide.
        flare: stray light, as a fraction of white; it bounds the density that the camera sees.
        blur_um: standard deviation of the optical blur.
        sharpen: overshoot that the scanner adds at edges.
        noise: standard deviation of the sensor's noise, in grey levels of 255.
        jpeg: quality at which the scanner compressed.
    """


def draw_style(rng: np.random.Generator, marker: str, tissue: str | None = None, level: int | None = None) -> Style:
    """Draw the style of a slide; the H&E settings do not depend on the marker.

    Args:
        rng: random generator.
        marker: one of `MARKERS`.
        tissue: key of `ARCHITECTURES`; drawn when None.
        level: HER2 level 0 to 3; drawn when None.
    """

    def jitter(sigma: float) -> float:
        return float(np.exp(sigma * rng.standard_normal()))

    drawn = str(rng.choice(sorted(ARCHITECTURES)))
    tissue = drawn if tissue is None else tissue
    drawn_level = int(rng.integers(4))
    level = drawn_level if level is None else level
    vectors = {}
    for name, vector in VECTORS.items():
        shifted = np.maximum(np.array(vector) + HUE_JITTER[name in ("dab", "blush")] * rng.standard_normal(3), 0.03)
        vectors[name] = (shifted / np.linalg.norm(shifted)).astype(np.float32)
    share = rng.random()
    low, high = LATENT_HORMONE if ARCHITECTURES[tissue].hormone else LATENT_NUCLEAR
    return Style(
        tissue=tissue,
        malignant=float(rng.choice([0.0, 0.5, 1.0], p=[0.15, 0.2, 0.65])),
        crowding=jitter(0.15),
        thickness=jitter(0.15),
        nuclei=1.12 * jitter(0.2),
        cytoplasm=0.19 * jitter(0.35),
        collagen=0.22 * jitter(0.25),
        blood=0.31 * jitter(0.2),
        counterstain=(0.5 if marker == "membrane" else 1.3) * jitter(0.2),
        dab=(0.6 if marker == "membrane" else 1.1) * jitter(0.12),
        blush=(0.05 if marker == "membrane" else 0.36) * jitter(0.35),
        latent=LATENT_HER2[level] if marker == "membrane" else low + share * (high - low),
        level=level,
        vectors=vectors,
        white=(rng.uniform(*ARCHITECTURES[tissue].glass) + 0.006 * rng.random(3)).astype(np.float32),
        flare=0.058 * jitter(0.15),
        blur_um=float(rng.uniform(0.15, 0.40)),
        sharpen=float(rng.uniform(0.2, 0.7)),
        noise=float(rng.uniform(0.8, 2.5)),
        jpeg=int(rng.integers(80, 96)),
    )
