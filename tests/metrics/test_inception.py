"""The standard features get bytes, and what is missing is said in one line; distances agree with torch-fidelity's."""

import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch

from histolib.metrics import frechet_distance, inception, inception_features, kernel_distance


@pytest.fixture(autouse=True)
def fresh():
    inception._network.cache_clear()
    yield
    inception._network.cache_clear()


@pytest.fixture
def planted(monkeypatch):
    """torch-fidelity, as far as we call it: features are the highest value of each channel."""

    class Network(torch.nn.Module):
        def __init__(self, name, features):
            super().__init__()
            assert features == ["2048"]
            self.register_buffer("nothing", torch.zeros(1))

        def forward(self, x):
            assert x.dtype == torch.uint8
            return (x.amax((2, 3)).float(),)

    module = SimpleNamespace(FeatureExtractorInceptionV3=Network, URL_INCEPTION_V3="https://weights")
    monkeypatch.setitem(sys.modules, "torch_fidelity", SimpleNamespace(feature_extractor_inceptionv3=module))
    monkeypatch.setattr("histolib.config.best_device", lambda: "cpu")
    return module


def test_images_of_any_size_go_in_as_bytes_and_come_out_in_order(planted):
    images = [np.full((size, size, 3), (value, 0, 255), np.uint8) for value, size in enumerate([9, 9, 12] * 8)]
    found = inception_features(images)
    np.testing.assert_array_equal(found, [(value, 0, 255) for value in range(24)])
    assert inception_features([]).shape == (0, 2048)


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8)])
def test_floats_and_other_shapes_are_refused(planted, image):
    with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\), found"):
        inception_features([image])


def test_without_the_package_the_message_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(ValueError, match=r"torch-fidelity, found none; pip install 'histolib\[fid\]'"):
        inception_features([np.zeros((4, 4, 3), np.uint8)])


def test_offline_the_message_names_the_weights_and_the_way_without(planted, monkeypatch):
    def offline(*_):
        raise URLError("no route to host")

    monkeypatch.setattr(planted, "FeatureExtractorInceptionV3", offline)
    with pytest.raises(FileNotFoundError, match=r"https://weights to download once .* features of the encoder"):
        inception_features([np.zeros((4, 4, 3), np.uint8)])


def test_distances_are_those_of_torch_fidelity():
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    a, b = (torch.from_numpy(x) for x in np.random.default_rng(0).normal(size=(2, 50, 16)))
    b = b + 0.5
    statistics = [fid_features_to_statistics(x) for x in (a, b)]
    (theirs,) = fid_statistics_to_metric(*statistics, verbose=False).values()
    assert frechet_distance(a.numpy(), b.numpy()) == pytest.approx(theirs)
    theirs = kid_features_to_metric(a, b, kid_subsets=1, kid_subset_size=50, verbose=False)
    assert kernel_distance(a.numpy(), b.numpy()) == pytest.approx(theirs["kernel_inception_distance_mean"])


def test_the_network_of_torch_fidelity_takes_our_images(monkeypatch):
    fidelity = pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    module = fidelity.feature_extractor_inceptionv3
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
    found = inception_features([np.zeros((20, 30, 3), np.uint8), np.full((9, 9, 3), 255, np.uint8)])
    assert (found.shape, found.dtype) == ((2, 2048), np.float32)
