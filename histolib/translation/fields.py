"""Feature distances (KID, FID) between sets of images, from square fields of one size in microns."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..imaging import Patch
from ..metrics import frechet_distance, kernel_distance
from ..metrics.distribution import feature_floor, feature_spread, half_size

FIELD_UM = 50.0  # side of a field: four fields in an EndoNuke tile, one in a PanNuke patch of 64 microns
DISTANCES = {"kid": kernel_distance, "fid": frechet_distance}

Features = Callable[[Sequence[Patch]], np.ndarray]


class FeatureSet:
    """Features of a set of images, computed while the images are read.

    Args:
        features: functions from N patches to features (N, D), by name.
        field_um: side of the square fields in microns; one size makes sets comparable.
        seed: random seed of the half samples.

    Attributes:
        groups: group of each image.
        field_groups: group of each field.
    """

    def __init__(self, features: Mapping[str, Features], field_um: float = FIELD_UM, seed: int = 0) -> None:
        self.features, self.field_um, self.seed = features, field_um, seed
        self.groups: list[str] = []
        self.field_groups: list[str] = []
        self.parts: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, patch: Patch, group: str) -> None:
        """Add the fields of a patch.

        Raises:
            ValueError: the patch is smaller than a field.
        """
        self.groups.append(group)
        if self.features:
            fields = cut_fields(patch, self.field_um)
            self.field_groups += [group] * len(fields)
            for name, function in self.features.items():
                self.parts[name].append(function(fields))

    def distances(self, real: "FeatureSet | None" = None, size: int | None = None) -> dict[str, Any]:
        """KID and FID by name of features, each {mean, ci95, size}; empty if a set has too few groups.

        FID is left out if a half sample does not have more features than dimensions: its covariance is singular.

        Args:
            real: set to compare with; None compares halves of this set with each other (the real-to-real floor).
            size: features per half sample, for the floor.
        """
        if size is None:
            size = half_size(self.field_groups, (real or self).field_groups)
        if size < 2:  # distances need two features in each half
            return {}
        found: dict[str, Any] = {}
        for name, parts in self.parts.items():
            own, found[name] = np.concatenate(parts), {}
            for measure, distance in DISTANCES.items():
                if measure == "fid" and size <= own.shape[1]:
                    continue
                if real is None:
                    spread = feature_floor(own, distance, self.field_groups, size=size, seed=self.seed)
                else:
                    sets, groups = (own, np.concatenate(real.parts[name])), (self.field_groups, real.field_groups)
                    spread = feature_spread(*sets, distance, *groups, seed=self.seed)
                found[name][measure] = {"mean": spread.mean, "ci95": [spread.low, spread.high], "size": spread.size}
        return found


def cut_fields(patch: Patch, side_um: float) -> list[Patch]:
    """Cut adjacent square fields from the centre of a patch.

    Raises:
        ValueError: the patch is smaller than a field.
    """
    side = round(side_um / patch.mpp)
    rows, columns = (size // side for size in patch.image.shape[:2])
    if not rows or not columns:
        wanted = f"sides of at least {side_um:g} microns for feature distances"
        raise ValueError("{}: expected {}, found {:.4g} x {:.4g}".format(patch.name or "patch", wanted, *patch.size_um))
    top, left = (patch.image.shape[0] - rows * side) // 2, (patch.image.shape[1] - columns * side) // 2
    return [
        Patch(patch.image[y : y + side, x : x + side], patch.mpp, patch.name)
        for y in range(top, top + rows * side, side)
        for x in range(left, left + columns * side, side)
    ]
