"""Loss terms of HoVer-Net."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTH = 1e-3


def hover_losses(outputs: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weighted loss terms, whose sum is minimised; computed in float32 for any precision of the network.

        hv_mse + 2 hv_gradient + np_ce + np_dice + tp_ce + tp_dice

    The returned values include the weights of the paper (Graham et al. 2019, section 3.1: lambda_2 = 2, the others 1);
    the published code weights all terms by 1.

    Args:
        outputs: logits of `HoVerNet`: "np", "hv" and, with types, "tp".
        target: "np" int (N, h, w) in {0, 1}; "hv" float (N, 2, h, w); with types "tp" int (N, h, w).

    Returns:
        scalars by the names above, "tp" terms only with types. Values and gradients are finite without nuclei too.
    """
    hv, true_hv = outputs["hv"].float(), target["hv"].float()
    losses = {"hv_mse": F.mse_loss(hv, true_hv), "hv_gradient": 2 * gradient_loss(hv, true_hv, target["np"])}
    for name in ("np", "tp"):
        if name in outputs:
            logits, classes = outputs[name].float(), target[name].long()
            losses[f"{name}_ce"] = F.cross_entropy(logits, classes)
            losses[f"{name}_dice"] = dice_loss(logits, classes)
    return losses


def dice_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Sum over classes of 1 - (2 sum p t + e) / (sum p + sum t + e), summed over the batch, e = 0.001.

    Args:
        logits: (N, C, h, w); p is their softmax.
        classes: int (N, h, w); t is their one-hot encoding.
    """
    p = logits.softmax(dim=1)
    t = F.one_hot(classes, logits.shape[1]).movedim(-1, 1).to(p.dtype)
    both, either = (p * t).sum(dim=(0, 2, 3)), (p + t).sum(dim=(0, 2, 3))
    return (1 - (2 * both + SMOOTH) / (either + SMOOTH)).sum()


def gradient_loss(hv: Tensor, true_hv: Tensor, nuclei: Tensor) -> Tensor:
    """Mean squared error within nuclei of the horizontal map's x derivative and the vertical map's y derivative.

    The derivative is a 5x5 Sobel filter with weights x / (x^2 + y^2). As in the paper, it follows the direction of the
    distance, in which the map jumps between touching nuclei; the published code swaps the two filters (its `meshgrid`
    returns rows first).

    Args:
        hv, true_hv: (N, 2, h, w).
        nuclei: (N, h, w), 1 within nuclei, else 0.
    """
    steps = torch.arange(-2.0, 3.0, device=hv.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    along_x = x / (x * x + y * y + 1e-15)
    kernels = torch.stack([along_x, along_x.T])[:, None]
    error = F.conv2d(hv - true_hv, kernels, padding=2, groups=2)
    focus = nuclei[:, None].to(hv.dtype).expand_as(error)
    return (focus * error.square()).sum() / (focus.sum() + 1e-8)
