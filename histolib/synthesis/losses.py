"""Losses of the GANs: pure functions of scores."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(loss: str, real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Loss of the discriminator from its scores of real and generated crops, (N,) each.

    cross-entropy: mean of -t log s(real) - (1 - t) log(1 - s(real)) with the target t = 1 - smoothing (one-sided label
    smoothing, Salimans et al. 2016, arXiv:1606.03498), plus mean of -log(1 - s(fake)); s is the sigmoid.
    wasserstein: mean(fake) - mean(real). hinge: mean max(0, 1 - real) + mean max(0, 1 + fake).

    Raises:
        ValueError: the loss is unknown, or smoothing is given for a loss without targets.
    """
    if smoothing and loss != "cross-entropy":
        raise ValueError(f"label_smoothing: expected 0 with the {loss} loss, found {smoothing:g}")
    if loss == "cross-entropy":
        target = torch.full_like(real, 1.0 - smoothing)
        return F.binary_cross_entropy_with_logits(real, target) + F.softplus(fake).mean()
    if loss == "wasserstein":
        return fake.mean() - real.mean()
    if loss == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    raise ValueError(f"loss: expected cross-entropy, wasserstein or hinge, found {loss!r}")


def generator_loss(loss: str, fake: Tensor) -> Tensor:
    """Loss of the generator from the scores (N,) of its crops: -log s(fake) (non-saturating), else -fake."""
    return F.softplus(-fake).mean() if loss == "cross-entropy" else -fake.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Mean of (|gradient of the critic| - 1)^2 at random points between real and generated images.

    Gulrajani et al. 2017, arXiv:1704.00028, equation 3 without its weight.

    Args:
        critic: images (N, 3, H, W) to scores (N,), without a batch norm.
        real, fake: images of equal shape.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = torch.lerp(real.detach(), fake.detach(), share).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
