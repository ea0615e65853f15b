"""Scores of translations from IHC to H&E: image quality, feature distance, content, and detection afterwards."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..imaging import Patch, optical_density
from ..io import plain
from ..metrics import image_scores, match_points
from ..metrics.bootstrap import bootstrap_mean, pooled_scores
from ..metrics.distribution import half_size
from ..metrics.image_quality import IMAGE_SCORE_DIRECTION, density_correlation
from ..metrics.points import PointCounts, count_points
from .content import density_weights
from .fields import DISTANCES, FIELD_UM, Features, FeatureSet
from .inference import to_tensor

DIRECTIONS = {
    **IMAGE_SCORE_DIRECTION,
    **dict.fromkeys(DISTANCES, "lower"),
    **dict.fromkeys(("correlation", "nuclei", "detection"), "higher"),
}
DETECTION = {name: name for name in ("precision", "recall", "f1", "f1_ci95", "n_true", "n_pred")}
NUCLEI = {"f1": "f1", "f1_ci95": "f1_ci95", "before": "n_true", "lost": "fn", "new": "fp"}
DISTANCE = (
    "mean over 100 random half samples of the groups of each set; the floor compares halves of the real set that share "
    "no group"
)
INTERVAL = "percentiles 2.5 and 97.5 of the draws"
Rows = Sequence[tuple[Mapping[str, Any], str]]
Detect = Callable[[Patch], np.ndarray]
FindBlobs = Callable[[Patch, float], np.ndarray]


@dataclass(frozen=True, slots=True)
class TranslationSample:
    """An IHC patch with its ground truth.

    Attributes:
        ihc: the patch.
        group: resampling unit of intervals: a slide, or a block of neighbouring tiles.
        he: the same tissue in H&E, registered.
        xy: true nuclei in pixels, shape (K, 2).
    """

    ihc: Patch
    group: str
    he: Patch | None = None
    xy: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class NucleiChanges:
    """Nuclei before and after a translation, in pixels of the patch.

    Attributes:
        kept: found before and after, at their position before, shape (K, 2).
        lost: found only before, shape (L, 2).
        new: found only after, shape (N, 2).
    """

    kept: np.ndarray
    lost: np.ndarray
    new: np.ndarray


def nuclei_changes(
    before: Patch, after: Patch, find_blobs: FindBlobs, gain: float, radius_um: float = 3.0
) -> NucleiChanges:
    """Pair the nuclei that a blob detector finds before and after a translation.

    Args:
        before: IHC patch.
        after: its translation, of the same size and scale.
        find_blobs: function of a patch and a factor on its threshold; returns points (K, 2) in pixels.
        gain: stain density of H&E relative to IHC (`StainReference.gain`), the factor for the translation.
        radius_um: matching radius in microns.
    """
    there, here = find_blobs(before, 1.0), find_blobs(after, gain)
    pairs = match_points(here, there, radius_um / before.mpp)
    return NucleiChanges(there[pairs.true], np.delete(there, pairs.true, axis=0), np.delete(here, pairs.pred, axis=0))


def evaluate_translations(
    samples: Iterable[TranslationSample], translations: Mapping[str, Callable[[Patch], Patch]], *,
    he: Iterable[tuple[Patch, str]] = (), features: Mapping[str, Features] | None = None,
    detect: Detect | None = None, find_blobs: FindBlobs | None = None, gain: float | None = None,
    marker: str = "nuclear", radius_um: float = 3.0, field_um: float = FIELD_UM, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Score translations on the same samples.

    Args:
        samples: IHC patches, read one at a time.
        translations: functions from an IHC patch to its translation, by name.
        he: further real H&E patches of other tissue, with their groups. Together with the H&E of the samples they are
            the set that translations are compared with.
        features: functions from N patches to features (N, D), by name, for KID and FID.
        detect: nuclei on H&E, (K, 2) in pixels; scored on samples with known nuclei.
        find_blobs, gain: as `nuclei_changes`; None skips the comparison of nuclei before and after.
        marker: what DAB stains.
        radius_um: matching radius in microns.
        field_um: side of the fields for feature distances.
        seed: random seed of bootstraps and half samples.

    Returns:
        plain values, None where a number does not exist. "translations": for each name
            "images": psnr, ssim, ms_gmsd, mdsi, haarpsi against the paired H&E, each {mean, ci95};
            "sets": for each kind of features kid and fid against real H&E, each {mean, ci95, size};
            "correlation": {mean, ci95, lowest} of the stain amount before and after, flat images left out;
            "nuclei": agreement of `find_blobs` before and after: f1, f1_ci95, before, lost, new;
            "detection": `detect` against true nuclei: precision, recall, f1, f1_ci95, n_true, n_pred.
        "floor": feature distances between halves of the real H&E; "ceiling": `detect` on the true H&E; "protocol".

    Raises:
        ValueError: there is no sample, or a patch is smaller than a field.
    """
    features = features or {}
    sets = {name: FeatureSet(features, field_um, seed) for name in translations}
    real, sizes, scales = FeatureSet(features, field_um, seed), set[str](), set[float]()
    # Values and point counts of each image by measure, and its group; the ceiling is listed under "".
    rows: dict[str, list[tuple[dict[str, Any], str]]] = {name: [] for name in ("", *translations)}

    def detected(he: Patch | None, sample: TranslationSample) -> dict[str, Any]:
        if he is None or detect is None or sample.xy is None:
            return {}
        pred, true = (np.asarray(xy) * sample.ihc.mpp for xy in (detect(he), sample.xy))
        return {"detection": count_points(pred, true, radius_um)}

    def measured(translated: Patch, sample: TranslationSample) -> dict[str, Any]:
        restained, scores = not np.array_equal(translated.image, sample.ihc.image), detected(translated, sample)
        if sample.he is not None:  # pair by pair, because MDSI of piqa depends on the batch
            scores |= image_scores(*(to_tensor(patch.image)[None] for patch in (translated, sample.he)))
        after = optical_density(translated.image) @ density_weights("he" if restained else "ihc", marker)
        before = optical_density(sample.ihc.image) @ density_weights("ihc", marker)
        scores["correlation"] = density_correlation(after, before)
        if find_blobs and gain is not None:
            changes = nuclei_changes(sample.ihc, translated, find_blobs, gain if restained else 1.0, radius_um)
            scores["nuclei"] = PointCounts(len(changes.kept), len(changes.new), len(changes.lost))
        return scores

    for sample in samples:
        sizes.add("{1} x {0}".format(*sample.ihc.image.shape))
        scales.add(sample.ihc.mpp)
        rows[""].append((detected(sample.he, sample), sample.group))
        if sample.he is not None:
            real.add(sample.he, sample.group)
        for name, translation in translations.items():
            translated = translation(sample.ihc)
            sets[name].add(translated, sample.group)
            rows[name].append((measured(translated, sample), sample.group))
    if not rows[""]:
        raise ValueError("evaluate_translations: expected at least one sample, found none")
    paired = len(real.groups)
    for patch, group in he:
        real.add(patch, group)
    first = next(iter(sets.values()), real)
    return plain({
        "translations": {
            name: {
                "images": {m: _mean(scored, m, seed) for m in IMAGE_SCORE_DIRECTION if paired},
                "sets": sets[name].distances(real),
                "correlation": _mean(scored, "correlation", seed, with_lowest=True),
                "nuclei": _pooled(scored, "nuclei", seed, NUCLEI),
                "detection": _pooled(scored, "detection", seed),
            }
            for name, scored in rows.items() if name
        },
        "floor": real.distances(size=half_size(first.field_groups, real.field_groups)),
        "ceiling": _pooled(rows[""], "detection", seed),
        "protocol": {
            "samples": len(rows[""]), "groups": len({group for _, group in rows[""]}),
            "image_px": sorted(sizes), "mpp": sorted(scales),
            "he": {"images": len(real.groups), "paired": paired, "groups": len(set(real.groups))},
            "features": {"names": list(features), "field_um": field_um, "distance": DISTANCE, "interval": INTERVAL},
            "marker": marker, "correlation": "summed optical density" if marker == "nuclear" else "hematoxylin channel",
            "gain": gain, "radius_um": radius_um, "directions": DIRECTIONS, "seed": seed,
            "interval": f"95 %, percentile bootstrap over groups, seed {seed}",
        },
    })  # fmt: skip


def _of(rows: Rows, measure: str) -> tuple[list[Any], list[str]]:
    """Values of a measure, and their groups."""
    found = [(scores[measure], group) for scores, group in rows if measure in scores]
    return [value for value, _ in found], [group for _, group in found]


def _mean(rows: Rows, measure: str, seed: int, with_lowest: bool = False) -> dict[str, Any]:
    values, groups = _of(rows, measure)
    known = [value for value in values if not math.isnan(value)] or [math.nan]
    mean = {"mean": float(np.mean(known)), "ci95": list(bootstrap_mean(np.array(values), groups, seed))}
    return mean | {"lowest": min(known)} if with_lowest else mean


def _pooled(rows: Rows, measure: str, seed: int, names: Mapping[str, str] = DETECTION) -> dict[str, Any] | None:
    """Scores of the summed counts under the given names; None without counts."""
    counts, groups = _of(rows, measure)
    if not counts:
        return None
    total = sum(counts, PointCounts())
    known = {**pooled_scores(counts, groups, seed), "fp": total.fp, "fn": total.fn}
    return {name: known[score] for name, score in names.items()}
