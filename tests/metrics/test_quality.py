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


@pytest.mark.parametrize("shift", [0.01, 0.1, 0.5])
def test_scores_of_a_constant_shift_are_known(shift):
    grey = torch.full((1, 3, 160, 160), 0.25)
    scores = image_scores(grey + shift, grey)
    assert scores["psnr"] == pytest.approx(-20 * np.log10(shift), abs=0.01)
    # No structure in either image: SSIM is its luminance term, (2 m n + C) / (m^2 + n^2 + C) with C = 0.01^2.
    mean = 0.25 + shift
    assert scores["ssim"] == pytest.approx((0.5 * mean + 1e-4) / (0.25**2 + mean**2 + 1e-4), abs=1e-3)


def test_scores_of_a_batch_are_means_of_its_images(images):
    noisy = (images + 0.1 * torch.rand(images.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    alone = [image_scores(noisy[i : i + 1], images[i : i + 1]) for i in range(2)]
    for name, value in image_scores(noisy, images).items():
        # piqa's MDSI takes the mean of its similarity over the batch too.
        assert value == pytest.approx((alone[0][name] + alone[1][name]) / 2, rel=1e-2 if name == "mdsi" else 1e-4), name


def test_each_score_moves_the_way_it_says(images):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    steps = [image_scores((images + level * noise).clamp(0, 1), images) for level in (0.0, 0.05, 0.1, 0.2)]
    for name, better in IMAGE_SCORE_DIRECTION.items():
        moved = np.diff([scores[name] for scores in steps])
        assert (moved < 0).all() if better == "higher" else (moved > 0).all(), name


def test_the_wrong_range_is_refused(images):
    with pytest.raises(ValueError, match=r"pred: expected values in \[0, 1\]"):
        image_scores(images * 255, images)
    with pytest.raises(ValueError, match=r"true: expected values in \[0, 1\]"):
        image_scores(images, images * 2 - 1)
    with pytest.raises(ValueError, match=r"pred: expected values in \[0, 1\], found \[nan"):
        image_scores(images * torch.nan, images)
    with pytest.raises(ValueError, match="two batches"):
        image_scores(images[0], images[0])
    with pytest.raises(ValueError, match="two batches"):
        image_scores(images[:0], images[:0])


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
