"""Metrics shared by all rooms: arrays in, numbers out."""

from .instances import segmentation_scores
from .points import Match, detection_scores, match_points, match_points_then_threshold, scores_from_counts
from .quality import IMAGE_SCORE_DIRECTION, density_correlation, frechet_distance, image_scores, kernel_distance

__all__ = [
    "IMAGE_SCORE_DIRECTION",
    "Match",
    "density_correlation",
    "detection_scores",
    "frechet_distance",
    "image_scores",
    "kernel_distance",
    "match_points",
    "match_points_then_threshold",
    "scores_from_counts",
    "segmentation_scores",
]
