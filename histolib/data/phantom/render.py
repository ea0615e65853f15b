"""Rendering of a scene: stain amounts per pixel, Beer-Lambert densities, optics and camera."""

from collections.abc import Iterator
from types import SimpleNamespace

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


class Raster(SimpleNamespace):
    """A tile on the pixels of its image: layout, amounts before any stain has its colour, and ground truth.

    Attributes:
        scene, style, mpp: the tissue, the style of the slide, and microns per pixel.
        x, y: pixel centres in microns, float32 (H, W): pixel i has its centre at (i + 0.5) mpp.
        depth: microns inside the nearest gland, negative outside. This and all amounts: float32 (H, W).
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
        instances: int32 (H, W), ids 1 to K of the visible nuclei.
        types, xy, grade: (K,), (K, 2) in pixels and (K,), see `PhantomSample`.
    """

    def field(self, name: str) -> np.ndarray:
        """Sample a map of the scene at the pixel centres."""
        return self.read(self.scene.maps[name], 1.0)

    def read(self, lattice: np.ndarray, step_um: float) -> np.ndarray:
        """Sample a lattice that starts at -MARGIN_UM at the pixel centres."""
        scale, shift = self.mpp / step_um, (0.5 * self.mpp + MARGIN_UM) / step_um
        matrix = np.array([[scale, 0, shift], [0, scale, shift]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(lattice, matrix, self.x.shape, flags=how, borderMode=cv2.BORDER_REPLICATE)

    def grain(self, scale_um: float) -> np.ndarray:
        """Texture with the given grain size; each size samples another part of the noise."""
        seen = min(1.0, scale_um / (2 * self.mpp))  # a pixel averages finer texture
        return seen * noise_at(self.scene.noise, self.x / scale_um + 7 * scale_um, self.y / scale_um + 3 * scale_um)


def rasterise(scene: Scene, style: Style, size_px: int, mpp: float, marker: str) -> Raster:
    """Sample a scene at the pixel centres of a square image.

    Args:
        scene: the tissue.
        style: style of the slide.
        size_px: side of the image, in pixels.
        mpp: microns per pixel.
        marker: "nuclear" or "membrane", the target of the DAB.
    """
    y, x = (np.indices((size_px, size_px), np.float32) + np.float32(0.5)) * np.float32(mpp)
    tile = Raster(scene=scene, style=style, mpp=mpp, x=x, y=y)
    _add_ground(tile)
    _add_blood(tile)
    targets = [settings.NEOPLASTIC, settings.EPITHELIAL]
    if marker == "nuclear" and style.plan.hormone:
        targets.append(settings.CONNECTIVE)
    latent = np.where(np.isin(scene.nuclei.types, targets), scene.nuclei.latent + style.latent, -1.0)
    grade = np.searchsorted(settings.GRADE_LIMITS, latent)
    dab = np.where(grade > 0, np.interp(latent, *settings.DAB_KNOTS), 0.0)
    _add_membranes(tile, dab * (marker == "membrane"))
    labels = _add_nuclei(tile, dab * (marker == "nuclear"))
    if marker == "membrane":
        tile.brown *= 1 - 0.95 * tile.nucleus
    tile.instances, kept, tile.xy = _largest_pieces(labels, mpp)
    tile.types, tile.grade = scene.nuclei.types[kept], grade[kept]
    return tile


def _add_ground(tile: Raster) -> None:
    """Tissue without nuclei: cytoplasm, lumen, fibres, gaps and mucus."""
    depth, wall, void, loose = (tile.field(name) for name in ("depth", "wall", "void", "loose"))
    fine, coarse, blotch = tile.grain(0.6), tile.grain(1.7), tile.grain(9.0)
    tile.depth = depth = depth + 0.25 * coarse
    tile.epithelium = epithelium = _step(depth, 0.6) * _step(wall - depth, 0.5)
    lumen = _step(depth - wall, 0.5)
    torn = _step(void + 0.08 * coarse, 0.15) * _step(-depth, 0.6)
    cleft = np.exp(-(((depth + 1.6) / 1.3) ** 2)) * _step(0.5 * loose + 0.5 * blotch - 0.2, 0.4)
    stroma = (1 - epithelium) * (1 - lumen) * (1 - torn) * (1 - 0.9 * cleft)
    along, across = tile.field("along"), tile.field("across") + 0.5 * coarse + 1.1 * blotch
    strands = 1 - np.abs(noise_at(tile.scene.noise, along / 8, across / 1.8))
    bundles = noise_at(tile.scene.noise, along / 22 + 31, across / 4.5)
    weave = 0.5 * strands + 0.4 * bundles + 0.14 * fine + 0.1 * coarse
    tile.collagen = 2 * stroma * np.tanh(np.maximum(0.25 - 0.16 * loose + (0.5 + 0.12 * loose) * weave, 0.02))
    tile.collagen *= 0.8 + 0.25 * strands + 0.1 * bundles
    apical = np.clip(depth / np.minimum(wall, 20), 0, 1)
    tile.cytoplasm = epithelium * np.clip(1 - 0.25 * apical + 0.16 * coarse + 0.12 * fine + 0.12 * blotch, 0.15, 2)
    tile.cytoplasm *= 1 - 0.7 * _step(tile.grain(4.2) - 1.6 + 0.4 * apical, 0.12)  # vacuoles
    tile.secretion = (lumen + torn) * np.clip(0.55 * tile.grain(14) + 0.2 * coarse + 0.25 * fine - 0.2, 0, 1.2)
    tile.blush = np.exp(0.45 * tile.field("tone") * epithelium + tile.field("blush"))
    tile.blush = tile.blush * np.clip(1 + 0.2 * fine + 0.3 * tile.grain(3.0), 0.2, 2)
    tile.uneven = np.exp(0.12 * tile.field("uneven"))
    for name in ("blood", "blood_rim", "chromatin", "nucleus", "brown", "membrane"):
        setattr(tile, name, np.zeros_like(depth))


def _stamps(discs: Discs, tile: Raster) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
    """Index, window and, per pixel, approximate microns inside the outline of every disc that is on the image."""
    for i, ((cx, cy), (a, b)) in enumerate(zip(discs.xy.tolist(), discs.axes.tolist(), strict=True)):
        reach = 1.3 * max(a, b) + 0.6
        x0, y0 = (max(0, int((c - reach) / tile.mpp)) for c in (cx, cy))
        x1, y1 = (max(0, int((c + reach) / tile.mpp) + 1) for c in (cx, cy))
        window = slice(y0, y1), slice(x0, x1)
        if not tile.x[window].size:
            continue
        z = (tile.x[window] - cx + 1j * (tile.y[window] - cy)) * np.complex64(np.exp(-1j * discs.angle[i]))
        p, q = z.real / a, z.imag / b
        rho = np.hypot(p, q) + np.float32(1e-4)
        e = (p + 1j * q) / rho
        w2, w3, w4, w5 = discs.wobble[i].astype(np.complex64)
        bound = 1 + (e * e * (w2 + e * (w3 + e * (w4 + e * w5)))).real
        # First-order distance to the curve: the level function over the length of its gradient.
        yield i, window, (bound - rho) * rho / (np.hypot(p / a, q / b) + np.float32(1e-4))


def _add_blood(tile: Raster) -> None:
    discs = tile.scene.blood
    for i, window, inside in _stamps(discs, tile):
        body = _step(inside, max(0.25, tile.mpp / 2)) * discs.slice[i]
        body = body * (0.75 + 0.25 * np.exp(-(((inside - 0.7) / 0.7) ** 2)))
        tile.blood[window] = np.maximum(tile.blood[window], body)
        tile.blood_rim[window] = np.maximum(tile.blood_rim[window], np.exp(-(((inside - 0.2) / 0.35) ** 2)))
    bare = 1 - np.clip(1.3 * tile.blood, 0, 1)
    tile.collagen *= bare
    tile.secretion *= bare


def _add_membranes(tile: Raster, dab: np.ndarray) -> None:
    """Draw cell borders, the edges of the Voronoi diagram of the epithelial nuclei."""
    nuclei = tile.scene.nuclei
    cells = np.flatnonzero(np.isin(nuclei.types, (settings.NEOPLASTIC, settings.EPITHELIAL)))
    if len(cells) < 2:
        return
    side = int(np.ceil((tile.scene.size_um + 2 * MARGIN_UM) / MEMBRANE_STEP_UM)) + 1
    rows, cols = np.nonzero(cv2.resize(tile.scene.maps["depth"], (side, side), interpolation=cv2.INTER_LINEAR) > -2)
    points = np.stack([cols, rows], 1) * MEMBRANE_STEP_UM - MARGIN_UM
    distance, index = cKDTree(nuclei.xy[cells]).query(points, k=2)
    gap, amount, tone = (np.full((side, side), value, np.float32) for value in (9, 0, 0))
    gap[rows, cols] = np.where(distance[:, 0] < CELL_REACH_UM, (distance[:, 1] - distance[:, 0]) / 2, 9)
    amount[rows, cols] = dab[cells][index].mean(1)
    tone[rows, cols] = (7 * nuclei.angle[cells][index[:, 0]]) % 1 - 0.5
    border = np.minimum(tile.read(gap, MEMBRANE_STEP_UM), np.abs(tile.depth - 0.3))
    patchy = np.clip(1 + 0.35 * tile.grain(2.4), 0.2, 1.5)
    tile.membrane = tile.epithelium * patchy * np.exp(-((border / MEMBRANE_UM) ** 2))
    tile.cytoplasm *= 1 + 0.35 * tile.read(tone, MEMBRANE_STEP_UM)
    diffuse = CYTOPLASM_SHARE * tile.epithelium * patchy
    tile.brown += (tile.membrane + diffuse) * tile.read(amount, MEMBRANE_STEP_UM)


def _add_nuclei(tile: Raster, dab: np.ndarray) -> np.ndarray:
    """Draw the nuclei, later ones on top, and return the label map (1 + index of the nucleus)."""
    nuclei = tile.scene.nuclei
    labels = np.zeros(tile.x.shape, np.int32)
    clump = tile.grain(0.75) + 0.5 * tile.grain(0.4)
    size = np.sqrt(nuclei.axes.prod(1))
    for i, window, inside in _stamps(nuclei, tile):
        cell = settings.CELLS[int(nuclei.types[i])]
        mask = _step(inside, max(EDGE_UM, tile.mpp / 2) + 0.5 * max(0.0, 0.8 - nuclei.slice[i]))
        texture = clump[window]
        amount = cell.chromatin * np.clip(1 + cell.texture * texture, 0.3, 2)
        amount += cell.rim * np.exp(-(((inside - 0.25) / 0.4) ** 2))
        turn = nuclei.angle[i] % 1
        if turn < cell.nucleoli:  # the angle serves as a random number here
            spot = nuclei.xy[i] + 0.4 * size[i] * np.array([np.cos(40 * turn), np.sin(40 * turn)])
            squared = (tile.x[window] - spot[0]) ** 2 + (tile.y[window] - spot[1]) ** 2
            amount += 0.45 * np.exp(-squared / NUCLEOLUS_UM**2)
        keep = 1 - UPPER_HIDES * mask
        tile.chromatin[window] = tile.chromatin[window] * keep + mask * amount * nuclei.slice[i]
        brown = dab[i] * nuclei.slice[i] * np.clip(1 + 0.12 * texture, 0.5, 1.6)
        tile.brown[window] = tile.brown[window] * keep + mask * brown
        tile.nucleus[window] = np.maximum(tile.nucleus[window], mask)
        labels[window][inside > 0] = i + 1
    return labels


def _largest_pieces(labels: np.ndarray, mpp: float) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Keep the largest visible piece of each label, drop small ones, and number the rest from 1.

    Returns:
        int32 (H, W), the old label - 1 of each piece, and their centroids (K, 2).
    """
    pieces = np.zeros_like(labels)
    kept, centres = [], []
    for index, window in enumerate(ndimage.find_objects(labels)):
        if window is None:
            continue
        parts, _ = ndimage.label(labels[window] == index + 1)
        areas = np.bincount(parts[parts > 0])
        if areas.max() * mpp**2 < settings.SMALLEST_UM2:
            continue
        kept.append(index)
        piece = parts == areas.argmax()
        pieces[window][piece] = len(kept)
        rows, cols = np.nonzero(piece)
        centres.append((cols.mean() + window[1].start, rows.mean() + window[0].start))
    return pieces, kept, np.array(centres).reshape(-1, 2)


def render_he(tile: Raster, rng: np.random.Generator) -> np.ndarray:
    """A tile as an H&E image, uint8 (H, W, 3); the generator is for the noise of the camera."""
    style, fade = tile.style, 1 - 0.6 * tile.nucleus
    amounts = {
        "hematoxylin": style.nuclei * tile.chromatin,
        "cytoplasm": style.cytoplasm * (tile.cytoplasm + 0.5 * tile.membrane + 0.15 * tile.secretion) * fade,
        "collagen": style.collagen * tile.collagen * fade,
        "blood": style.blood * tile.blood * (1 - tile.nucleus),
    }
    return _photograph(amounts, tile, rng)


def render_ihc(tile: Raster, rng: np.random.Generator) -> np.ndarray:
    """A tile as a DAB-hematoxylin image, uint8 (H, W, 3); the generator is for the noise of the camera."""
    style, fade = tile.style, 1 - 0.6 * tile.nucleus
    tissue = tile.cytoplasm + 0.7 * tile.collagen + 0.5 * tile.secretion
    leak = LEAK * cv2.GaussianBlur(tile.brown, (0, 0), LEAK_UM / tile.mpp)
    amounts = {
        "counterstain": style.counterstain * tile.chromatin * (1 - 0.5 * np.clip(tile.brown, 0, 1))
        + 0.015 * fade * (tile.cytoplasm + tile.collagen),
        "dab": style.dab * tile.brown,
        "blush": (style.dab * leak + style.blush * tile.blush * tissue) * fade,
        "haze": (0.08 * tile.blood + 0.22 * tile.blood_rim) * (1 - tile.nucleus),
    }
    return _photograph(amounts, tile, rng)


def _photograph(amounts: dict[str, np.ndarray], tile: Raster, rng: np.random.Generator) -> np.ndarray:
    """Beer-Lambert absorption, stray light, blur, the scanner's sharpening, sensor noise and compression."""
    style, mpp = tile.style, tile.mpp
    stack = np.stack(list(amounts.values()), -1) * (style.thickness * tile.uneven)[..., None]
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
