"""Rendering of a scene: stain amounts per pixel, Beer-Lambert densities, optics and camera."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ...imaging import rgb_from_density
from . import settings
from .settings import Style
from .tissue import MARGIN_UM, Discs, Scene, noise_at

MEMBRANE_UM = 0.55  # half width of a stained cell membrane
CYTOPLASM_SHARE = 0.15  # DAB of a membrane marker in the cytoplasm, relative to the membrane
MEMBRANE_STEP_UM = 0.5  # lattice of the Voronoi diagram of the cells
CELL_REACH_UM = 9.0  # largest distance of a membrane from its nucleus
EDGE_UM = 0.22  # half width of a nucleus' soft edge
LEAK, LEAK_UM = 0.26, 2.0  # fraction of the DAB that diffuses, and the distance
NUCLEOLUS_UM = 0.6  # radius
UPPER_HIDES = 0.5  # fraction of a nucleus' stain that an overlapping one replaces


class Truth(NamedTuple):
    """Ground truth of a tile: `instances` (H, W) int32 and, by id, `types`, `xy` (K, 2) and `grade`."""

    instances: np.ndarray
    types: np.ndarray
    xy: np.ndarray
    grade: np.ndarray


class Planes(SimpleNamespace):
    """Amounts per pixel, each float32 (H, W), before any stain has its colour.

    Attributes:
        depth: microns inside the nearest gland, negative outside.
        epithelium: fraction of the pixel that is epithelium.
        cytoplasm, collagen: amounts in epithelium and in stroma.
        secretion: mucus and serum, where there are no cells.
        blush: factor on DAB outside its target.
        uneven: factor on every density.
        blood, blood_rim: erythrocytes and their refractile edge.
        chromatin: hematoxylin in nuclei.
        nucleus: fraction of the pixel that is nucleus.
        brown: DAB on its target, nuclei or membranes.
        membrane: cell borders of the epithelium, 0 to 1.
    """


class _Grid:
    """Pixel centres of an image, and the fields of the scene sampled there."""

    def __init__(self, scene: Scene, size_px: int, mpp: float):
        self.scene, self.size_px, self.mpp = scene, size_px, mpp
        axis = (np.arange(size_px, dtype=np.float32) + np.float32(0.5)) * np.float32(mpp)
        self.x, self.y = np.meshgrid(axis, axis)

    def field(self, name: str) -> np.ndarray:
        return self.read(self.scene.maps[name], 1.0)

    def read(self, lattice: np.ndarray, step_um: float) -> np.ndarray:
        """Read a lattice that starts at -MARGIN_UM."""
        scale, shift = self.mpp / step_um, (0.5 * self.mpp + MARGIN_UM) / step_um
        matrix = np.array([[scale, 0, shift], [0, scale, shift]], np.float64)
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (self.size_px, self.size_px)
        return cv2.warpAffine(lattice, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)

    def grain(self, scale_um: float) -> np.ndarray:
        """Texture with the given grain size; each size samples another part of the noise."""
        seen = min(1.0, scale_um / (2 * self.mpp))  # a pixel averages finer texture
        return seen * noise_at(self.scene.noise, self.x / scale_um + 7 * scale_um, self.y / scale_um + 3 * scale_um)


def rasterise(scene: Scene, style: Style, size_px: int, mpp: float, marker: str) -> tuple[Planes, Truth]:
    """Sample a scene at the pixel centres of a square image: pixel i has its centre at (i + 0.5) mpp microns.

    Args:
        scene: the tissue.
        style: style of the slide.
        size_px: side of the image, in pixels.
        mpp: microns per pixel.
        marker: "nuclear" or "membrane", the target of the DAB.
    """
    grid = _Grid(scene, size_px, mpp)
    planes = _ground(grid)
    _add_blood(planes, grid)
    latent = scene.nuclei.latent + style.latent
    targets = [settings.NEOPLASTIC, settings.EPITHELIAL]
    if marker == "nuclear" and settings.ARCHITECTURES[style.tissue].hormone:
        targets.append(settings.CONNECTIVE)
    latent = np.where(np.isin(scene.nuclei.types, targets), latent, -1.0)
    grade = np.searchsorted(settings.GRADE_LIMITS, latent)
    dab = np.where(grade > 0, np.interp(latent, *settings.DAB_KNOTS), 0.0)
    _add_membranes(planes, grid, dab if marker == "membrane" else 0 * dab)
    instances = _add_nuclei(planes, grid, dab if marker == "nuclear" else 0 * dab)
    if marker == "membrane":
        planes.brown *= 1 - 0.95 * planes.nucleus
    return planes, _truth(instances, scene.nuclei.types, grade, mpp)


def _ground(grid: _Grid) -> Planes:
    """Tissue without nuclei: cytoplasm, lumen, fibres, gaps and mucus."""
    depth, wall, void, loose = (grid.field(name) for name in ("depth", "wall", "void", "loose"))
    fine, coarse, blotch = grid.grain(0.6), grid.grain(1.7), grid.grain(9.0)
    depth = depth + 0.25 * coarse
    epithelium = _step(depth, 0.6) * _step(wall - depth, 0.5)
    lumen = _step(depth - wall, 0.5)
    torn = _step(void + 0.08 * coarse, 0.15) * _step(-depth, 0.6)
    cleft = np.exp(-(((depth + 1.6) / 1.3) ** 2)) * _step(0.5 * loose + 0.5 * blotch - 0.2, 0.4)
    stroma = (1 - epithelium) * (1 - lumen) * (1 - torn) * (1 - 0.9 * cleft)
    along, across = grid.field("along"), grid.field("across") + 0.5 * coarse + 1.1 * blotch
    strands = 1 - np.abs(noise_at(grid.scene.noise, along / 8, across / 1.8))
    bundles = noise_at(grid.scene.noise, along / 22 + 31, across / 4.5)
    weave = 0.5 * strands + 0.4 * bundles + 0.14 * fine + 0.1 * coarse
    collagen = 2 * stroma * np.tanh(np.maximum(0.25 - 0.16 * loose + (0.5 + 0.12 * loose) * weave, 0.02))
    collagen *= 0.8 + 0.25 * strands + 0.1 * bundles
    apical = np.clip(depth / np.minimum(wall, 20), 0, 1)
    cytoplasm = epithelium * np.clip(1 - 0.25 * apical + 0.16 * coarse + 0.12 * fine + 0.12 * blotch, 0.15, 2)
    cytoplasm *= 1 - 0.7 * _step(grid.grain(4.2) - 1.6 + 0.4 * apical, 0.12)  # vacuoles
    mucus = np.clip(0.55 * grid.grain(14) + 0.2 * coarse + 0.25 * fine - 0.2, 0, 1.2)
    blush = np.exp(0.45 * grid.field("tone") * epithelium + grid.field("blush"))
    blush = blush * np.clip(1 + 0.2 * fine + 0.3 * grid.grain(3.0), 0.2, 2)
    empty = ("blood", "blood_rim", "chromatin", "nucleus", "brown", "membrane")
    return Planes(
        depth=depth, epithelium=epithelium, cytoplasm=cytoplasm, collagen=collagen, secretion=(lumen + torn) * mucus,
        blush=blush, uneven=np.exp(0.12 * grid.field("uneven")), **{name: np.zeros_like(collagen) for name in empty},
    )  # fmt: skip


def _stamps(discs: Discs, grid: _Grid) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
    """Index, window and, per pixel, approximate microns inside the outline of every disc that is on the image."""
    for i in range(len(discs.xy)):
        (cx, cy), (a, b), mpp = discs.xy[i], discs.axes[i], grid.mpp
        reach = 1.3 * max(a, b) + 0.6
        x0, y0 = (max(0, int((c - reach) / mpp)) for c in (cx, cy))
        x1, y1 = (min(grid.size_px, int((c + reach) / mpp) + 1) for c in (cx, cy))
        if x0 >= x1 or y0 >= y1:
            continue
        dx = (np.arange(x0, x1, dtype=np.float32) + np.float32(0.5)) * np.float32(mpp) - np.float32(cx)
        dy = (np.arange(y0, y1, dtype=np.float32) + np.float32(0.5)) * np.float32(mpp) - np.float32(cy)
        z = (dx + 1j * dy[:, None]).astype(np.complex64) * np.complex64(np.exp(-1j * discs.angle[i]))
        p, q = z.real / np.float32(a), z.imag / np.float32(b)
        rho = np.hypot(p, q) + np.float32(1e-4)
        e = (p + 1j * q) / rho
        w2, w3, w4, w5 = discs.wobble[i].astype(np.complex64)
        bound = 1 + (e * e * (w2 + e * (w3 + e * (w4 + e * w5)))).real
        # First-order distance to the curve: the level function over the length of its gradient.
        inside = (bound - rho) * rho / (np.hypot(p / np.float32(a), q / np.float32(b)) + np.float32(1e-4))
        yield i, (slice(y0, y1), slice(x0, x1)), inside


def _add_blood(planes: Planes, grid: _Grid) -> None:
    discs = grid.scene.blood
    for i, window, inside in _stamps(discs, grid):
        body = _step(inside, max(0.25, grid.mpp / 2)) * discs.slice[i]
        body = body * (0.75 + 0.25 * np.exp(-(((inside - 0.7) / 0.7) ** 2)))
        np.maximum(planes.blood[window], body, out=planes.blood[window])
        rim = np.exp(-(((inside - 0.2) / 0.35) ** 2))
        np.maximum(planes.blood_rim[window], rim, out=planes.blood_rim[window])
    bare = 1 - np.clip(1.3 * planes.blood, 0, 1)
    planes.collagen *= bare
    planes.secretion *= bare


def _add_membranes(planes: Planes, grid: _Grid, dab: np.ndarray) -> None:
    """Draw cell borders, the edges of the Voronoi diagram of the epithelial nuclei."""
    nuclei = grid.scene.nuclei
    cells = np.flatnonzero(np.isin(nuclei.types, (settings.NEOPLASTIC, settings.EPITHELIAL)))
    if len(cells) < 2:
        return
    side = int(np.ceil((grid.scene.size_um + 2 * MARGIN_UM) / MEMBRANE_STEP_UM)) + 1
    rows, cols = np.nonzero(cv2.resize(grid.scene.maps["depth"], (side, side), interpolation=cv2.INTER_LINEAR) > -2)
    if len(rows) == 0:
        return
    points = np.stack([cols, rows], 1) * MEMBRANE_STEP_UM - MARGIN_UM
    distance, index = cKDTree(nuclei.xy[cells]).query(points, k=2)
    gap, amount, tone = (np.full((side, side), value, np.float32) for value in (9, 0, 0))
    gap[rows, cols] = np.where(distance[:, 0] < CELL_REACH_UM, (distance[:, 1] - distance[:, 0]) / 2, 9)
    amount[rows, cols] = dab[cells][index].mean(1)
    tone[rows, cols] = (7 * nuclei.angle[cells][index[:, 0]]) % 1 - 0.5
    border = np.minimum(grid.read(gap, MEMBRANE_STEP_UM), np.abs(planes.depth - 0.3))
    patchy = np.clip(1 + 0.35 * grid.grain(2.4), 0.2, 1.5)
    planes.membrane[:] = planes.epithelium * patchy * np.exp(-((border / MEMBRANE_UM) ** 2))
    planes.cytoplasm *= 1 + 0.35 * grid.read(tone, MEMBRANE_STEP_UM)
    diffuse = CYTOPLASM_SHARE * planes.epithelium * patchy
    planes.brown += (planes.membrane + diffuse) * grid.read(amount, MEMBRANE_STEP_UM)


def _add_nuclei(planes: Planes, grid: _Grid, dab: np.ndarray) -> np.ndarray:
    """Draw the nuclei, later ones on top, and return the label map (1 + index of the nucleus)."""
    nuclei = grid.scene.nuclei
    instances = np.zeros(planes.nucleus.shape, np.int32)
    clump = grid.grain(0.75) + 0.5 * grid.grain(0.4)
    size = np.sqrt(nuclei.axes.prod(1))
    for i, window, inside in _stamps(nuclei, grid):
        cell = settings.CELLS[int(nuclei.types[i])]
        mask = _step(inside, max(EDGE_UM, grid.mpp / 2) + 0.5 * max(0.0, 0.8 - nuclei.slice[i]))
        texture = clump[window]
        amount = cell.chromatin * np.clip(1 + cell.texture * texture, 0.3, 2)
        amount += cell.rim * np.exp(-(((inside - 0.25) / 0.4) ** 2))
        turn = nuclei.angle[i] % 1
        if turn < cell.nucleoli:  # the angle serves as a random number here
            spot = nuclei.xy[i] + 0.4 * size[i] * np.array([np.cos(40 * turn), np.sin(40 * turn)])
            squared = (grid.x[window] - spot[0]) ** 2 + (grid.y[window] - spot[1]) ** 2
            amount += 0.45 * np.exp(-squared / NUCLEOLUS_UM**2)
        keep = 1 - UPPER_HIDES * mask
        planes.chromatin[window] = planes.chromatin[window] * keep + mask * amount * nuclei.slice[i]
        brown = dab[i] * nuclei.slice[i] * np.clip(1 + 0.12 * texture, 0.5, 1.6)
        planes.brown[window] = planes.brown[window] * keep + mask * brown
        np.maximum(planes.nucleus[window], mask, out=planes.nucleus[window])
        instances[window][inside > 0] = i + 1
    return instances


def _truth(instances: np.ndarray, types: np.ndarray, grade: np.ndarray, mpp: float) -> Truth:
    """Keep the largest visible piece of each nucleus, drop small ones, and number the rest from 1."""
    out = np.zeros_like(instances)
    kept, centres = [], []
    for label, window in enumerate(ndimage.find_objects(instances), 1):
        if window is None:
            continue
        pieces, n = ndimage.label(instances[window] == label)
        areas = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
        if areas.max() * mpp**2 < settings.SMALLEST_UM2:
            continue
        piece = pieces == 1 + int(areas.argmax())
        kept.append(label - 1)
        out[window][piece] = len(kept)
        rows, cols = np.nonzero(piece)
        centres.append((cols.mean() + window[1].start, rows.mean() + window[0].start))
    chosen = np.array(kept, dtype=np.intp)
    return Truth(out, types[chosen].astype(np.int64), np.array(centres).reshape(-1, 2), grade[chosen].astype(np.int64))


def render_he(planes: Planes, style: Style, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Planes as an H&E image, uint8 (H, W, 3)."""
    fade = 1 - 0.6 * planes.nucleus
    amounts = {
        "hematoxylin": style.nuclei * planes.chromatin,
        "cytoplasm": style.cytoplasm * (planes.cytoplasm + 0.5 * planes.membrane + 0.15 * planes.secretion) * fade,
        "collagen": style.collagen * planes.collagen * fade,
        "blood": style.blood * planes.blood * (1 - planes.nucleus),
    }
    return _photograph(amounts, planes, style, mpp, rng)


def render_ihc(planes: Planes, style: Style, mpp: float, rng: np.random.Generator) -> np.ndarray:
    """Planes as a DAB-hematoxylin image, uint8 (H, W, 3)."""
    fade = 1 - 0.6 * planes.nucleus
    tissue = planes.cytoplasm + 0.7 * planes.collagen + 0.5 * planes.secretion
    leak = LEAK * cv2.GaussianBlur(planes.brown, (0, 0), LEAK_UM / mpp)
    amounts = {
        "counterstain": style.counterstain * planes.chromatin * (1 - 0.5 * np.clip(planes.brown, 0, 1))
        + 0.015 * fade * (planes.cytoplasm + planes.collagen),
        "dab": style.dab * planes.brown,
        "blush": (style.dab * leak + style.blush * planes.blush * tissue) * fade,
        "haze": (0.08 * planes.blood + 0.22 * planes.blood_rim) * (1 - planes.nucleus),
    }
    return _photograph(amounts, planes, style, mpp, rng)


def _photograph(
    amounts: dict[str, np.ndarray], planes: Planes, style: Style, mpp: float, rng: np.random.Generator
) -> np.ndarray:
    """Beer-Lambert absorption, stray light, blur, the scanner's sharpening, sensor noise and compression."""
    stack = np.stack(list(amounts.values()), -1) * (style.thickness * planes.uneven)[..., None]
    density = stack.astype(np.float32) @ np.stack([style.vectors[name] for name in amounts])
    light = np.power(np.float32(10), -density)
    light = cv2.GaussianBlur(light, (0, 0), max(style.blur_um / mpp, 0.3))
    light += style.sharpen * (light - cv2.GaussianBlur(light, (0, 0), max(0.6 / mpp, 0.8)))
    light = style.flare + (1 - style.flare) * np.maximum(light, 0)
    light *= np.power(np.float32(10), -style.white)
    light += rng.standard_normal(light.shape, dtype=np.float32) * np.float32(style.noise / 255)
    image = rgb_from_density(-np.log10(np.maximum(light, 1e-3)))
    _, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, style.jpeg])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))[..., ::-1])


def _step(value: np.ndarray, width: float) -> np.ndarray:
    """Linear step from 0 to 1 between -width and width."""
    return np.clip(value / np.float32(2 * width) + np.float32(0.5), 0, 1)
