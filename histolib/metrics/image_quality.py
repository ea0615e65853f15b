"""Image quality of translations: paired scores by piqa, and the correlation of density maps."""

import numpy as np
import torch
from torch import Tensor

# MS-GMSD and MDSI are distances, although published tables often rank them as similarities.
IMAGE_SCORE_DIRECTION = {"psnr": "higher", "ssim": "higher", "ms_gmsd": "lower", "mdsi": "lower", "haarpsi": "higher"}


def image_scores(pred: Tensor, true: Tensor) -> dict[str, float]:
    """Paired image quality by piqa, averaged over the batch.

    Args:
        pred: translated images, float (N, 3, H, W) in [0, 1].
        true: target images, same shape and range.

    Returns:
        psnr (dB), ssim, ms_gmsd, mdsi, haarpsi; `IMAGE_SCORE_DIRECTION` gives the better direction of each. piqa 1.3.2
        centres the similarity of MDSI by columns and over the batch instead of by image: score images one by one.

    Raises:
        AssertionError: by piqa, if the shapes differ or values leave [0, 1] (an image in [0, 255] or [-1, 1]).

    >>> scores = image_scores(torch.full((1, 3, 64, 64), 0.5), torch.full((1, 3, 64, 64), 0.6))
    >>> list(scores), round(scores["psnr"], 2)
    (['psnr', 'ssim', 'ms_gmsd', 'mdsi', 'haarpsi'], 20.0)
    """
    import piqa  # loads torchvision and with it the compiler of torch, which takes seconds

    scores = piqa.PSNR(), piqa.SSIM(), piqa.MS_GMSD(), piqa.MDSI(), piqa.HaarPSI()
    with torch.inference_mode():
        values = [float(score.to(pred.device)(pred, true)) for score in scores]
    return dict(zip(IMAGE_SCORE_DIRECTION, values, strict=True))


def density_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two maps of summed optical density, shape (H, W).

    Near 1 the translation kept the content; below 0 it inverted the image. NaN if a map is constant.
    """
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / norm) if norm > 0 else np.nan
