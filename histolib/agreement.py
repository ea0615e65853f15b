"""What a translation should keep, asked of the networks that find nuclei: they must see the same before and after."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .imaging import Patch
from .nuclei import HoVerNet
from .translation import StainReference, macenko, to_image, to_tensor

__all__ = ["NucleiAgreement"]


class NucleiAgreement:
    """How far HoVer-Net on a translation differs from what others see without it; no label of IHC takes part.

    The teacher is the mean of the maps of a network that learnt from painted IHC, on the IHC as it is, and of the H&E
    network after `macenko`. The loss is the cross-entropy of nucleus against background plus the squared difference of
    the distance maps where the teacher sees a nucleus.

    Args:
        he_net: finds nuclei on H&E, and so on translations.
        ihc_net: finds nuclei on IHC.
        reference: colours of the H&E, for `macenko`.
        mpp: microns per pixel of both networks and of the images.
    """

    def __init__(self, he_net: HoVerNet, ihc_net: HoVerNet, reference: StainReference, mpp: float) -> None:
        self.he_net, self.ihc_net, self.reference, self.mpp = he_net, ihc_net, reference, mpp
        for net in (he_net, ihc_net):
            net.eval().requires_grad_(False)

    def __call__(self, ihc: Tensor, translated: Tensor) -> Tensor:
        """The loss of IHC images and their translations, (N, 3, H, W) in [0, 1] each."""
        with torch.no_grad():
            seen = _maps(self.ihc_net, ihc), _maps(self.he_net, self._macenko(ihc))
            probability = torch.stack([logits.sigmoid() for logits, _ in seen]).mean(0)
            distances = torch.stack([hv for _, hv in seen]).mean(0)
        logits, hv = _maps(self.he_net, translated)
        near = (probability.unsqueeze(1) * (hv - distances).square()).mean()
        return F.binary_cross_entropy_with_logits(logits, probability) + near

    def _macenko(self, ihc: Tensor) -> Tensor:
        patches = (Patch(np.ascontiguousarray(image), self.mpp) for image in to_image(ihc))
        recoloured = [to_tensor(macenko(patch, self.reference).image) for patch in patches]
        return torch.stack(recoloured).to(ihc.device)


def _maps(net: HoVerNet, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logit of nucleus (N, h, w) and distances (N, 2, h, w) of images mirrored at their borders."""
    net.to(images.device)
    height, width = images.shape[-2:]
    padding = []
    for size in (width, height):
        padding += [net.margin_px, net.input_px(size) - size - net.margin_px]
    found = net(F.pad(images.float(), padding, mode="reflect"))
    logits = (found["np"][:, 1] - found["np"][:, 0])[..., :height, :width]
    return logits, found["hv"][..., :height, :width]
