"""The spread must hold the truth as often as it says, the floor lie at zero, and no group be in two halves."""

import numpy as np
import pytest

from histolib.metrics import feature_floor, feature_spread, frechet_distance, half_size, kernel_distance


def shift(a: np.ndarray, b: np.ndarray) -> float:
    """A distance whose value is plain: the difference of the means."""
    return float(b.mean() - a.mean())


def each(features: np.ndarray) -> range:
    return range(len(features))


def test_half_size_is_what_the_poorest_half_can_give():
    assert half_size("aabbcc") == 2
    assert half_size("abcd") == 2
    assert half_size("aaaaab") == 1
    assert half_size("aabb", "aaaabbbbcccc") == 2
    assert half_size("aaaa") == half_size("") == half_size() == 0


def test_a_constant_shift_is_found_without_width_where_features_are_alike():
    a, b = np.full((10, 2), 1.0), np.full((8, 2), 4.0)
    spread = feature_spread(a, b, shift, each(a), each(b))
    assert (spread.mean, spread.low, spread.high, spread.size) == (3.0, 3.0, 3.0, 4)
    spread = feature_spread(a, b, frechet_distance, each(a), each(b))
    assert spread.mean == pytest.approx(2 * 3.0**2)
    # (x . y / D + 1)^3 of equal features: (1 + 1)^3 + (16 + 1)^3 - 2 (4 + 1)^3
    assert feature_spread(a, b, kernel_distance, each(a), each(b)).mean == pytest.approx(8 + 4913 - 250)


def test_the_spread_is_as_wide_as_repeating_the_experiment_would_show():
    rng = np.random.default_rng(0)
    repeated = [shift(rng.normal(size=(60, 1)), rng.normal(size=(60, 1))) for _ in range(500)]
    widths = []
    for _ in range(20):
        a, b = rng.normal(size=(2, 60, 1))
        spread = feature_spread(a, b, shift, each(a), each(b), draws=200)
        widths.append(spread.high - spread.low)
    assert np.mean(widths) == pytest.approx(np.subtract(*np.percentile(repeated, [97.5, 2.5])), rel=0.15)


def test_features_of_a_slide_count_as_one():
    rng = np.random.default_rng(0)
    slides = np.repeat(np.arange(10), 12)
    a, b = (rng.normal(size=(10, 1))[slides] for _ in range(2))
    torn = feature_spread(a, b, shift, each(a), each(b))
    whole = feature_spread(a, b, shift, slides, slides)
    assert whole.high - whole.low > 2 * (torn.high - torn.low)


@pytest.mark.parametrize("count", [10, 11])
def test_no_draw_of_the_floor_mixes_a_group(count):
    groups = np.repeat(np.arange(count), 3)
    features = groups[:, None].astype(float)
    seen = []

    def watch(a: np.ndarray, b: np.ndarray) -> float:
        seen.append((set(a.ravel()), set(b.ravel()), len(a), len(b)))
        return 0.0

    size = half_size(groups)
    feature_floor(features, watch, groups)
    assert all(not a & b and m == n == size for a, b, m, n in seen)
    assert set.union(*(a | b for a, b, *_ in seen)) == set(range(count))


def test_the_floor_of_the_unbiased_kernel_distance_is_zero_and_a_shift_lies_above():
    rng = np.random.default_rng(0)
    real, moved = rng.normal(size=(200, 8)), rng.normal(size=(200, 8)) + 0.7
    floor = feature_floor(real, kernel_distance, each(real))
    assert floor.low < 0 < floor.high
    spread = feature_spread(moved, real, kernel_distance, each(moved), each(real), size=floor.size)
    assert spread.low > floor.high
    assert spread.mean == pytest.approx(kernel_distance(moved, real), rel=0.1)


def test_frechet_of_one_distribution_equals_its_floor_at_equal_size_only():
    rng = np.random.default_rng(0)
    real, same = rng.normal(size=(200, 30)), rng.normal(size=(80, 30))
    size = half_size(each(real), each(same))
    floor = feature_floor(real, frechet_distance, each(real), size=size)
    spread = feature_spread(same, real, frechet_distance, each(same), each(real))
    assert (floor.size, spread.size) == (40, 40)
    assert spread.mean == pytest.approx(floor.mean, rel=0.15)
    assert feature_floor(real, frechet_distance, each(real)).mean < floor.mean / 2, "the bias falls with the size"


def test_equal_seeds_give_equal_numbers():
    a, b = np.random.default_rng(0).normal(size=(2, 20, 3))
    once, again, other = (feature_spread(a, b, kernel_distance, each(a), each(b), seed=s) for s in (1, 1, 2))
    assert once == again != other


@pytest.mark.parametrize(("count", "groups"), [(0, ""), (1, "a"), (4, "aaaa"), (2, "ab")])
def test_what_has_no_halves_is_refused(count, groups):
    features = np.zeros((count, 3))
    with pytest.raises(
        ValueError, match=rf"expected at least 2 features .* \({count} features of {len(set(groups))} g"
    ):
        feature_floor(features, kernel_distance, list(groups))


def test_sizes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="a group for each of 4 features, found 3"):
        feature_floor(np.zeros((4, 2)), kernel_distance, "abc")
    with pytest.raises(ValueError, match="at least 9 features"):
        feature_floor(np.zeros((8, 2)), kernel_distance, range(8), size=9)
