import math

import numpy as np
import pytest

from histolib.metrics import keypoint_average_precision

TRUE = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])


def test_perfect_points_score_one_whatever_their_confidence():
    assert keypoint_average_precision([TRUE], [np.array([0.1, 0.9, 0.4, 0.4])], [TRUE], 3.0) == 1.0


def test_a_false_point_costs_by_how_sure_it_was():
    pred = np.concatenate([TRUE, [[50.0, 50.0]]])
    last = keypoint_average_precision([pred], [np.array([0.9, 0.8, 0.7, 0.6, 0.1])], [TRUE], 3.0)
    first = keypoint_average_precision([pred], [np.array([0.9, 0.8, 0.7, 0.6, 1.0])], [TRUE], 3.0)
    assert last == 1.0
    assert first == pytest.approx(4 / 5)  # 1/2, 2/3, 3/4, 4/5 made to fall: 4/5 at every recall


def test_by_hand_with_a_miss_and_a_false_point_between():
    pred = np.array([[0.0, 0.0], [50.0, 50.0], [100.0, 0.0]])
    found = keypoint_average_precision([pred], [np.array([0.9, 0.8, 0.7])], [TRUE], 3.0)
    assert found == pytest.approx((1 + 2 / 3) / 4)


def test_the_threshold_is_a_distance_of_sigma_root_two_log_two():
    reach = 2.98 * math.sqrt(2 * math.log(2))
    for offset, expected in ((reach - 1e-6, 1.0), (reach + 1e-6, 0.0)):
        pred = np.array([[offset, 0.0]])
        assert keypoint_average_precision([pred], [np.ones(1)], [TRUE[:1]], 2.98) == expected


def test_an_annotation_is_taken_once_and_by_the_surest():
    pred = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert keypoint_average_precision([pred], [np.array([0.2, 0.9])], [TRUE[:1]], 3.0) == 1.0
    assert keypoint_average_precision([pred], [np.array([0.9, 0.9])], [TRUE[:1]], 3.0) == 1.0


def test_images_are_pooled_and_may_be_empty():
    none = np.zeros((0, 2))
    assert keypoint_average_precision([TRUE, none], [np.ones(4), []], [TRUE, TRUE], 3.0) == pytest.approx(0.5)
    assert keypoint_average_precision([none], [[]], [TRUE], 3.0) == 0.0
    assert math.isnan(keypoint_average_precision([TRUE], [np.ones(4)], [none], 3.0))
    assert math.isnan(keypoint_average_precision([], [], [], 3.0))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="equally many images"):
        keypoint_average_precision([TRUE], [], [TRUE], 3.0)
    with pytest.raises(ValueError, match="sigma > 0"):
        keypoint_average_precision([TRUE], [np.ones(4)], [TRUE], 0.0)
