"""Quality scores must have known values on known images, and refuse the wrong value range."""

import numpy as np
import pytest
import torch

from histolib.metrics import density_correlation, frechet_distance, image_scores, kernel_distance
from histolib.metrics.quality import IMAGE_SCORE_DIRECTION


@pytest.fixture(scope="module")
def images():
    smooth = torch.nn.functional.avg_pool2d(
        torch.rand(2, 3, 140, 140, generator=torch.Generator().manual_seed(0)), 9, 1
    )
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def test_an_image_equals_itself(images):
    scores = image_scores(images, images)
    assert scores["psnr"] > 60
    for name in ("ssim", "haarpsi"):
        assert scores[name] == pytest.approx(1.0, abs=1e-4)
    for name in ("ms_gmsd", "mdsi"):
        assert scores[name] == pytest.approx(0.0, abs=1e-3)


def test_psnr_of_a_constant_shift_is_known():
    grey = torch.full((1, 3, 160, 160), 0.5)
    assert image_scores(grey + 0.1, grey)["psnr"] == pytest.approx(20.0, abs=0.01)


def test_each_score_moves_the_way_it_says(images):
    noisy = (images + 0.2 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    same, worse = image_scores(images, images), image_scores(noisy, images)
    for name, better in IMAGE_SCORE_DIRECTION.items():
        assert (worse[name] < same[name]) == (better == "higher"), name


def test_the_wrong_range_is_refused(images):
    with pytest.raises(ValueError, match=r"pred: expected values in \[0, 1\]"):
        image_scores(images * 255, images)
    with pytest.raises(ValueError, match=r"true: expected values in \[0, 1\]"):
        image_scores(images, images * 2 - 1)
    with pytest.raises(ValueError, match="two batches"):
        image_scores(images[0], images[0])


def test_distances_of_gaussians_are_known():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20_000, 3)), 2.0 * rng.normal(size=(20_000, 3)) + [3.0, 0.0, 0.0]
    assert frechet_distance(a, b) == pytest.approx(9 + 3, rel=0.05)  # |mu|^2 + 3 (2 - 1)^2
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_frechet_survives_fewer_samples_than_dimensions():
    rng = np.random.default_rng(0)
    assert np.isfinite(frechet_distance(rng.normal(size=(5, 64)), rng.normal(size=(6, 64))))


def test_kernel_distance_is_unbiased_and_sees_a_shift():
    rng = np.random.default_rng(0)
    same = [kernel_distance(rng.normal(size=(50, 4)), rng.normal(size=(50, 4))) for _ in range(100)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 10
    assert kernel_distance(rng.normal(size=(50, 4)), rng.normal(size=(50, 4)) + 2) > 1


def test_features_of_other_dimensions_are_refused():
    with pytest.raises(ValueError, match="features"):
        frechet_distance(np.zeros((3, 4)), np.zeros((3, 5)))
    with pytest.raises(ValueError, match="features"):
        kernel_distance(np.zeros((1, 4)), np.zeros((3, 4)))


def test_density_correlation_knows_the_same_the_inverse_and_the_flat():
    ramp = np.arange(12.0).reshape(3, 4)
    assert density_correlation(ramp, 2 * ramp + 1) == pytest.approx(1.0)
    assert density_correlation(ramp, -ramp) == pytest.approx(-1.0)
    assert np.isnan(density_correlation(ramp, np.ones((3, 4))))
    with pytest.raises(ValueError, match="one size"):
        density_correlation(ramp, ramp[:2])
