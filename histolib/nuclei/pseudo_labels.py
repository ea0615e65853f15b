"""Outlines for images without outlines: predicted by a teacher network, with or without annotated points."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from ..data.endonuke import draw_discs
from ..data.samples import InstanceSample, KeypointSample, contiguous
from ..imaging import Patch
from .hovernet import HoVerNet
from .inference import PatchMaps
from .postprocess import label_means

CORE_UM = 2.0  # a disc of this radius around an annotated point always belongs to its nucleus
MIN_SCORE = 0.6  # mean probability of a nucleus that becomes a pseudo-label
REACH_UM = 6.0  # and no pixel beyond this distance does


def label_by_teachers(
    patch: Patch, views: Sequence[tuple[Patch, HoVerNet, float]], group: str = "", min_score: float = MIN_SCORE
) -> InstanceSample:
    """Label a patch with the nuclei of the weighted mean of several teachers' maps (pseudo-labels, Lee 2013).

    Args:
        patch: the image.
        views: for each teacher the image that it sees (the patch or a recolouring of it), the network, and a weight.
            The networks have one scale. The thresholds of the first separate the nuclei.
        group: group of the sample.
        min_score: lowest mean probability of a nucleus; the others become background.

    Returns:
        The sample; all nuclei have type 1.
    """
    found = [PatchMaps.predict(view, net, autocast=torch.bfloat16) for view, net, _ in views]
    weights = [weight for _, _, weight in views]
    maps = {n: np.average([each.maps[n] for each in found], axis=0, weights=weights) for n in ("np", "hv")}
    teacher = views[0][1]
    labels = replace(found[0], maps=maps).instances(teacher.thresholds, teacher.mpp)
    scores = label_means(maps["np"], labels)
    scores[0] = 0
    instances, ids = contiguous(_to_patch(np.where(scores[labels] > min_score, labels, 0), patch))
    return InstanceSample(patch, instances, np.ones(len(ids), np.int64), "", group)


def outline_points(sample: KeypointSample, types: np.ndarray, teacher: HoVerNet, group: str = "") -> InstanceSample:
    """Outline annotated nuclei: a small disc around each point, and the teacher's nuclear pixels nearest to it.

    Args:
        sample: patch and points.
        types: type of each point in the outlined sample, 1, 2, ...
        teacher: network for the stain of the sample.
        group: group of the outlined sample.
    """
    patch = sample.patch
    probability = PatchMaps.predict(patch, teacher, autocast=torch.bfloat16).maps["np"]
    nuclear = _to_patch((probability > 0.5).astype(np.uint8), patch) > 0
    reach = np.where(nuclear, REACH_UM, CORE_UM) / patch.mpp
    instances, points = draw_discs(sample.xy, nuclear.shape, np.nextafter(reach, np.inf))  # with the border itself
    return InstanceSample(patch, instances, types[points], "", group)


def _to_patch(labels: np.ndarray, patch: Patch) -> np.ndarray:
    return cv2.resize(labels, patch.image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
