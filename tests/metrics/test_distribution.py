"""Distances have known values; spreads have the right width; Inception gets bytes and reports missing parts."""

import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch

from histolib.metrics import distribution, frechet_distance, kernel_distance
from histolib.metrics.distribution import feature_spread, half_size, inception_features


def shift(a: np.ndarray, b: np.ndarray) -> float:
    """A distance with a simple known value: the difference of the means."""
    return float(b.mean() - a.mean())


def test_distances_of_gaussians_are_known_and_spreads_as_wide_as_experiments():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20_000, 3)), 2.0 * rng.normal(size=(20_000, 3)) + [3.0, 0.0, 0.0]
    assert frechet_distance(a, b) == pytest.approx(9 + 3, rel=0.05)  # |mu|^2 + 3 (2 - 1)^2
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert np.isfinite(frechet_distance(rng.normal(size=(5, 64)), rng.normal(size=(6, 64))))
    repeated = [shift(*rng.normal(size=(2, 60, 1))) for _ in range(500)]
    pairs, groups = rng.normal(size=(20, 2, 60, 1)), (range(60), range(60))
    widths = [np.ptp(feature_spread(pair, groups, shift)["ci95"]) for pair in pairs]
    assert np.mean(widths) == pytest.approx(np.subtract(*np.percentile(repeated, [97.5, 2.5])), rel=0.15)


def test_constant_features_have_a_spread_without_width_of_the_smallest_half():
    sizes = [half_size(*sets) for sets in (("aabbcc",), ("abcd",), ("aaaaab",), ("aabb", "aaaabbbbcccc"), ("",), ())]
    assert sizes == [2, 2, 1, 2, 0, 0]
    a, b = np.full((10, 2), 1.0), np.full((8, 2), 4.0)
    spreads = [feature_spread((a, b), (range(10), range(8)), one) for one in (shift, frechet_distance, kernel_distance)]
    assert spreads[0] == {"mean": 3.0, "ci95": [3.0, 3.0], "size": 4}
    # (x . y / D + 1)^3 of equal features: (1 + 1)^3 + (16 + 1)^3 - 2 (4 + 1)^3
    assert [spread["mean"] for spread in spreads[1:]] == pytest.approx([2 * 3.0**2, 8 + 4913 - 250])


def test_floors_and_spreads_tell_a_shift_from_one_distribution():
    rng = np.random.default_rng(0)
    real, moved = rng.normal(size=(200, 8)), rng.normal(size=(200, 8)) + 0.7
    floor = feature_spread((real,), (range(200),), kernel_distance)
    assert floor["ci95"][0] < 0 < floor["ci95"][1]
    groups = range(200), range(200)
    first, again, other = (feature_spread((moved, real), groups, kernel_distance, seed=seed) for seed in (0, 0, 1))
    assert first["ci95"][0] > floor["ci95"][1]
    assert first["mean"] == pytest.approx(kernel_distance(moved, real), rel=0.1)
    assert first == again != other
    rng = np.random.default_rng(0)
    real, same = rng.normal(size=(200, 30)), rng.normal(size=(80, 30))
    spread = feature_spread((same, real), (range(80), range(200)), frechet_distance)
    floor, large = (feature_spread((real,), (range(200),), frechet_distance, size) for size in (spread["size"], 0))
    assert [each["size"] for each in (spread, floor, large)] == [40, 40, 100]
    assert spread["mean"] == pytest.approx(floor["mean"], rel=0.15)
    assert large["mean"] < floor["mean"] / 2, "the bias falls with the size"


@pytest.mark.parametrize("count", [10, 11])
def test_the_halves_of_the_floor_share_no_group(count):
    groups = np.repeat(np.arange(count), 3)
    shared = feature_spread((groups[:, None],), (groups,), lambda a, b: np.intersect1d(a, b).size)
    assert (shared["mean"], shared["size"]) == (0, 15)


@pytest.fixture
def fidelity(monkeypatch):
    """A stand-in for torch-fidelity whose features are the maximum of each channel."""

    class Network(torch.nn.Module):
        def __init__(self, name, features):
            super().__init__()
            assert features == ["2048"]

        def forward(self, x):
            assert x.dtype == torch.uint8
            return (x.amax((2, 3)).float(),)

    module = SimpleNamespace(FeatureExtractorInceptionV3=Network, URL_INCEPTION_V3="https://weights")
    monkeypatch.setitem(sys.modules, "torch_fidelity", SimpleNamespace(feature_extractor_inceptionv3=module))
    distribution.inception_network.cache_clear()
    yield module
    distribution.inception_network.cache_clear()


def test_inception_gets_bytes_and_missing_parts_are_named(fidelity, monkeypatch):
    images = [np.full((9, 9, 3), (value, 0, 255), np.uint8) for value in range(24)]
    np.testing.assert_array_equal(inception_features(images), [(value, 0, 255) for value in range(24)])
    distribution.inception_network.cache_clear()

    def offline(*_):
        raise URLError("no route to host")

    fidelity.FeatureExtractorInceptionV3 = offline
    with pytest.raises(FileNotFoundError, match=r"https://weights .*no route to host.*encoder features"):
        inception_features(images)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(ValueError, match=r"torch-fidelity, found none; pip install 'histolib\[fid\]'"):
        inception_features(images)
