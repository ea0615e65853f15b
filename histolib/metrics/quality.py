"""Image quality of translations: paired scores through piqa, and distances between sets of features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IMAGE_SCORE_DIRECTION", "density_correlation", "frechet_distance", "image_scores", "kernel_distance"]

# MS-GMSD and MDSI are distances, although tables in print often rank them as similarities.
IMAGE_SCORE_DIRECTION = {"psnr": "higher", "ssim": "higher", "ms_gmsd": "lower", "mdsi": "lower", "haarpsi": "higher"}


def image_scores(pred: Tensor, true: Tensor) -> dict[str, float]:
    """Paired image quality, averaged over the batch, by piqa.

    Args:
        pred: translated images, float (N, 3, H, W) in [0, 1].
        true: the images that they should equal, same shape and range.

    Returns:
        psnr (dB), ssim, ms_gmsd, mdsi, haarpsi; `IMAGE_SCORE_DIRECTION` says which way is better. piqa 1.3.2 centres
        MDSI's similarity by columns and over the batch, where its paper has the image: score images one by one.

    Raises:
        ValueError: the shapes differ, there is no image, or values leave [0, 1] (a [0, 255] or [-1, 1] image, say).

    >>> import torch
    >>> scores = image_scores(torch.full((1, 3, 64, 64), 0.5), torch.full((1, 3, 64, 64), 0.6))
    >>> list(scores), round(scores["psnr"], 2)
    (['psnr', 'ssim', 'ms_gmsd', 'mdsi', 'haarpsi'], 20.0)
    """
    import piqa
    import torch

    if pred.shape != true.shape or pred.ndim != 4 or pred.shape[1] != 3 or not pred.numel():
        raise ValueError(f"expected two batches (N, 3, H, W), found {tuple(pred.shape)} and {tuple(true.shape)}")
    for name, images in (("pred", pred), ("true", true)):
        low, high = float(images.min()), float(images.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN too
            raise ValueError(f"{name}: expected values in [0, 1], found [{low:.3g}, {high:.3g}]")
    scores = {
        "psnr": piqa.PSNR(),
        "ssim": piqa.SSIM(),
        "ms_gmsd": piqa.MS_GMSD(),
        "mdsi": piqa.MDSI(),
        "haarpsi": piqa.HaarPSI(),
    }
    with torch.inference_mode():
        return {name: float(score.to(pred.device)(pred, true)) for name, score in scores.items()}


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, FID's formula).

    |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), with the covariances over N - 1.

    Args:
        a: features, shape (N, D), N >= 2.
        b: features, shape (M, D), M >= 2. The estimate is biased upwards for few samples: compare equal counts.

    >>> features = np.random.default_rng(0).normal(size=(100, 4))
    >>> round(frechet_distance(features, features + 1), 6)  # the same shape, moved by 1 in each of 4 directions
    4.0
    """
    a, b = _features(a, b)
    # With C = R^T R, tr (C_a C_b)^(1/2) is the sum of the singular values of R_a R_b^T: no matrix square root needed.
    root_a, root_b = _root(a), _root(b)
    cross = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    mean = np.square(a.mean(0) - b.mean(0)).sum()
    return float(max(0.0, mean + np.square(root_a).sum() + np.square(root_b).sum() - 2.0 * cross))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x . y / D + 1)^3 (Bińkowski et al. 2018, KID).

    Args:
        a: features, shape (N, D), N >= 2.
        b: features, shape (M, D), M >= 2. Around 0 (below too) for sets of one distribution.

    >>> features = np.random.default_rng(0).normal(size=(100, 4))
    >>> kernel_distance(features, features + 1) > kernel_distance(features[:50], features[50:])
    True
    """
    a, b = _features(a, b)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1.0) ** 3

    def off_diagonal_mean(gram: np.ndarray) -> float:
        n = len(gram)
        return (gram.sum() - np.trace(gram)) / (n * (n - 1))

    return float(off_diagonal_mean(kernel(a, a)) + off_diagonal_mean(kernel(b, b)) - 2.0 * kernel(a, b).mean())


def density_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two maps of summed optical density, shape (H, W): content kept when near 1.

    Below 0 the picture was inverted. NaN where a map is constant.
    """
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    if a.shape != b.shape:
        raise ValueError(f"density_correlation: expected maps of one size, found {a.size} and {b.size} pixels")
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / norm) if norm > 0 else float("nan")


def _root(x: np.ndarray) -> np.ndarray:
    """R of at most D rows with R^T R the covariance of the features (N, D)."""
    centred = (x - x.mean(0)) / np.sqrt(len(x) - 1)
    return centred if len(x) <= x.shape[1] else np.asarray(np.linalg.qr(centred, mode="r"))


def _features(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"expected features (N, D) and (M, D), N and M >= 2, found {a.shape} and {b.shape}")
    return a, b
