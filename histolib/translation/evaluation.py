"""How good translations between IHC and H&E are: beside a paired truth, as a set, in what they keep, in what is found.

Every number is of a protocol that stands beside it; no single one says that a translation is good.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..imaging import Patch, optical_density
from ..metrics import (
    IMAGE_SCORE_DIRECTION,
    bootstrap_mean,
    density_correlation,
    half_size,
    image_scores,
)
from ..results import plain
from ..translation import density_weights, to_tensor
from .changes import nuclei_changes
from .evaluation import TileCounts, count_points, summarise
from .feature_sets import DISTANCES, FIELD_UM, Features, FeatureSet
from .translations import Translator

__all__ = ["DIRECTIONS", "TranslationSample", "evaluate_translations"]

DIRECTIONS = {
    **IMAGE_SCORE_DIRECTION,
    **dict.fromkeys(DISTANCES, "lower"),
    **dict.fromkeys(("correlation", "nuclei", "detection"), "higher"),
    "cycle": "lower",
}


@dataclass(frozen=True, slots=True)
class TranslationSample:
    """An IHC patch and what is known about it.

    Attributes:
        ihc: the patch.
        group: what counts as one in intervals: a slide, or a block of neighbouring tiles.
        he: the same tissue in H&E, aligned to the pixel.
        xy: true nuclei in pixels, shape (K, 2).
    """

    ihc: Patch
    group: str
    he: Patch | None = None
    xy: np.ndarray | None = None


def evaluate_translations(
    samples: Iterable[TranslationSample],
    translators: Mapping[str, Translator],
    *,
    he: Iterable[tuple[Patch, str]] = (),
    features: Mapping[str, Features] | None = None,
    detect: Callable[[Patch], np.ndarray] | None = None,
    marker: str = "nuclear",
    gain: float | None = None,
    radius_um: float = 3.0,
    field_um: float = FIELD_UM,
    seed: int = 0,
) -> dict[str, Any]:
    """Score each translation on the same samples, there and, where it has a way back, back.

    Args:
        samples: IHC patches, read one at a time.
        translators: the rivals, by name.
        he: more real H&E patches, of other tissue, and their groups. With the H&E of the samples they are the set that
            translations are compared with.
        features: functions from N patches to features (N, D), by name, for KID and FID.
        detect: finds nuclei on H&E, (K, 2) in pixels of the patch; for the samples that know theirs.
        marker: what the brown stains.
        gain: density of the densest H&E over that of the densest IHC (`StainReference.gain`), by which the threshold
            of the detector before and after is scaled; None leaves that measure away where the stain changes.
        radius_um: largest distance of a hit in microns.
        field_um: side of the squares that features are taken of, cut from every patch.
        seed: of bootstraps and halves.

    Returns:
        plain values, None where a number does not exist. "translations": for every name "to_he" and "to_ihc" (None
        without a way back, or without H&E to begin with), each with
            "images": psnr, ssim, ms_gmsd, mdsi, haarpsi against the paired truth, each {mean, ci95};
            "sets": for every kind of features kid and fid against the real set, each {mean, ci95, size};
            "correlation": {mean, ci95, lowest} of the amount of stain before and after, flat images left out;
            "nuclei": found before against found after: f1, f1_ci95, before, lost, new (to_he alone);
            "cycle": {mean, ci95} of the absolute difference after there and back, 1 being white against black;
            "detection": of `detect` against true nuclei, as `summarise` (to_he alone).
        "floor": real against real in place of "sets"; "ceiling": `detect` on the true H&E. "protocol": how it was done.

    Raises:
        ValueError: there is no sample, or a patch is smaller than a field.
    """
    features = features or {}
    how = _How(features, marker, gain, radius_um, field_um, seed)
    there: dict[str, _Scores] = {name: _Scores(how, "ihc", "he") for name in translators}
    back: dict[str, _Scores] = {name: _Scores(how, "he", "ihc") for name in translators}
    real = {domain: FeatureSet(features, field_um, seed) for domain in ("ihc", "he")}
    sizes: list[tuple[float, ...]] = []
    ceiling: list[TileCounts] = []

    def take_he(patch: Patch, truth: Patch | None, group: str) -> None:
        real["he"].add(patch, group)
        for name, translator in translators.items():
            if translator.to_ihc is not None:
                back[name].add(patch, truth, group, translator)

    for sample in samples:
        real["ihc"].add(sample.ihc, sample.group)
        sizes.append((*sample.ihc.image.shape[:2], sample.ihc.mpp))
        for name, translator in translators.items():
            there[name].add(sample.ihc, sample.he, sample.group, translator, detect, sample.xy)
        if sample.he is not None:
            take_he(sample.he, sample.ihc, sample.group)
            if detect is not None and sample.xy is not None:
                ceiling.append(count_points(detect(sample.he), sample.xy, sample.he.mpp, radius_um, sample.group))
    if not sizes:
        raise ValueError("evaluate_translations: expected at least one sample, found none")
    paired = len(real["he"].groups)
    for patch, group in he:
        take_he(patch, None, group)
    size = half_size(real["ihc"].field_groups, real["he"].field_groups)
    result = {
        "translations": {
            name: {"to_he": there[name].result(real["he"]), "to_ihc": back[name].result(real["ihc"])}
            for name in translators
        },
        "floor": {"to_he": real["he"].floor(size), "to_ihc": real["ihc"].floor(size)},
        "ceiling": summarise(ceiling, seed) if ceiling else None,
        "protocol": {
            "samples": len(sizes),
            "groups": len(set(real["ihc"].groups)),
            "image_px": sorted({f"{width} x {height}" for height, width, _ in sizes}),
            "image_um": sorted({f"{width * mpp:.4g} x {height * mpp:.4g}" for height, width, mpp in sizes}),
            "mpp": sorted({mpp for *_, mpp in sizes}),
            "he": {
                "images": len(real["he"].groups),
                "paired": paired,
                "groups": len(set(real["he"].groups)),
            },
            "features": {
                "of": list(features),
                "field_um": field_um,
                "ihc_fields": len(real["ihc"].field_groups),
                "he_fields": len(real["he"].field_groups),
                "distance": "mean over 100 draws of half the groups of each set, `size` fields of each half; the "
                "floor's halves are of the real set alone and share no group",
                "interval": f"percentiles 2.5 and 97.5 of the draws, seed {seed}",
            },
            "marker": marker,
            "correlation": "summed optical density" if marker == "nuclear" else "hematoxylin channel",
            "nuclei": "Laplacian of Gaussian before and after, threshold scaled by the gain",
            "gain": gain,
            "radius_um": radius_um,
            "interval": f"95 %, percentile bootstrap over groups, seed {seed}",
            "directions": DIRECTIONS,
            "seed": seed,
        },
    }
    return plain(result)


@dataclass(frozen=True, slots=True)
class _How:
    """What all measures share; the names are those of `evaluate_translations`."""

    features: Mapping[str, Features]
    marker: str
    gain: float | None
    radius_um: float
    field_um: float
    seed: int


class _Scores:
    """What one translation did in one direction, image by image."""

    def __init__(self, how: _How, source: str, target: str) -> None:
        self.how, self.source, self.target = how, source, target
        self.set = FeatureSet(how.features, how.field_um, how.seed)
        self.values: dict[str, list[tuple[float, str]]] = defaultdict(list)  # with the group of each
        self.counts: dict[str, list[TileCounts]] = defaultdict(list)

    def add(
        self,
        patch: Patch,
        truth: Patch | None,
        group: str,
        translator: Translator,
        detect: Callable[[Patch], np.ndarray] | None = None,
        true_xy: np.ndarray | None = None,
    ) -> None:
        """Translate a patch and take in its scores."""
        forth, home = translator.to_he, translator.to_ihc
        if self.source == "he":
            forth, home = home or forth, forth
        translated = forth(patch)
        self.set.add(translated, group)
        if truth is not None:  # one by one: piqa's MDSI is of a batch
            for name, value in image_scores(*(to_tensor(p.image)[None] for p in (translated, truth))).items():
                self.values[name].append((value, group))
        stain = self.target if translator.restains else self.source
        before = optical_density(patch.image) @ density_weights(self.source, self.how.marker)
        after = optical_density(translated.image) @ density_weights(stain, self.how.marker)
        self.values["correlation"].append((density_correlation(after, before), group))
        if home is not None:
            difference = home(translated).image.astype(np.float64) - patch.image
            self.values["cycle"].append((float(np.abs(difference).mean() / 255), group))
        if self.source == "ihc":
            gain = self.how.gain if translator.restains else 1.0
            if gain is not None:
                found = nuclei_changes(patch, translated, gain, self.how.marker, self.how.radius_um)
                hits, new, lost = len(found.kept), len(found.new), len(found.lost)
                self.counts["nuclei"].append(TileCounts(group, hits, new, lost, math.nan))
            if detect is not None and true_xy is not None:
                counts = count_points(detect(translated), true_xy, translated.mpp, self.how.radius_um, group)
                self.counts["detection"].append(counts)

    def result(self, real: FeatureSet) -> dict[str, Any] | None:
        """The scores; None where nothing was translated."""
        if not self.set.groups:
            return None
        known = [value for value, _ in self.values["correlation"] if not math.isnan(value)]
        counts = {name: summarise(tiles, self.how.seed) for name, tiles in self.counts.items()}
        nuclei = counts.get("nuclei")
        return {
            "images": {name: self._mean(name) for name in IMAGE_SCORE_DIRECTION if name in self.values},
            "sets": self.set.distances(real),
            "correlation": {**self._mean("correlation"), "lowest": min(known, default=math.nan)},
            "nuclei": nuclei
            and {
                **{name: nuclei[name] for name in ("f1", "f1_ci95")},
                "before": nuclei["n_true"],
                "lost": sum(tile.fn for tile in self.counts["nuclei"]),
                "new": sum(tile.fp for tile in self.counts["nuclei"]),
            },
            "cycle": self._mean("cycle") if "cycle" in self.values else None,
            "detection": counts.get("detection"),
        }

    def _mean(self, name: str) -> dict[str, Any]:
        values, groups = zip(*self.values[name], strict=True)
        known = [value for value in values if not math.isnan(value)]
        interval = bootstrap_mean(np.array(values), groups, self.how.seed)
        return {"mean": float(np.mean(known)) if known else math.nan, "ci95": list(interval)}
