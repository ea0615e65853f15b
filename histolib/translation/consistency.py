"""Semantic consistency: nucleus maps of a translation must match those found without it."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging import Patch
from .inference import to_image, to_tensor
from .stain_transfer import StainReference, macenko

NucleusMaps = Callable[[Tensor], tuple[Tensor, Tensor]]


def nuclei_consistency(
    he_maps: NucleusMaps, ihc_maps: NucleusMaps, reference: StainReference
) -> Callable[[Tensor, Tensor], Tensor]:
    """Loss that compares the nucleus maps of a translation with those of a teacher; it needs no IHC labels.

    The teacher is the mean of two maps: those of an IHC network on the IHC, and those of the H&E network after
    `macenko`. The loss is the cross-entropy of nucleus against background, plus the squared difference of the distance
    maps weighted by the teacher's nucleus probability.

    Args:
        he_maps: maps of an H&E network (`HoVerNet.same_size_maps`): images (N, 3, H, W) in [0, 1] to the nucleus logit
            (N, h, w) and the distances (N, 2, h, w). The network must be in evaluation mode and frozen, and its scale
            must be that of the images.
        ihc_maps: the same of an IHC network.
        reference: H&E colours for `macenko`.

    Returns:
        function of IHC images and their translations, (N, 3, H, W) in [0, 1] each, for `train_cyclegan`.
    """

    def recoloured(ihc: Tensor) -> Tensor:
        # The result of `macenko` does not depend on the scale.
        patches = [macenko(Patch(np.ascontiguousarray(image), mpp=1.0), reference) for image in to_image(ihc)]
        return torch.stack([to_tensor(patch.image) for patch in patches]).to(ihc.device)

    def loss(ihc: Tensor, translated: Tensor) -> Tensor:
        with torch.no_grad():
            seen = ihc_maps(ihc), he_maps(recoloured(ihc))
            probability = torch.stack([logits.sigmoid() for logits, _ in seen]).mean(0)
            distances = torch.stack([hv for _, hv in seen]).mean(0)
        logits, hv = he_maps(translated)
        near = (probability.unsqueeze(1) * (hv - distances).square()).mean()
        return F.binary_cross_entropy_with_logits(logits, probability) + near

    return loss
