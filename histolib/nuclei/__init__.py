"""Nuclei: HoVer-Net with its targets, losses and post-processing, and a classical detector."""

from .augmentation import paint_samples
from .evaluation import evaluate_nuclei
from .hovernet import HoVerNet
from .inference import encoder_features, find_nuclei, predict_maps
from .log_detector import detect_log
from .losses import hover_losses
from .postprocess import describe_instances, postprocess, watershed_steps
from .targets import hover_targets
from .training import train_hovernet

__all__ = [
    "HoVerNet",
    "describe_instances",
    "detect_log",
    "encoder_features",
    "evaluate_nuclei",
    "find_nuclei",
    "hover_losses",
    "hover_targets",
    "paint_samples",
    "postprocess",
    "predict_maps",
    "train_hovernet",
    "watershed_steps",
]
