"""Image scores have known values on known images and refuse invalid value ranges."""

import numpy as np
import pytest
import torch

from histolib.metrics import image_scores
from histolib.metrics.image_quality import IMAGE_SCORE_DIRECTION, density_correlation


@pytest.fixture(scope="module")
def images():
    noise = torch.rand(2, 3, 140, 140, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(noise, 9, 1)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def test_identical_images_score_perfectly_noise_lowers_scores_and_batches_are_means(images):
    scores = image_scores(images, images)
    assert scores["psnr"] > 60
    with pytest.raises(AssertionError, match=r"lower or equal to 1\.0"):
        image_scores(255 * images, images)
    perfect = {"ssim": 1.0, "haarpsi": 1.0, "ms_gmsd": 0.0, "mdsi": 0.0}
    assert {name: scores[name] for name in perfect} == pytest.approx(perfect, abs=1e-3)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    steps = [image_scores((images + level * noise).clamp(0, 1), images) for level in (0.0, 0.05, 0.1, 0.2)]
    for name, better in IMAGE_SCORE_DIRECTION.items():
        moved = np.diff([scores[name] for scores in steps])
        assert (moved < 0).all() if better == "higher" else (moved > 0).all(), name
    noisy = (images + 0.1 * torch.rand(images.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    alone = [image_scores(noisy[i : i + 1], images[i : i + 1]) for i in range(2)]
    for name, value in image_scores(noisy, images).items():
        # piqa's MDSI takes the mean of its similarity over the batch too.
        assert value == pytest.approx((alone[0][name] + alone[1][name]) / 2, rel=1e-2 if name == "mdsi" else 1e-4), name


@pytest.mark.parametrize("shift", [0.01, 0.1, 0.5])
def test_scores_of_a_constant_shift_are_known(shift):
    grey = torch.full((1, 3, 160, 160), 0.25)
    scores = image_scores(grey + shift, grey)
    assert scores["psnr"] == pytest.approx(-20 * np.log10(shift), abs=0.01)
    # No structure in either image: SSIM is its luminance term, (2 m n + C) / (m^2 + n^2 + C) with C = 0.01^2.
    mean = 0.25 + shift
    assert scores["ssim"] == pytest.approx((0.5 * mean + 1e-4) / (0.25**2 + mean**2 + 1e-4), abs=1e-3)


def test_density_correlation_of_scaled_inverted_and_constant_maps():
    ramp = np.arange(12.0).reshape(3, 4)
    assert density_correlation(ramp, 2 * ramp + 1) == pytest.approx(1.0)
    assert density_correlation(ramp, -ramp) == pytest.approx(-1.0)
    assert np.isnan(density_correlation(ramp, np.ones((3, 4))))
