"""Labels for images without outlines: nuclei that teachers find, and outlines around annotated points."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from ..data.endonuke import disc_sample, draw_discs
from ..data.samples import InstanceSample, KeypointSample, contiguous
from ..imaging import Patch
from .hovernet import HoVerNet
from .inference import patch_maps
from .postprocess import describe_instances, label_means, large, postprocess, to_patch

CORE_UM = 2.0  # a disc of this radius around an annotated point always belongs to its nucleus
MIN_SCORE = 0.6  # mean probability of a nucleus that becomes a pseudo-label
REACH_UM = 6.0  # and no pixel beyond this distance does
SURE = 0.85  # mean probability of a nucleus that is kept without an annotated point
MIN_UM2 = 8.0  # and the smallest area of its pixels far from annotated points


def label_by_teachers(
    patch: Patch, views: Sequence[tuple[Patch, HoVerNet, float]], group: str = "", min_score: float = MIN_SCORE
) -> InstanceSample:
    """Label a patch with the nuclei of the weighted mean of several teachers' maps (pseudo-labels, Lee 2013).

    A nucleus becomes a disc around its centroid. Discs are always convex and apart, so the student does not learn the
    teacher's fragments.

    Args:
        patch: the image.
        views: for each teacher the image that it sees (the patch or a recolouring of it), the network, and a weight.
            The networks have one scale. The thresholds of the first separate the nuclei.
        group: group of the sample.
        min_score: lowest mean probability of a nucleus; the others become background.

    Returns:
        The sample; all nuclei have type 1.
    """
    found = [patch_maps(view, net, autocast=torch.bfloat16) for view, net, _ in views]
    weights = [weight for _, _, weight in views]
    maps = {n: np.average([each[n] for each in found], axis=0, weights=weights) for n in ("np", "hv")}
    labels = postprocess(maps["np"], maps["hv"], **views[0][1].thresholds)
    table = describe_instances(labels)
    confident = table[label_means(maps["np"], labels)[table["id"]] > min_score]
    xy = to_patch(confident, labels.shape, patch)[["x", "y"]].to_numpy()
    return disc_sample(patch, xy, np.ones(len(xy), np.int64), group)


def outline_points(sample: KeypointSample, types: np.ndarray, teacher: HoVerNet, group: str = "") -> InstanceSample:
    """Outline annotated nuclei by the teacher, and keep what the teacher is sure of although nobody annotated it.

    A nucleus of the teacher with annotated points belongs to the nearest of them, and a small disc around each point
    belongs to it in any case.

    Args:
        sample: patch and points.
        types: type of each point in the outlined sample, 1, 2, ...
        teacher: network for the stain of the sample, with the types 1, 2, ...
        group: group of the outlined sample.
    """
    patch = sample.patch
    maps = patch_maps(patch, teacher, autocast=torch.bfloat16)
    found = postprocess(maps["np"], maps["hv"], **teacher.thresholds)
    table = describe_instances(found, maps["tp"])
    score, kind = label_means(maps["np"], found), np.ones(found.max() + 1, np.int64)
    kind[table["id"]] = table["type"].clip(lower=1)
    labels = cv2.resize(found, patch.image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    column, row = np.rint(sample.xy.T).astype(int).clip(0, np.array([[labels.shape[1]], [labels.shape[0]]]) - 1)
    annotated = np.isin(labels, np.setdiff1d(labels[row, column], 0))
    reach = np.where(annotated, REACH_UM, CORE_UM) / patch.mpp
    instances, points = draw_discs(sample.xy, labels.shape, np.nextafter(reach, np.inf))  # with the border itself
    sure = np.where((instances == 0) & ~annotated & (score[labels] > SURE), labels, 0)
    others, ids = contiguous(large(sure, math.ceil(MIN_UM2 / patch.mpp**2)))
    instances = np.where(others > 0, others + len(points), instances)
    return InstanceSample(patch, instances, np.concatenate([types[points], kind[ids]]), "", group)
