"""How far a distance between two sets of features may be off by chance, and what it is between two sets of one kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Spread", "feature_floor", "feature_spread", "half_size"]

Distance = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """A distance of random halves of two sets.

    Attributes:
        mean: over the draws.
        low, high: percentiles 2.5 and 97.5 of the draws.
        size: features of each set in a draw.
    """

    mean: float
    low: float
    high: float
    size: int


def half_size(*groups: Sequence[Any]) -> int:
    """Features that any half of the groups of each set can give: the `size` at which distances compare.

    Args:
        groups: for each set the group (slide, image) of each feature.

    Returns:
        0 where a set has fewer than two groups, which have no halves.
    """
    sizes = []
    for labels in groups:
        counts = np.sort(np.unique(np.asarray(list(labels), str), return_counts=True)[1])
        sizes.append(int(counts[: len(counts) // 2].sum()))
    return min(sizes, default=0)


def feature_spread(
    a: np.ndarray,
    b: np.ndarray,
    distance: Distance,
    groups_a: Sequence[Any],
    groups_b: Sequence[Any],
    *,
    size: int | None = None,
    draws: int = 100,
    seed: int = 0,
) -> Spread:
    """Distance of two sets over random halves of their groups, drawn without replacement.

    Halves differ from the whole about as much as the whole differs from the truth (half-sampling: McCarthy, Rev. Int.
    Stat. Inst. 37 (1969); Politis & Romano, Ann. Stat. 22 (1994)), so their percentiles are an interval. A bootstrap
    would draw features twice, and a kernel distance takes equal features for a set that is narrow.

    Args:
        a: features, shape (N, D).
        b: features, shape (M, D).
        distance: `kernel_distance` or `frechet_distance`.
        groups_a, groups_b: what each feature belongs to; features of a slide come and go together.
        size: features taken from each half, so that distances of several sets compare; default `half_size`.
        draws: number of draws.
        seed: of the draws.

    Raises:
        ValueError: a set has fewer than two groups, its groups are of another number, or halves hold fewer features
            than `size` or 2.
    """
    size = half_size(groups_a, groups_b) if size is None else size
    rng = np.random.default_rng(seed)
    halves_a, halves_b = _Halves(a, groups_a, size), _Halves(b, groups_b, size)
    return _spread([distance(halves_a.draw(rng)[0], halves_b.draw(rng)[0]) for _ in range(draws)], size)


def feature_floor(
    reference: np.ndarray,
    distance: Distance,
    groups: Sequence[Any],
    *,
    size: int | None = None,
    draws: int = 100,
    seed: int = 0,
) -> Spread:
    """Distance between two halves of one set that share no group: what remains between real and real.

    A distance of the same `size` inside this spread is none that so few images can show. Arguments and errors are those
    of `feature_spread`.
    """
    size = half_size(groups) if size is None else size
    rng, halves = np.random.default_rng(seed), _Halves(reference, groups, size)
    return _spread([distance(*halves.draw(rng)) for _ in range(draws)], size)


class _Halves:
    """Random halves of a set's groups, a number of features of each."""

    def __init__(self, features: np.ndarray, groups: Sequence[Any], size: int) -> None:
        names, self.group = np.unique(np.asarray(list(groups), str), return_inverse=True)
        self.features, self.count, self.size = np.asarray(features), len(names), size
        if len(self.features) != len(self.group):
            raise ValueError(f"expected a group for each of {len(self.features)} features, found {len(self.group)}")
        if not 2 <= size <= half_size(groups):
            raise ValueError(
                f"expected at least {max(2, size)} features in any half of the groups, "
                f"found {half_size(groups)} ({len(self.features)} features of {self.count} groups)"
            )

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Features (size, D) of one half of the groups and of the other."""
        order = rng.permutation(self.count)
        first = order[: (self.count + rng.integers(2)) // 2]  # of an odd number, one group more or less in turn
        inside = np.isin(self.group, first)
        one, other = (self.features[rng.permutation(np.flatnonzero(part))[: self.size]] for part in (inside, ~inside))
        return one, other


def _spread(values: Sequence[float], size: int) -> Spread:
    low, high = np.percentile(values, [2.5, 97.5])
    return Spread(float(np.mean(values)), float(low), float(high), size)
