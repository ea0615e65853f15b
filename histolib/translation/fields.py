"""Sets of images as features: KID and FID between two of them, and between halves of one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..imaging import Patch
from ..metrics import Spread, feature_floor, feature_spread, frechet_distance, half_size, kernel_distance

__all__ = ["DISTANCES", "FIELD_UM", "FeatureSet", "Features", "fields"]

FIELD_UM = 50.0  # side of the squares whose features are compared: four in a tile of EndoNuke, one in PanNuke's 64
FEWEST = 2  # features of a half that a distance can be taken of
DISTANCES = {"kid": kernel_distance, "fid": frechet_distance}

Features = Callable[[Sequence[Patch]], np.ndarray]


class FeatureSet:
    """Features of a growing set of images, taken of squares of one size so that sets compare.

    Args:
        features: functions from N patches to features (N, D), by name.
        field_um: side of the squares in microns.
        seed: of the halves.

    Attributes:
        groups: group of each image.
        field_groups: group of each square.
    """

    def __init__(self, features: Mapping[str, Features], field_um: float = FIELD_UM, seed: int = 0) -> None:
        self.features, self.field_um, self.seed = features, field_um, seed
        self.groups: list[str] = []
        self.field_groups: list[str] = []
        self.parts: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, patch: Patch, group: str) -> None:
        """Take in a patch.

        Raises:
            ValueError: it is smaller than a square.
        """
        self.groups.append(group)
        if self.features:
            squares = fields(patch, self.field_um)
            self.field_groups += [group] * len(squares)
            for name, function in self.features.items():
                self.parts[name].append(function(squares))

    def distances(self, real: FeatureSet) -> dict[str, Any]:
        """KID and FID to a real set by name of features; empty where a set has no two groups of enough squares."""
        if half_size(self.field_groups, real.field_groups) < FEWEST:
            return {}
        groups = self.field_groups, real.field_groups
        return {
            name: {
                measure: _record(feature_spread(self.of(name), real.of(name), distance, *groups, seed=self.seed))
                for measure, distance in DISTANCES.items()
            }
            for name in self.features
        }

    def floor(self, size: int) -> dict[str, Any]:
        """The same between halves of this set, with as many features as a comparison had; empty where it had none."""
        if size < FEWEST:
            return {}
        return {
            name: {
                measure: _record(feature_floor(self.of(name), distance, self.field_groups, size=size, seed=self.seed))
                for measure, distance in DISTANCES.items()
            }
            for name in self.features
        }

    def of(self, name: str) -> np.ndarray:
        """All features of a name, (N, D)."""
        return np.concatenate(self.parts[name])


def fields(patch: Patch, side_um: float) -> list[Patch]:
    """As many squares of a side as fit beside each other, from the middle of the patch.

    Raises:
        ValueError: not one fits.
    """
    side = round(side_um / patch.mpp)
    rows, columns = (size // side for size in patch.image.shape[:2])
    if not rows or not columns:
        width, height = patch.size_um
        raise ValueError(
            f"{patch.name or 'patch'}: expected at least {side_um:g} microns a side to take features of, "
            f"found {width:.4g} x {height:.4g}"
        )
    top, left = (patch.image.shape[0] - rows * side) // 2, (patch.image.shape[1] - columns * side) // 2
    return [
        Patch(patch.image[y : y + side, x : x + side], patch.mpp, patch.name)
        for y in range(top, top + rows * side, side)
        for x in range(left, left + columns * side, side)
    ]


def _record(spread: Spread) -> dict[str, Any]:
    return {"mean": spread.mean, "ci95": [spread.low, spread.high], "size": spread.size}
