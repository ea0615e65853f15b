"""Parameters of the phantom's tissues, cells and slides, fitted to real tiles; `settings.json` holds the tables."""

import json
from importlib.resources import files
from types import SimpleNamespace

import numpy as np

NEOPLASTIC, INFLAMMATORY, CONNECTIVE, DEAD, EPITHELIAL = 1, 2, 3, 4, 5  # PanNuke's numbers


class Architecture(SimpleNamespace):
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


class Cell(SimpleNamespace):
    """Appearance of the nuclei of one type.

    Attributes:
        spread: relative spread of the size (log-normal).
        wobble: irregularity of the outline, as a fraction of the radius.
        chromatin: amount of hematoxylin, in optical density along the stain vector.
        rim: extra chromatin along the nuclear membrane.
        texture: contrast of the chromatin clumps.
        nucleoli: chance of a prominent nucleolus.
    """


_TABLES = json.loads(files(__package__).joinpath("settings.json").read_text("utf-8"))
# The 19 tissues of PanNuke, in the spelling of its types.npy. What a tissue does not list is as in the first one.
ARCHITECTURES: dict[str, Architecture] = {
    tissue: Architecture(**_TABLES["architectures"][0] | row)
    for row in _TABLES["architectures"]
    for tissue in row["tissues"]
}
CELLS: dict[int, Cell] = {number: Cell(**row) for number, row in enumerate(_TABLES["cells"].values(), 1)}

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
HUE_JITTER = (0.025, 0.012)  # between slides, per channel: dyes, and DAB, which is one chemical

# A cell's latent staining is the slide's mean plus its own deviation. Its grade counts how many limits it exceeds; its
# DAB, in optical density along the stain vector at strength 1, is read between the knots, and is 0 at grade 0.
GRADE_LIMITS = np.array([0.0, 1.0, 2.0])
DAB_KNOTS = np.array([[0.0, 0.5, 1.5, 2.5, 4.0], [0.18, 0.32, 0.75, 1.25, 1.6]])
LATENT_NUCLEAR = (-0.4, 2.6)
LATENT_HORMONE = (1.7, 3.1)
LATENT_HER2 = (-1.3, 0.1, 1.3, 2.8)  # by HER2 level 0, 1+, 2+, 3+


class Style(SimpleNamespace):
    """Properties that all tiles of a slide share: tissue, staining, section and scanner.

    Attributes:
        tissue, plan: key of `ARCHITECTURES`, and its value.
        malignant: chance that a gland is neoplastic.
        crowding: factor on the density of nuclei.
        thickness: relative thickness of the section; scales every density.
        nuclei, cytoplasm, collagen, blood: strengths in H&E.
        counterstain, dab, blush: strengths in IHC; blush is DAB outside its target.
        latent: mean staining of a receptor-positive cell, see `LATENT_NUCLEAR`.
        vectors: optical density per unit of stain, name -> (3,); the means were measured on H&E (CoNSeP) and on DAB
            sections (EndoNuke).
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
        marker: nuclear or membrane.
        tissue: key of `ARCHITECTURES`; drawn when None.
        level: HER2 level 0 to 3; drawn when None.
    """

    def jitter(sigma: float) -> float:
        return float(np.exp(sigma * rng.standard_normal()))

    # Everything is drawn, also what is given, so that the other properties do not depend on what is given.
    drawn_tissue, drawn_level = str(rng.choice(sorted(ARCHITECTURES))), int(rng.integers(4))
    tissue = drawn_tissue if tissue is None else tissue
    level = drawn_level if level is None else level
    vectors = {}
    for name, vector in _TABLES["vectors"].items():
        shifted = np.maximum(np.array(vector) + HUE_JITTER[name in ("dab", "blush")] * rng.standard_normal(3), 0.03)
        vectors[name] = (shifted / np.linalg.norm(shifted)).astype(np.float32)
    share = rng.random()
    plan = ARCHITECTURES[tissue]
    low, high = LATENT_HORMONE if plan.hormone else LATENT_NUCLEAR
    return Style(
        tissue=tissue,
        plan=plan,
        vectors=vectors,
        latent=LATENT_HER2[level] if marker == "membrane" else low + share * (high - low),
        malignant=float(rng.choice([0.0, 0.5, 1.0], p=[0.15, 0.2, 0.65])),
        **{name: row[marker] * jitter(row["spread"]) for name, row in _TABLES["strengths"].items()},
        white=(rng.uniform(*plan.glass) + 0.006 * rng.random(3)).astype(np.float32),
        flare=0.058 * jitter(0.15),
        **{name: float(rng.uniform(*between)) for name, between in _TABLES["scanner"].items()},
        jpeg=int(rng.integers(80, 96)),
    )
