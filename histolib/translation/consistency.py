"""Semantic consistency: nucleus maps of a translation must match those found without it."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

NucleusMaps = Callable[[Tensor], tuple[Tensor, Tensor]]


def nuclei_consistency(he_maps: NucleusMaps, ihc_maps: NucleusMaps) -> Callable[[Tensor, Tensor], Tensor]:
    """Loss that compares the nucleus maps of a translation with those of a teacher; it needs no IHC labels.

    The loss is the cross-entropy of nucleus against background, plus the squared difference of the distance maps
    weighted by the teacher's nucleus probability.

    Args:
        he_maps: maps of an H&E network (`HoVerNet.same_size_maps`): images (N, 3, H, W) in [0, 1] to the nucleus logit
            (N, h, w) and the distances (N, 2, h, w). The network must be in evaluation mode and frozen, and its scale
            must be that of the images.
        ihc_maps: the same of the teacher, an IHC network.

    Returns:
        function of IHC images and their translations, (N, 3, H, W) in [0, 1] each, for `train_cyclegan`.
    """

    def loss(ihc: Tensor, translated: Tensor) -> Tensor:
        with torch.no_grad():
            teacher_logits, distances = ihc_maps(ihc)
            probability = teacher_logits.sigmoid()
        logits, hv = he_maps(translated)
        near = (probability.unsqueeze(1) * (hv - distances).square()).mean()
        return F.binary_cross_entropy_with_logits(logits, probability) + near

    return loss
