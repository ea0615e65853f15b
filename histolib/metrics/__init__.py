"""Metrics shared by all rooms: arrays in, numbers out."""

from .bootstrap import bootstrap_f1, bootstrap_f1_difference, bootstrap_mean
from .classification import type_counts, type_scores, type_table
from .feature_spread import Spread, feature_floor, feature_spread, half_size
from .inception import inception_features
from .instances import segmentation_scores
from .panoptic import pannuke_scores, typed_quality
from .points import (
    Match,
    detection_scores,
    f1_from_counts,
    keypoint_average_precision,
    match_points,
    match_points_then_threshold,
    scores_from_counts,
)
from .quality import IMAGE_SCORE_DIRECTION, density_correlation, frechet_distance, image_scores, kernel_distance

__all__ = [
    "IMAGE_SCORE_DIRECTION",
    "Match",
    "Spread",
    "bootstrap_f1",
    "bootstrap_f1_difference",
    "bootstrap_mean",
    "density_correlation",
    "detection_scores",
    "f1_from_counts",
    "feature_floor",
    "feature_spread",
    "frechet_distance",
    "half_size",
    "image_scores",
    "inception_features",
    "kernel_distance",
    "keypoint_average_precision",
    "match_points",
    "match_points_then_threshold",
    "pannuke_scores",
    "scores_from_counts",
    "segmentation_scores",
    "type_counts",
    "type_scores",
    "type_table",
    "typed_quality",
]
