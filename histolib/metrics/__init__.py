"""Metrics shared by all rooms: arrays in, numbers out."""

from .distribution import frechet_distance, kernel_distance
from .image_quality import image_scores
from .instances import segmentation_scores
from .points import Match, detection_scores, match_points, match_points_then_threshold, scores_from_counts
from .types import type_scores, type_table

__all__ = [
    "Match", "detection_scores", "frechet_distance", "image_scores", "kernel_distance", "match_points",
    "match_points_then_threshold", "scores_from_counts", "segmentation_scores", "type_scores", "type_table",
]  # fmt: skip
