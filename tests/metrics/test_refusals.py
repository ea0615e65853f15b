"""Inputs that a metric cannot use are refused with what was expected and what was found."""

import numpy as np
import pytest

from histolib import metrics
from histolib.metrics.distribution import feature_spread
from histolib.metrics.instances import typed_quality

ORIGIN = np.zeros((1, 2))
LABELS, MAP = np.array([[1, 0, 2]]), np.zeros((3, 3), int)
MATCH = metrics.Match(np.array([0, 1]), np.array([0, 1]), np.zeros(2))
MATCHERS = metrics.match_points, metrics.match_points_then_threshold
CASES = [
    *(
        (matcher, arguments, message)
        for matcher in MATCHERS
        for arguments, message in (
            ((np.zeros((3, 3)), ORIGIN, 3.0), "pred_xy: expected finite points of shape"),
            ((ORIGIN, np.zeros((3, 3)), 3.0), r"true_xy: .* shape \(K, 2\), found float64 \(3, 3\)"),
            ((np.array([[np.nan, 0]]), ORIGIN, 3.0), "pred_xy: expected finite"),
            ((ORIGIN, ORIGIN, 0.0), "radius > 0"),
            ((ORIGIN, ORIGIN, np.nan), "radius > 0"),
        )
    ),
    (metrics.points.keypoint_average_precision, ([ORIGIN], [], [ORIGIN], 3.0), "argument 2 is shorter"),
    (metrics.segmentation_scores, (np.zeros((3, 4), int), MAP), "one shape"),
    (metrics.segmentation_scores, (np.zeros((3, 3)), MAP), "expected int label maps"),
    (metrics.segmentation_scores, (MAP - 1, MAP), "pred: expected ids >= 0"),
    (typed_quality, (LABELS, [1], LABELS, [1, 1], 3), r"pred_types: expected 2 types from 0 to 2, found \(1,\)"),
    (typed_quality, (LABELS, [1, 3], LABELS, [1, 1], 3), r"pred_types: .* 0 to 2, found \(2,\) with \[1 3\]"),
    (typed_quality, (LABELS, [1, 0.5], LABELS, [1, 1], 3), "pred_types: expected 2 types from 0 to 2"),
    (metrics.type_table, (MATCH, [1, 1], [1, 4], 4), "true_types: expected 2 types from 0 to 3"),
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
]


@pytest.mark.parametrize(("metric", "arguments", "message"), CASES)
def test_unusable_input_is_refused(metric, arguments, message):
    with pytest.raises(ValueError, match=message):
        metric(*arguments)
