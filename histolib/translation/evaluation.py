"""Scores of translations from IHC to H&E: image quality, feature distance, content, and detection afterwards."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..imaging import Patch, optical_density
from ..io import plain
from ..metrics import frechet_distance, image_scores, kernel_distance, match_points
from ..metrics.bootstrap import bootstrap_mean, pooled_scores
from ..metrics.distribution import feature_spread, half_size
from ..metrics.image_quality import IMAGE_SCORE_DIRECTION, density_correlation
from ..metrics.points import PointCounts, count_points
from .content import density_weights
from .inference import to_tensor

FIELD_UM = 50.0  # side of a field: four fields in an EndoNuke tile, one in a PanNuke patch of 64 microns
DISTANCES = {"kid": kernel_distance, "fid": frechet_distance}
DIRECTIONS = IMAGE_SCORE_DIRECTION | dict.fromkeys(DISTANCES, "lower")
DIRECTIONS |= dict.fromkeys(("correlation", "nuclei", "detection"), "higher")
Rows = Sequence[Mapping[str, Any]]
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
    he: Iterable[tuple[Patch, str]] = (), features: Mapping[str, Callable[[Sequence[Patch]], np.ndarray]] | None = None,
    detect: Callable[[Patch], np.ndarray] | None = None, find_blobs: FindBlobs | None = None, gain: float | None = None,
    marker: str = "nuclear", radius_um: float = 3.0, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Score translations on the same samples.

    Args:
        samples: IHC patches, read one at a time.
        translations: functions from an IHC patch to its translation of the same size, by name.
        he: further real H&E patches of other tissue, with their groups. Together with the H&E of the samples they are
            the set that translations are compared with.
        features: functions from N patches to features (N, D), by name, for KID and FID of square fields.
        detect: nuclei on H&E, (K, 2) in pixels; scored on samples with known nuclei.
        find_blobs, gain: as `nuclei_changes`; None skips the comparison of nuclei before and after.
        marker: what DAB stains.
        radius_um: matching radius in microns.
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
    # One row per image: its group, the features of its fields, scores, and counts of points.
    real, rows = list[dict[str, Any]](), {name: list[dict[str, Any]]() for name in translations}
    groups, sizes, scales = list[str](), set[str](), set[float]()

    def described(image: Patch, group: str, sample: TranslationSample | None = None) -> dict[str, Any]:
        fields = cut_fields(image) if features else []
        row = {"group": group, "fields": len(fields), "features": {name: f(fields) for name, f in features.items()}}
        if detect and sample and sample.xy is not None:
            row["detection"] = count_points(detect(image) * image.mpp, sample.xy * image.mpp, radius_um)
        return row

    def compared(translated: Patch, sample: TranslationSample) -> dict[str, Any]:
        restained, scores = not np.array_equal(translated.image, sample.ihc.image), dict[str, Any]()
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
        groups.append(sample.group)
        sizes.add("{1} x {0}".format(*sample.ihc.image.shape))
        scales.add(sample.ihc.mpp)
        if sample.he is not None:
            real.append(described(sample.he, sample.group, sample))
        for name, translation in translations.items():
            translated = translation(sample.ihc)
            rows[name].append(described(translated, sample.group, sample) | compared(translated, sample))
    if not groups:
        raise ValueError("evaluate_translations: expected at least one sample, found none")
    paired = len(real)
    real += [described(patch, group) for patch, group in he]
    size = half_size(*map(_field_groups, (*rows.values(), real)))
    return plain({
        "translations": {
            name: {
                "images": {measure: _mean(found, measure, seed) for measure in IMAGE_SCORE_DIRECTION if paired},
                "sets": _distances((found, real), features, size, seed),
                "correlation": _mean(found, "correlation", seed),
                "nuclei": _pooled(found, "nuclei", seed),
                "detection": _pooled(found, "detection", seed),
            }
            for name, found in rows.items()
        },
        "floor": _distances((real,), features, size, seed),
        "ceiling": _pooled(real, "detection", seed),
        "protocol": {
            "samples": len(groups), "groups": len(set(groups)), "image_px": sorted(sizes), "mpp": sorted(scales),
            "he": {"images": len(real), "paired": paired, "groups": len({row["group"] for row in real})},
            "features": {
                "names": list(features), "field_um": FIELD_UM,
                "distance": "mean over 100 random half samples of the groups of each set; "
                "the floor compares halves of the real set that share no group",
                "interval": "percentiles 2.5 and 97.5 of the draws",
            },
            "marker": marker, "correlation": "summed optical density" if marker == "nuclear" else "hematoxylin channel",
            "gain": gain, "radius_um": radius_um, "directions": DIRECTIONS, "seed": seed,
            "interval": f"95 %, percentile bootstrap over groups, seed {seed}",
        },
    })  # fmt: skip


def cut_fields(patch: Patch, side_um: float = FIELD_UM) -> list[Patch]:
    """Cut adjacent square fields from the centre of a patch: one size in microns makes sets comparable.

    Raises:
        ValueError: the patch is smaller than a field.
    """
    side, shape = round(side_um / patch.mpp), patch.image.shape[:2]
    if side > min(shape):
        wanted = f"sides of at least {side_um:g} microns for feature distances"
        raise ValueError("{}: expected {}, found {:.4g} x {:.4g}".format(patch.name or "patch", wanted, *patch.size_um))
    tops, lefts = (range(length % side // 2, length - side + 1, side) for length in shape)
    return [replace(patch, image=patch.image[y : y + side, x : x + side]) for y in tops for x in lefts]


def _field_groups(rows: Rows) -> list[str]:
    return [row["group"] for row in rows for _ in range(row["fields"])]


def _distances(sets: Sequence[Rows], names: Iterable[str], size: int, seed: int) -> dict[str, Any]:
    """KID and FID of two sets, or of halves of one set, by name of features; empty if a set has too few groups.

    FID is left out if a half sample does not have more features than dimensions: its covariance is singular.
    """
    if size < 2:  # distances need two features in each half
        return {}
    groups, distances = [_field_groups(rows) for rows in sets], dict[str, Any]()
    for name in names:
        features = [np.concatenate([row["features"][name] for row in rows]) for rows in sets]
        distances[name] = {
            measure: feature_spread(features, groups, distance, size, seed)
            for measure, distance in DISTANCES.items()
            if measure == "kid" or size > features[0].shape[1]
        }
    return distances


def _column(rows: Rows, measure: str) -> tuple[pd.Series, list[str]]:
    """Values of a measure, and their groups."""
    known = [row for row in rows if measure in row]
    return pd.Series([row[measure] for row in known]), [row["group"] for row in known]


def _mean(rows: Rows, measure: str, seed: int) -> dict[str, Any]:
    values, groups = _column(rows, measure)
    mean = {"mean": values.mean(), "ci95": bootstrap_mean(values.to_numpy(), groups, seed)}
    return mean | {"lowest": values.min()} if measure == "correlation" else mean


def _pooled(rows: Rows, measure: str, seed: int) -> dict[str, Any] | None:
    """Scores of the summed counts; None without counts."""
    counts, groups = _column(rows, measure)
    if not groups:
        return None
    scores, total = pooled_scores(list(counts), groups, seed), sum(counts, PointCounts())
    changes = {"before": scores["n_true"], "lost": total.fn, "new": total.fp}
    return {name: scores[name] for name in ("f1", "f1_ci95")} | changes if measure == "nuclei" else scores
