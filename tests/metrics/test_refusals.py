"""Inputs that a metric cannot use are refused with what was expected and what was found."""

import numpy as np
import pytest
import torch

from histolib import metrics
from histolib.metrics.bootstrap import bootstrap_f1_difference
from histolib.metrics.distribution import feature_spread
from histolib.metrics.image_quality import density_correlation
from histolib.metrics.instances import pannuke_scores, typed_quality

ORIGIN, ONES, MANY = np.zeros((1, 2)), np.ones(4), np.zeros((30_000, 2))
LABELS, MAP = np.array([[1, 0, 2]]), np.zeros((3, 3), int)
IMAGES = torch.full((2, 3, 140, 140), 0.5)
MATCH = metrics.Match(np.array([0, 1]), np.array([0, 1]), np.zeros(2))
MATCHERS = metrics.match_points, metrics.match_points_then_threshold
CASES = [
    *(
        (matcher, arguments, message)
        for matcher in MATCHERS
        for arguments, message in (
            ((np.zeros((3, 3)), ORIGIN, 3.0), r"pred_xy: expected points of shape \(K, 2\), found \(3, 3\)"),
            ((ORIGIN, np.zeros((3, 3)), 3.0), r"true_xy: expected points of shape \(K, 2\), found \(3, 3\)"),
            ((np.array([[np.nan, 0]]), ORIGIN, 3.0), "pred_xy: expected finite"),
            ((ORIGIN, ORIGIN, 0.0), "radius > 0"),
            ((ORIGIN, ORIGIN, np.nan), "radius > 0"),
        )
    ),
    (MATCHERS[0], (MANY, MANY, 3.0), "within 3, found 900,000,000 between 30,000 predicted and 30,000 annotated"),
    (MATCHERS[1], (MANY, MANY, 3.0), "found 30,000 predicted x 30,000 annotated points"),
    (metrics.keypoint_average_precision, ([ORIGIN], [], [ORIGIN], 3.0), "argument 2 is shorter"),
    (metrics.keypoint_average_precision, ([ORIGIN], [ONES[:1]], [ORIGIN], 0.0), "sigma > 0, found 0"),
    (metrics.segmentation_scores, (np.zeros((3, 4), int), MAP), "one shape"),
    (metrics.segmentation_scores, (np.zeros((3, 3)), MAP), "pred: expected an int label map"),
    (metrics.segmentation_scores, (MAP - 1, MAP), "pred: expected ids >= 0"),
    (typed_quality, (LABELS, [1], LABELS, [1, 1], 3), "pred_types: expected the types of 2 nuclei, found shape"),
    (typed_quality, (LABELS, [1, 3], LABELS, [1, 1], 3), "pred_types: expected types from 0 to 2, found int64 1 to 3"),
    (typed_quality, (LABELS, [1, 0.5], LABELS, [1, 1], 3), "pred_types: expected types from 0 to 2, found float64"),
    (pannuke_scores, (np.zeros((2, 6)), ["Skin"]), r"found \(2, 6\) and \(1,\)"),
    (metrics.type_table, (MATCH, [1, 1], [1, 4], 4), "true_types: expected types from 0 to 3"),
    (metrics.type_table, (MATCH, [1], [1, 2], 4), "for all matched nuclei, found 1 predicted and 2 annotated"),
    *(
        (metrics.bootstrap_f1, (np.zeros(shape),), r"of at least one block, \(B, 3\), found")
        for shape in ((0, 3), (4, 2), 3)
    ),
    (bootstrap_f1_difference, (np.ones((4, 3)), np.ones((2, 3))), r"same blocks, found shapes \(\(4, 3\), \(2, 3\)\)"),
    *(
        (distance, (np.zeros(one), np.zeros((3, 4))), r"expected features \(N, D\) and \(M, D\)")
        for distance in (metrics.frechet_distance, metrics.kernel_distance)
        for one in ((3, 5), (1, 4), 4)
    ),
    *(
        (feature_spread, ([np.zeros((count, 3))], [groups], metrics.kernel_distance, size), message)
        for count, groups, size, message in (
            (0, "", 0, r"2 features .* \(0 features of 0 groups\)"),
            (4, "aaaa", 0, r"2 features .* \(4 features of 1 groups\)"),
            (4, "abc", 0, "a group for each of 4 features, found 3"),
            (8, "abcdefgh", 9, "at least 9 features"),
        )
    ),
    (metrics.image_scores, (IMAGES * 255, IMAGES), r"pred: expected values in \[0, 1\]"),
    (metrics.image_scores, (IMAGES, IMAGES - 1), r"true: expected values in \[0, 1\]"),
    (metrics.image_scores, (IMAGES * torch.nan, IMAGES), r"pred: expected values in \[0, 1\], found \[nan"),
    (metrics.image_scores, (IMAGES[0], IMAGES[0]), "two batches"),
    (metrics.image_scores, (IMAGES[:0], IMAGES[:0]), "two batches"),
    (density_correlation, (MAP, MAP[:2]), "one size"),
]


@pytest.mark.parametrize(("metric", "arguments", "message"), CASES)
def test_unusable_input_is_refused(metric, arguments, message):
    with pytest.raises(ValueError, match=message):
        metric(*arguments)
