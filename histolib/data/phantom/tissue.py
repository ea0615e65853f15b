"""Geometry of the tissue in microns, so that one tissue can be rendered at any scale and in any stain."""

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from scipy.spatial import cKDTree
from scipy.special import ndtri

from . import settings
from .settings import Style

MARGIN_UM = 12.0  # tissue drawn beyond the image, which avoids edge effects
_NOISE_SIDE = 64


class Discs(namedtuple("Discs", "xy axes angle wobble types slice latent")):
    """Discs with an irregular outline: nuclei or erythrocytes.

    Attributes:
        xy: centres in microns, shape (N, 2).
        axes: half axes in microns, shape (N, 2), the first along `angle`.
        angle: radians, shape (N,).
        wobble: complex amplitudes of harmonics 2 to 5 of the outline, shape (N, 4).
        types: PanNuke numbers, shape (N,); 0 for erythrocytes.
        slice: fraction of the disc that lies in the section, shape (N,).
        latent: deviation of the cell's DAB staining from the mean of the slide, shape (N,).
    """


class Scene(SimpleNamespace):
    """A piece of tissue.

    Attributes:
        size_um: side of the square.
        maps: smooth fields on a lattice of 1 micron that starts at -`MARGIN_UM`, name -> float32 (S, S):
            `depth` microns inside the nearest gland, negative outside; `wall` height of its epithelium; `tone` its
            staining; `gland` its number; `void` and `blood` positive where there is no tissue and where there is blood;
            `along`, `across` coordinates of the collagen fibres; `loose` how loose; `uneven` and `blush` stain;
            `patchy` and `bare` more and less receptor.
        nuclei: the nuclei, later ones on top.
        blood: the erythrocytes.
        noise: white-noise tile (64, 64) behind every texture.
    """


def noise_at(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Smooth noise with unit grain and variance, from a tile (64, 64) of white noise, at float32 coordinates."""
    # OpenCV loses the fraction of large coordinates.
    x, y = (np.mod(at, _NOISE_SIDE).astype(np.float32) for at in (x, y))
    return cv2.remap(tile, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP) * np.float32(1.35)


def lay_out(rng: Generator, style: Style, size_um: float) -> Scene:
    """Draw the tissue of one tile.

    Args:
        rng: random generator; the same state gives the same tissue.
        style: style of the slide.
        size_um: side of the square tile.
    """
    plan = style.plan
    noise = rng.standard_normal((_NOISE_SIDE, _NOISE_SIDE)).astype(np.float32)
    side = int(np.ceil(size_um + 2 * MARGIN_UM)) + 1
    y, x = np.indices((side, side), np.float32)

    def field(scale_um: float) -> np.ndarray:
        shift = rng.uniform(0, _NOISE_SIDE, 2).astype(np.float32)
        return noise_at(noise, x / scale_um + shift[0], y / scale_um + shift[1])

    void = _share(rng, plan.void, 2.0)
    maps = {
        "void": field(22) + 0.2 * field(8) + float(ndtri(np.clip(void, 0.01, 0.99)) * 1.06),
        "loose": field(30) + rng.normal(0, 0.6),
        "uneven": field(50),
        "blush": 0.35 * field(25) + rng.normal(0, 0.5),
        "patchy": field(35),
        "bare": field(13),
        "blood": np.full((side, side), -1, np.float32),
    }
    turn, bend = rng.uniform(0, np.pi), field(28) * rng.uniform(3, 9)
    across = (-np.sin(turn) * x + np.cos(turn) * y + bend).astype(np.float32)
    maps["along"] = (np.cos(turn) * x + np.sin(turn) * y).astype(np.float32)
    glands = _glands(rng, style, side, maps)
    near = np.exp(np.minimum(maps["depth"], 0) / 5)
    maps["across"] = across * (1 - near) - maps["depth"] * near
    if rng.random() < settings.BLOOD_CHANCE:
        share = rng.uniform(0.02, 0.14)
        maps["blood"] = np.where(maps["depth"] < -2, field(20) + float(ndtri(share)), maps["blood"])
    if rng.random() < plan.fat:
        maps["void"] = np.maximum(maps["void"], np.minimum(_fat(rng, side), field(30) * 4 - 1))
    nuclei = _nuclei(rng, style, glands, maps)
    return Scene(size_um=size_um, maps=maps, nuclei=nuclei, blood=_erythrocytes(rng, maps["blood"]), noise=noise)


def _share(rng: Generator, between: tuple[float, float], skew: float = 1.0) -> float:
    return between[0] + (between[1] - between[0]) * float(rng.random()) ** skew


def _glands(rng: Generator, style: Style, side: int, maps: dict[str, np.ndarray]) -> list[SimpleNamespace]:
    """Place the glands or nests and add their maps: `depth`, `wall`, `tone` and `gland`.

    Returns:
        of each gland its `outline` (360, 2) on the lattice, closed, the inward `normal` there, the `height` of its
        epithelium and the `type` of its nuclei.
    """
    plan, reach = style.plan, max(style.plan.radius_um)
    start = {"depth": -50, "wall": 10, "tone": 0, "gland": -1}
    maps |= {name: np.full((side, side), value, np.float32) for name, value in start.items()}
    area, covered, glands, placed = (side + reach) ** 2, 0.0, [], np.empty((0, 3))
    wanted = _share(rng, plan.cover) * area
    theta = np.linspace(0, 2 * np.pi, 361)[:-1]
    for _ in range(int(6 * area / (np.pi * min(plan.radius_um) ** 2)) + 6):
        if covered >= wanted:
            break
        radius = rng.uniform(*plan.radius_um)
        centre = rng.uniform(-reach / 2, side + reach / 2, 2)
        if np.any(np.hypot(*(placed[:, :2] - centre).T) < 0.85 * (placed[:, 2] + radius)):
            continue
        placed = np.vstack([placed, [*centre, radius]])
        covered += np.pi * radius**2
        order = np.arange(2, 7)
        wave = rng.normal(0, 0.22 / order, 5) + 1j * rng.normal(0, 0.22 / order, 5)
        height = rng.uniform(*plan.wall_um)
        bulge = np.clip(1 + np.real(wave @ np.exp(1j * np.outer(order, theta))), 0.5, 1.6)
        outline = centre + (radius * bulge)[:, None] * np.stack([np.cos(theta), np.sin(theta)], 1)
        step = np.roll(outline, -1, 0) - np.roll(outline, 1, 0)
        normal = np.stack([-step[:, 1], step[:, 0]], 1) / np.linalg.norm(step, axis=1, keepdims=True)
        kind = settings.NEOPLASTIC if rng.random() < style.malignant else settings.EPITHELIAL
        glands.append(SimpleNamespace(outline=outline, normal=normal, height=height, type=kind))
        low = np.clip(np.floor(outline.min(0)) - 36, 0, side).astype(int)
        high = np.clip(np.ceil(outline.max(0)) + 36, 0, side).astype(int)
        if np.any(high <= low):
            continue
        window = slice(low[1], high[1]), slice(low[0], high[0])
        gx, gy = np.meshgrid(np.arange(low[0], high[0]) - centre[0], np.arange(low[1], high[1]) - centre[1])
        edge = radius * np.interp(np.arctan2(gy, gx) % (2 * np.pi), theta, bulge, period=2 * np.pi)
        inside = (edge - np.hypot(gx, gy)).astype(np.float32)
        wall = np.maximum(height + 0.55 * (edge - radius), 0.6 * height)
        nearer = inside > maps["depth"][window]
        for name, value in (("depth", inside), ("wall", wall), ("tone", rng.normal()), ("gland", len(glands) - 1)):
            maps[name][window] = np.where(nearer, value, maps[name][window])
    return glands


def _epithelium(rng: Generator, style: Style, gland: SimpleNamespace, within: np.ndarray) -> tuple[Any, ...]:
    """Centres (K, 2) on the lattice, angles (K,), type and half axes of nuclei, in rows along an outline or packed."""
    malignant = gland.type == settings.NEOPLASTIC
    kind = gland.type, np.array(style.plan.nucleus_um) * (1.12 if malignant else 1.0)
    pitch = rng.uniform(*style.plan.pitch_um) / np.sqrt(style.crowding) * (1.1 if malignant else 1.0)
    if gland.height >= settings.PSEUDOSTRATIFIED_UM:
        xy = _scatter(rng, gland.outline.min(0), gland.outline.max(0), 1.6e6 / pitch**2)
        xy = xy[_spaced(xy, np.full(len(xy), pitch * 0.8))]
        xy = xy[_look(within, xy) > 0.55 * pitch]
        return xy, rng.uniform(0, np.pi, len(xy)), *kind
    layers = 1 + (rng.random() < 0.5) + malignant * (rng.random() < 0.5)
    length = np.cumsum(np.linalg.norm(np.diff(gland.outline, axis=0, append=gland.outline[:1]), axis=1))
    where = np.concatenate([np.arange(rng.uniform(0, pitch), length[-1], pitch) for _ in range(layers)])
    layer = np.cumsum(np.diff(where, prepend=0) < 0)
    at = np.searchsorted(length, (where + pitch * rng.normal(0, 0.2, len(where))) % length[-1])
    deep = gland.height * (0.28 + 0.22 * layer + rng.normal(0, 0.09, len(at)))
    angle = np.arctan2(gland.normal[at, 1], gland.normal[at, 0]) + rng.normal(0, 0.2, len(at))
    return gland.outline[at] + deep[:, None] * gland.normal[at], angle, *kind


def _nuclei(rng: Generator, style: Style, glands: list[SimpleNamespace], maps: dict[str, np.ndarray]) -> Discs:
    plan, side = style.plan, len(maps["depth"])
    lattice = np.zeros(2), np.full(2, side)
    room = np.minimum(maps["depth"], maps["wall"] - maps["depth"])
    rooms = (np.where(maps["gland"] == number, room, -1) for number in range(len(glands)))
    groups = [_epithelium(rng, style, gland, within) for gland, within in zip(glands, rooms, strict=True)]
    xy = _scatter(rng, *lattice, style.crowding * _share(rng, plan.stroma_mm2) * 1.3)
    gy, gx = np.gradient(maps["across"])
    angle = np.arctan2(-_look(gx, xy), _look(gy, xy)) + rng.normal(0, 0.25, len(xy))
    groups.append((xy, angle, settings.CONNECTIVE, np.array(plan.stroma_um)))
    xy = _scatter(rng, *lattice, 25_000)
    chance = _share(rng, plan.lymph_mm2, 2.0) / 25_000
    swarm = np.exp(1.6 * _look(np.roll(maps["patchy"], 17, 0), xy) - 1.0)
    xy = xy[rng.random(len(xy)) < chance * swarm]
    groups.append((xy, rng.uniform(0, np.pi, len(xy)), settings.INFLAMMATORY, np.array(settings.LYMPHOCYTE_UM)))

    counts = [len(g[0]) for g in groups]
    xy, angle = (np.concatenate([g[i] for g in groups]) for i in (0, 1))
    types, axes = (np.repeat([g[i] for g in groups], counts, axis=0) for i in (2, 3))
    in_gland = np.repeat(np.arange(len(groups)) < len(glands), counts)
    dying = in_gland & (rng.random(len(xy)) < settings.DEAD_CHANCE)
    types[dying], axes[dying] = settings.DEAD, settings.DEAD_UM
    spread, wobble = np.array([(cell.spread, cell.wobble) for cell in settings.CELLS.values()])[types - 1].T
    axes *= np.exp(spread[:, None] * (rng.standard_normal((len(xy), 1)) + 0.5 * rng.standard_normal((len(xy), 2))))
    waves = rng.standard_normal((len(xy), 4, 2)) @ np.array([1, 1j]) * (wobble[:, None] / np.arange(1, 5))
    thin = rng.random(len(xy)) < settings.FAINT
    part = np.where(thin, rng.uniform(0.25, 0.6, len(xy)), rng.normal(1, 0.08, len(xy)).clip(0.75, 1.25))
    latent = 0.45 * _look(maps["patchy"], xy) + 0.5 * rng.standard_normal(len(xy))
    latent[_look(maps["bare"], xy) > -ndtri(settings.RECEPTOR_FREE)] -= 4.0

    deep, wall = _look(maps["depth"], xy), _look(maps["wall"], xy)
    fits = np.where(in_gland, (deep > 0.5) & (deep < wall), (deep < -axes[:, 1]) & (_look(maps["blood"], xy) < 0))
    fits &= (_look(maps["void"], xy) < 0) | (deep > 0)
    fits &= np.all((xy > 1) & (xy < side - 2), axis=1)
    keep = np.flatnonzero(fits)
    keep = rng.permutation(keep[_spaced(xy[keep], settings.CLOSEST * 2 * np.sqrt(axes[keep].prod(1)))])
    return Discs(*(values[keep] for values in (xy - MARGIN_UM, axes, angle, waves, types, part, latent)))


def _fat(rng: Generator, side: int) -> np.ndarray:
    """Microns inside the nearest fat cell, on the lattice: a Voronoi diagram with thin walls."""
    pitch = settings.FAT_PITCH_UM
    extent = np.arange(-pitch, side + pitch, pitch)
    centres = np.stack(np.meshgrid(extent, extent), -1).reshape(-1, 2)
    centres = centres + rng.uniform(-0.4 * pitch, 0.4 * pitch, centres.shape)
    lattice = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)
    distance, _ = cKDTree(centres).query(lattice, k=2)
    return ((distance[:, 1] - distance[:, 0]) / 2 - 0.9).reshape(side, side).astype(np.float32)


def _erythrocytes(rng: Generator, blood: np.ndarray) -> Discs:
    side = len(blood)
    pitch = 1.9 * settings.ERYTHROCYTE_UM[0]
    rows, cols = np.mgrid[0 : side / (pitch * 0.87), 0 : side / pitch]
    xy = np.stack([(cols + 0.5 * (rows % 2)) * pitch, rows * pitch * 0.87], -1).reshape(-1, 2)
    xy = xy + rng.normal(0, 0.8, xy.shape)
    xy = xy[np.all((xy > 0) & (xy < side - 1), axis=1)]
    xy = xy[(_look(blood, xy) > 0) & (rng.random(len(xy)) < 0.85)]
    n = len(xy)
    axes = rng.uniform(*settings.ERYTHROCYTE_UM, (n, 1)) * np.stack([np.ones(n), rng.uniform(0.7, 1, n)], 1)
    waves = 0.03 * rng.standard_normal((n, 4, 2)) @ np.array([1, 1j])
    angle, part = rng.uniform(0, np.pi, n), rng.uniform(0.7, 1.2, n)
    return Discs(xy - MARGIN_UM, axes, angle, waves, np.zeros(n, int), part, np.zeros(n))


def _scatter(rng: Generator, low: np.ndarray, high: np.ndarray, per_mm2: float) -> np.ndarray:
    """Uniform points in a box, at a density per square millimetre."""
    return rng.uniform(low, high, (rng.poisson(per_mm2 * np.prod(high - low) / 1e6), 2))


def _spaced(xy: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Greedy mask of points, in order, such that two kept points are at least the mean of their distances apart."""
    keep = np.ones(len(xy), bool)
    pairs = cKDTree(xy).query_pairs(distance.max(initial=0), output_type="ndarray")
    gap = np.hypot(*(xy[pairs[:, 0]] - xy[pairs[:, 1]]).T)
    pairs = pairs[gap < distance[pairs].mean(1)]
    for first, second in pairs[np.lexsort(pairs.T[::-1])].tolist():
        keep[second] &= not keep[first]
    return keep


def _look(field: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Value of a lattice field at the nearest lattice point of each point, which may lie outside."""
    at = np.rint(xy).astype(int).clip(0, len(field) - 1)
    return field[at[:, 1], at[:, 0]]
