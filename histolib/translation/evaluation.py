"""Scores of translations from IHC to H&E: image quality, feature distance, content, and detection afterwards."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..imaging import Patch, optical_density
from ..io import plain
from ..metrics import bootstrap_f1, image_scores, match_points
from ..metrics.bootstrap import block_sums, bootstrap_mean
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
    real = FeatureSet(features, field_um, seed)
    groups: list[str] = []
    sizes: list[tuple[int, int, float]] = []
    values: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    counts: dict[tuple[str, str], list[tuple[PointCounts, str]]] = defaultdict(list)
    for sample in samples:
        ihc, group = sample.ihc, sample.group
        groups.append(group)
        sizes.append((*ihc.image.shape[:2], ihc.mpp))
        if sample.he is not None:
            real.add(sample.he, group)
            if detect and sample.xy is not None:
                counts["", "ceiling"].append((_count(detect(sample.he), sample.xy, ihc.mpp, radius_um), group))
        before = optical_density(ihc.image) @ density_weights("ihc", marker)
        for name, translation in translations.items():
            translated = translation(ihc)
            restained = not np.array_equal(translated.image, ihc.image)
            sets[name].add(translated, group)
            if sample.he is not None:  # pair by pair, because MDSI of piqa depends on the batch
                pair = (to_tensor(patch.image)[None] for patch in (translated, sample.he))
                for measure, value in image_scores(*pair).items():
                    values[name, measure].append((value, group))
            after = optical_density(translated.image) @ density_weights("he" if restained else "ihc", marker)
            values[name, "correlation"].append((density_correlation(after, before), group))
            if find_blobs and gain is not None:
                changes = nuclei_changes(ihc, translated, find_blobs, gain if restained else 1.0, radius_um)
                kept = PointCounts(len(changes.kept), len(changes.new), len(changes.lost))
                counts[name, "nuclei"].append((kept, group))
            if detect and sample.xy is not None:
                found = _count(detect(translated), sample.xy, ihc.mpp, radius_um)
                counts[name, "detection"].append((found, group))
    if not groups:
        raise ValueError("evaluate_translations: expected at least one sample, found none")
    paired = len(real.groups)
    for patch, group in he:
        real.add(patch, group)
    result: dict[str, Any] = {"translations": {}}
    for name in translations:
        nuclei = _pooled(counts[name, "nuclei"], seed)
        lost, new = (sum(getattr(c, kind) for c, _ in counts[name, "nuclei"]) for kind in ("fn", "fp"))
        same = nuclei and {"f1": nuclei["f1"], "f1_ci95": nuclei["f1_ci95"], "before": nuclei["n_true"]}
        lowest = min((v for v, _ in values[name, "correlation"] if not math.isnan(v)), default=math.nan)
        result["translations"][name] = {
            "images": {m: _mean(values[name, m], seed) for m in IMAGE_SCORE_DIRECTION if (name, m) in values},
            "sets": sets[name].distances(real),
            "correlation": _mean(values[name, "correlation"], seed) | {"lowest": lowest},
            "nuclei": same and same | {"lost": lost, "new": new},
            "detection": _pooled(counts[name, "detection"], seed),
        }
    first = next(iter(sets.values()), real)
    result["floor"] = real.distances(size=half_size(first.field_groups, real.field_groups))
    result["ceiling"] = _pooled(counts["", "ceiling"], seed)
    result["protocol"] = {
        "samples": len(groups), "groups": len(set(groups)),
        "image_px": sorted({f"{width} x {height}" for height, width, _ in sizes}), "mpp": sorted({s[2] for s in sizes}),
        "he": {"images": len(real.groups), "paired": paired, "groups": len(set(real.groups))},
        "features": {"names": list(features), "field_um": field_um,
            "distance": "mean over 100 random half samples of the groups of each set; the floor compares halves of the "
            "real set that share no group",
            "interval": "percentiles 2.5 and 97.5 of the draws",
        },
        "marker": marker, "correlation": "summed optical density" if marker == "nuclear" else "hematoxylin channel",
        "gain": gain, "radius_um": radius_um, "directions": DIRECTIONS, "seed": seed,
        "interval": f"95 %, percentile bootstrap over groups, seed {seed}",
    }  # fmt: skip
    return plain(result)


def _count(pred_xy: np.ndarray, true_xy: np.ndarray, mpp: float, radius_um: float) -> PointCounts:
    return count_points(np.asarray(pred_xy) * mpp, np.asarray(true_xy) * mpp, radius_um)


def _mean(values: Sequence[tuple[float, str]], seed: int) -> dict[str, Any]:
    numbers, groups = zip(*values, strict=True)
    known = [number for number in numbers if not math.isnan(number)]
    interval = bootstrap_mean(np.array(numbers), groups, seed)
    return {"mean": float(np.mean(known)) if known else math.nan, "ci95": list(interval)}


def _pooled(counts: Sequence[tuple[PointCounts, str]], seed: int) -> dict[str, Any] | None:
    if not counts:
        return None
    total = sum((count for count, _ in counts), PointCounts())
    by_group = block_sums(np.array([count.counts for count, _ in counts]), [group for _, group in counts])
    scores: dict[str, Any] = {key: total.scores()[key] for key in ("precision", "recall", "f1")}
    interval = list(bootstrap_f1(by_group, seed))
    return scores | {"f1_ci95": interval, "n_true": total.tp + total.fn, "n_pred": total.tp + total.fp}
