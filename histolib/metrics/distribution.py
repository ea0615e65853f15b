"""Distances between sets of image features (FID, KID), their sampling spread, and the Inception features."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..config import best_device

Distance = Callable[[np.ndarray, np.ndarray], float]

DRAWS = 100
BATCH = 16


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance between Gaussians fitted to two feature sets (the formula of FID, Heusel et al. 2017).

    |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), with covariances normalised by N - 1. The estimate is biased
    upwards for few samples, so compare it at equal sample sizes only.

    Args:
        a: features, shape (N, D), N >= 2.
        b: features, shape (M, D), M >= 2.

    Raises:
        ValueError: the shapes do not fit.

    >>> features = np.random.default_rng(0).normal(size=(100, 4))
    >>> round(frechet_distance(features, features + 1), 6)  # the same shape, shifted by 1 along each of 4 axes
    4.0
    """
    a, b = _checked(a, b)
    # With C = R^T R, tr (C_a C_b)^(1/2) is the sum of the singular values of R_a R_b^T: no matrix square root needed.
    root_a, root_b = _root(a), _root(b)
    cross = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    mean = np.square(a.mean(0) - b.mean(0)).sum()
    return float(max(0.0, mean + np.square(root_a).sum() + np.square(root_b).sum() - 2.0 * cross))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x . y / D + 1)^3 (Bińkowski et al. 2018, KID).

    Two sets of one distribution score around 0, also below it. Arguments and errors as `frechet_distance`.

    >>> features = np.random.default_rng(0).normal(size=(100, 4))
    >>> kernel_distance(features, features + 1) > kernel_distance(features[:50], features[50:])
    True
    """
    a, b = _checked(a, b)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1.0) ** 3

    within = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(a, a), kernel(b, b)))
    return float(within - 2.0 * kernel(a, b).mean())


def half_size(*groups: Sequence[Any]) -> int:
    """Largest number of features that every half of the groups of every set can provide.

    Args:
        groups: for each set, the group (slide, image) of each feature.

    Returns:
        0 if a set has fewer than two groups.
    """
    counts = [np.sort(np.unique(np.asarray(list(labels), str), return_counts=True)[1]) for labels in groups]
    return min((int(each[: len(each) // 2].sum()) for each in counts), default=0)


def feature_spread(
    sets: Sequence[np.ndarray], groups: Sequence[Sequence[Any]], distance: Distance, size: int = 0, seed: int = 0
) -> dict[str, Any]:
    """Spread of the distance between random halves of the groups, drawn without replacement.

    Two sets: a half of each. Half samples differ from the full sample about as much as the full sample differs from the
    population, so their percentiles form an interval (McCarthy, Rev. Int. Stat. Inst. 37 (1969); Politis & Romano, Ann.
    Stat. 22 (1994)). A bootstrap would repeat features, which biases a kernel distance.

    One set: two halves that share no group, the real-to-real reference. A distance at the same `size` that lies inside
    this spread is not distinguishable from 0.

    Args:
        sets: one or two sets of features, shape (N, D) each.
        groups: for each set, the group of each feature; the features of one group (slide) stay together.
        distance: `kernel_distance` or `frechet_distance`.
        size: features per half; 0 takes `half_size`. Compare distances at equal sizes only.
        seed: random seed.

    Returns:
        mean over the draws, ci95 (a list: percentiles 2.5 and 97.5 of the draws), size.

    Raises:
        ValueError: a set has fewer than two groups, the number of groups differs from the number of features, or a half
            holds fewer than `size` or 2 features.
    """
    size, rng = size or half_size(*groups), np.random.default_rng(seed)
    draws, values = [_halves(*each, size) for each in zip(sets, groups, strict=True)], []
    for _ in range(DRAWS):
        (first, second), *others = (draw(rng) for draw in draws)
        values.append(distance(first, others[0][0] if others else second))
    return {"mean": float(np.mean(values)), "ci95": np.percentile(values, [2.5, 97.5]).tolist(), "size": size}


def inception_features(images: Sequence[np.ndarray]) -> np.ndarray:
    """Features of the last pooling layer of Inception v3, as FID (Heusel et al. 2017) and KID (Bińkowski et al. 2018).

    Uses the network of torch-fidelity: weights converted from TensorFlow (2015-12-05), TensorFlow's resizing to 299 px.
    Features of other ports differ. The first call downloads 91 MiB to the cache of torch.

    Args:
        images: uint8 RGB (H, W, 3) of one size, values 0 to 255; at least one.

    Returns:
        float32 (N, 2048), in order. `frechet_distance` of two such sets is FID, `kernel_distance` KID.

    Raises:
        ValueError: torch-fidelity is not installed.
        FileNotFoundError: the weights are missing and cannot be downloaded.
    """
    import torch

    network, stacked = inception_network(), torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return torch.cat([network(batch.to(best_device()))[0].cpu() for batch in stacked.split(BATCH)]).numpy()


@cache
def inception_network() -> Any:
    """Inception v3 of torch-fidelity on the best device; errors as `inception_features`."""
    try:
        from torch_fidelity import feature_extractor_inceptionv3 as fidelity
    except ImportError:
        raise ValueError("expected the package torch-fidelity, found none; pip install 'histolib[fid]'") from None
    try:
        network = fidelity.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    except OSError as error:  # includes URLError
        expected = f"expected Inception weights from {fidelity.URL_INCEPTION_V3} or the cache of torch"
        raise FileNotFoundError(f"{expected}, found none ({error}); encoder features need no download") from None
    return network.to(best_device())


def _halves(features: np.ndarray, groups: Sequence[Any], size: int) -> Callable[..., list[np.ndarray]]:
    """A function that draws `size` features, (size, D), of a random half of the groups and of the other half."""
    names, group = np.unique(np.asarray(list(groups), str), return_inverse=True)
    if len(features) != len(group):
        raise ValueError(f"expected a group for each of {len(features)} features, found {len(group)}")
    if not 2 <= size <= half_size(groups):
        found = f"{half_size(groups)} ({len(features)} features of {len(names)} groups)"
        raise ValueError(f"expected at least {max(2, size)} features in every half of the groups, found {found}")

    def draw(rng: np.random.Generator) -> list[np.ndarray]:
        first = rng.permutation(len(names))[: (len(names) + rng.integers(2)) // 2]  # odd count: either half is larger
        inside = np.isin(group, first)
        return [features[rng.permutation(np.flatnonzero(part))[:size]] for part in (inside, ~inside)]

    return draw


def _root(x: np.ndarray) -> np.ndarray:
    """Matrix R of at most D rows, with R^T R the covariance of the features (N, D)."""
    centred = (x - x.mean(0)) / np.sqrt(len(x) - 1)
    return centred if len(x) <= x.shape[1] else np.asarray(np.linalg.qr(centred, mode="r"))


def _checked(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"expected features (N, D) and (M, D), N and M >= 2, found {a.shape} and {b.shape}")
    return a, b
