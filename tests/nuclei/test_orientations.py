"""Averaging over all orientations must not care which way up an image lies, distances turning as vectors do."""

import numpy as np
import pytest

from histolib.nuclei import average_maps, hover_targets, orientations, predict_maps


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def test_one_orientation_is_the_prediction_itself(picture, narrow):
    net = narrow("fast", 3)
    once, plain = average_maps(net, picture, 1), predict_maps(net, picture)
    for name, values in plain.items():
        np.testing.assert_array_equal(once[name], values)


def test_a_turned_or_mirrored_image_has_turned_or_mirrored_maps(picture, narrow):
    net = narrow("fast", None)
    upright = average_maps(net, picture)
    turned = average_maps(net, np.ascontiguousarray(np.rot90(picture)))
    np.testing.assert_allclose(np.rot90(turned["np"], -1), upright["np"], atol=1e-5)
    x, y = np.rot90(turned["hv"], -1).transpose(2, 0, 1)
    np.testing.assert_allclose(np.stack([-y, x], axis=-1), upright["hv"], atol=1e-4)
    mirrored = average_maps(net, np.ascontiguousarray(picture[:, ::-1]))
    np.testing.assert_allclose(mirrored["np"][:, ::-1], upright["np"], atol=1e-5)
    np.testing.assert_allclose(mirrored["hv"][:, ::-1] * (-1, 1), upright["hv"], atol=1e-4)


@pytest.mark.parametrize("count", range(1, 9))
def test_a_network_that_draws_the_truth_still_draws_it(count, discs, monkeypatch):
    """Its maps of the turned image are the targets of the turned instances, so that the mean is the truth."""
    truth = discs((40, 50), (14, 12, 7), (33, 25, 9))

    def draw(net, image, **how):
        return {"np": (image[..., 0] > 0).astype(np.float32), "hv": hover_targets(image[..., 0].astype(np.int32))}

    monkeypatch.setattr(orientations, "predict_maps", draw)
    found = average_maps(None, np.repeat(truth[..., None].astype(np.uint8), 3, axis=2), count)
    np.testing.assert_allclose(found["np"], truth > 0)
    np.testing.assert_allclose(found["hv"], hover_targets(truth), atol=1e-6)


@pytest.mark.parametrize("count", [0, 9])
def test_there_are_eight_orientations(picture, count):
    with pytest.raises(ValueError, match=f"expected 1 to 8 orientations, found {count}"):
        average_maps(None, picture, count)
