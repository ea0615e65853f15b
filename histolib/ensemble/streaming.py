"""Detection on images of any size: tile by tile, with finished tiles on disk, and results that are written in parts."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

from ..imaging import Patch, Window, map_points, resample
from ..translation.inference import hold_sample
from .journal import Journal
from .models import Models
from .nuclei import Nuclei
from .routes import ROUTES, roles_of
from .slides import Slide, find_tissue
from .staining import THRESHOLDS, nuclear_density, slide_staining, staining_scores

MODEL_MPP = 0.5  # scale of routes without a network
SLACK_UM = 3.0  # a tile keeps nuclei up to this distance outside its kept part; pairs of two tiles within it are one
FIELD_UM = 256.0  # side of the square fields that are mapped, and resampled for the intervals


class SlideRun:
    """Detection by one route on one slide.

    Stain statistics (of Macenko, Reinhard, `od` and the CycleGAN) come from a sample of the whole slide, so that all
    tiles are treated alike; an image of one tile is its own sample.

    Args:
        slide: the image.
        route: key of `ROUTES`.
        marker: what DAB stains.
        models: weights.

    Raises:
        ValueError: the slide has no tissue, or its file is damaged.
    """

    def __init__(self, slide: Slide, route: str, marker: str, models: Models) -> None:
        self.slide, self.route, self.marker, self.models = slide, route, marker, models
        scales = [getattr(models.load(role), "mpp", None) for role in sorted(roles_of(route, models))]
        self.level = slide.level_for(min([scale for scale in scales if scale], default=MODEL_MPP))
        self.mpp = slide.level_mpp(self.level)
        self.thumbnail = slide.thumbnail()
        self.tissue = np.ones(self.thumbnail.image.shape[:2], bool)
        self.tiles = slide.tiles(self.level)
        self._sample = None
        if len(self.tiles) > 1:
            self.tissue = find_tissue(self.thumbnail.image)
            self.tiles = [tile for tile in self.tiles if self._holds_tissue(tile)]
            if not self.tiles:
                raise ValueError(f"{slide.path}: expected tissue, found empty glass only")
            self._sample = slide.stain_sample(self.level, self.tiles)

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue in square millimetres."""
        return float(self.tissue.mean()) * self.thumbnail.area_mm2

    def detect(self, todo: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Records of the tiles `todo` in order, computed in one thread per core."""
        if not len(todo):
            return
        with ExitStack() as held:
            if self._sample is not None and "ihc_to_he" in roles_of(self.route, self.models):
                generator = self.models.load("ihc_to_he")
                held.enter_context(
                    hold_sample(generator, resample(self._sample, self.mpp / (generator.mpp or self.mpp)))
                )
            yield from self._in_threads(todo)

    def _in_threads(self, todo: Sequence[int]) -> Iterator[dict[str, Any]]:
        threads = torch.get_num_threads() if len(self.tiles) > 1 and not torch.cuda.is_available() else 1
        if threads == 1:
            yield from map(self._detect, todo)
            return
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool.submit(self._detect, todo[0]).result()  # prepares the networks once, for all threads
            yield from pool.map(self._detect, todo[1:])

    def _detect(self, number: int) -> dict[str, Any]:
        tile, slide = self.tiles[number], self.slide
        patch = Patch(slide.read(self.level, *tile.read), self.mpp, slide.path.stem, self._sample)
        found = ROUTES[self.route](patch, self.marker, self.models)
        density, glass, background = nuclear_density(patch, found)
        origin = np.array([part.start for part in tile.read[::-1]])

        def to_slide(points: np.ndarray) -> np.ndarray:
            return np.round(map_points(np.asarray(points).reshape(-1, 2) + origin, slide.scale(self.level)), 2)

        xy = to_slide(found.xy)
        kept = np.flatnonzero(self.inside_um(xy, number) >= -SLACK_UM)
        columns = {"score": found.score, "type": found.type, "area_um2": found.area_um2}
        return {
            "tile": number,
            "xy": xy[kept].tolist(),
            **{name: None if values is None else _rounded(values[kept]) for name, values in columns.items()},
            "contours": found.contours and [to_slide(found.contours[i]).tolist() for i in kept],
            "density": np.round(density[kept], 4).tolist(),
            "glass": glass.tolist(),
            "background": background.tolist(),
        }

    def inside_um(self, xy: np.ndarray, number: int) -> np.ndarray:
        """Distance in microns of points (K, 2) of the slide to the border of a tile's kept part; negative is outside.

        The border of the slide is no border of a tile.
        """
        (scale_x, scale_y), sizes = self.slide.scale(self.level), self.slide.sizes[self.level]
        xy = map_points(xy, (1 / scale_x, 1 / scale_y))
        inside = np.full(len(xy), np.inf)
        for axis, (part, size) in enumerate(zip(self.tiles[number].keep[::-1], sizes, strict=True)):
            if part.start:
                inside = np.minimum(inside, xy[:, axis] + 0.5 - part.start)
            if part.stop < size:
                inside = np.minimum(inside, part.stop - 0.5 - xy[:, axis])
        return inside * self.mpp

    def _holds_tissue(self, tile: Window) -> bool:
        shrink = np.array(self.tissue.shape) / self.slide.sizes[self.level][::-1]
        rows, columns = (
            slice(int(part.start * factor), int(np.ceil(part.stop * factor)))
            for part, factor in zip(tile.keep, shrink, strict=True)
        )
        return bool(self.tissue[rows, columns].any())


class SlideResult:
    """Nuclei and scores of a slide whose tiles are finished; outlines stay on disk.

    Args:
        run: the detection.
        journal: with a record of every tile.
        thresholds: DAB densities from which a nucleus is 1+, 2+ and 3+.
    """

    def __init__(self, run: SlideRun, journal: Journal, thresholds: Sequence[float] = THRESHOLDS) -> None:
        self._run, self._journal = run, journal
        self.thresholds = tuple(thresholds)
        columns, glass, background = [], [], []
        for record in journal.records():
            xy, density = np.reshape(record["xy"], (-1, 2)), np.reshape(record["density"], (-1, 3))
            inside_um = run.inside_um(xy, record["tile"])
            columns.append((xy, density, np.array(record["score"]), inside_um, np.full(len(xy), record["tile"])))
            glass.append(record["glass"])
            background.append(record["background"])
        xy, density, score, inside_um, tile = map(np.concatenate, zip(*columns, strict=True))
        self._kept = _unique(xy * run.slide.mpp, tile, inside_um, score)
        self.xy = xy[self._kept]
        dab, self.vectors = slide_staining(density[self._kept], np.array(glass), np.array(background))
        self.dab_od = np.round(dab, 4) + 0.0  # no -0.0
        self.intensity = np.digitize(self.dab_od, self.thresholds)

    def parts(self) -> Iterator[Nuclei]:
        """Nuclei of each tile in pixels of the slide, with outlines; one tile in memory at a time."""
        first = done = 0
        for record in self._journal.records():
            kept = np.flatnonzero(self._kept[first : first + len(record["xy"])])
            first += len(record["xy"])
            mine = slice(done, done := done + len(kept))
            yield Nuclei(
                xy=self.xy[mine],
                score=np.asarray(record["score"], float)[kept],
                type=record["type"] and np.array(record["type"], object)[kept],
                area_um2=record["area_um2"] and np.array(record["area_um2"], float)[kept],
                contours=record["contours"] and tuple(np.array(record["contours"][i]) for i in kept),
                dab_od=self.dab_od[mine],
                intensity=self.intensity[mine] if self.is_scored else None,
            )

    @property
    def is_scored(self) -> bool:
        """Whether the staining of nuclei is what the marker shows."""
        return self._run.marker == "nuclear"

    @cached_property
    def fields(self) -> np.ndarray:
        """Nuclei of intensity 0, 1+, 2+ and 3+ in square fields of 256 microns, (rows, columns, 4)."""
        return self._count(np.ones(len(self.xy), bool))

    @cached_property
    def scores(self) -> dict[str, Any] | None:
        """`staining_scores` over the fields; None if the marker is not nuclear."""
        return staining_scores(self.fields) if self.is_scored else None

    def figures(self) -> dict[str, Any]:
        """Pictures by name: tissue, heat maps of density and positivity, and a page that sums the slide up."""
        from ..viz.slides import figure_slide_map, figure_slide_page, figure_tissue

        run, nuclei = self._run, self.fields.sum(axis=-1)
        thumbnail, name = run.thumbnail, run.slide.path.stem
        maps: list[Any] = [("nuclei per mm²", np.where(nuclei, nuclei / (FIELD_UM / 1000) ** 2, np.nan), (0.0, None))]
        title = f"{name}: {len(self.xy)} nuclei on {run.tissue_mm2:.1f} mm²"
        if scores := self.scores:
            share = 100 * (nuclei - self.fields[..., 0]) / np.where(nuclei, nuclei, np.nan)
            maps.append(("positive nuclei in %", share, (0.0, 100.0)))
            title += (
                f", {scores['positivity']:.1f} % positive, H-score {scores['h_score']:.0f}, Allred {scores['allred']}"
            )
        pictures = {
            kind: figure_slide_map(thumbnail, values, FIELD_UM, f"{name}: {label}", label, limits)
            for kind, (label, values, limits) in zip(("density", "positivity"), maps, strict=False)
        }
        counts = self.fields.sum(axis=(0, 1)) if self.is_scored else ()
        page = figure_slide_page(thumbnail, run.tissue, maps, counts, FIELD_UM, title)
        return {"tissue": figure_tissue(thumbnail, run.tissue), **pictures, "page": page}

    def summary(self, regions: dict[str, list[np.ndarray]] | None = None) -> dict[str, Any]:
        """Counts and staining scores of the slide, of its fields, and of regions; JSON values.

        Args:
            regions: name to polygons (V, 2) in pixels of the slide; a point inside an odd number of them is inside.
        """
        run, slide = self._run, self._run.slide
        rows, columns = np.nonzero(self.fields.sum(axis=-1))
        vectors = dict(zip(("hematoxylin", "dab"), self.vectors.tolist(), strict=True))
        result: dict[str, Any] = {
            "size_px": list(slide.sizes[0]),
            "level_mpp": run.mpp,
            "stain_statistics": "sample of the slide" if len(run.tiles) > 1 else "the image",
            "tissue_mm2": run.tissue_mm2,
            "nuclei": len(self.xy),
            "nuclei_per_mm2": len(self.xy) / max(run.tissue_mm2, 1e-9),
            "thresholds": self.thresholds,
            "stain_vectors": vectors,
            "staining": self.scores,
            "regions": {},
            "fields": {
                "side_um": FIELD_UM,
                "row": rows.tolist(),
                "column": columns.tolist(),
                "counts": self.fields[rows, columns].tolist(),
            },
        }
        for name, polygons in (regions or {}).items():
            inside = sum(points_in_poly(self.xy, polygon) for polygon in polygons) % 2 == 1
            result["regions"][name] = {"nuclei": int(inside.sum())}
            if self.is_scored:
                result["regions"][name]["staining"] = staining_scores(self._count(inside))
        return result

    def _count(self, chosen: np.ndarray) -> np.ndarray:
        """Nuclei of each intensity in each field, (rows, columns, 4), of the chosen ones (K,)."""
        width, height = self._run.slide.sizes[0]
        shape = [max(1, int(np.ceil(side * self._run.slide.mpp / FIELD_UM))) for side in (height, width)]
        column, row = np.clip((self.xy + 0.5) * self._run.slide.mpp // FIELD_UM, 0, np.array(shape[::-1]) - 1).T
        counts = np.zeros((*shape, 4), int)
        np.add.at(counts, (row[chosen].astype(int), column[chosen].astype(int), self.intensity[chosen]), 1)
        return counts


def _unique(xy_um: np.ndarray, tile: np.ndarray, inside_um: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Mask (K,) that keeps one of the nuclei that two tiles share.

    A nucleus in the kept part of its tile wins over one outside, then the higher score; it removes those of other tiles
    within 3 microns.
    """
    kept = np.ones(len(xy_um), bool)
    near = np.flatnonzero(inside_um < SLACK_UM)
    neighbours = cKDTree(xy_um[near]).query_ball_point(xy_um[near], SLACK_UM) if len(near) else []
    for i in np.lexsort((near, -score[near], inside_um[near] < 0)):
        if kept[near[i]]:
            others = near[neighbours[i]]
            kept[others[tile[others] != tile[near[i]]]] = False
    return kept


def _rounded(values: np.ndarray) -> list[Any]:
    values = np.asarray(values)
    return values.round(4).tolist() if values.dtype.kind == "f" else values.tolist()
