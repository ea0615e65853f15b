"""Nuclei room: HoVer-Net, its targets, losses and post-processing, and the classical detector."""

from .calibration import choose_thresholds
from .commands import evaluate_outlined
from .crops import crops
from .encoder import load_encoder
from .evaluation import evaluate_nuclei
from .features import encoder_features
from .finding import find_nuclei, patch_maps
from .hovernet import HoVerNet
from .inference import predict_maps
from .log_detector import detect_log
from .losses import hover_losses
from .orientations import average_maps
from .painting import paint_samples
from .postprocess import WatershedSteps, describe_instances, postprocess, published_thresholds, watershed_steps
from .settings import HoverSettings
from .targets import hover_targets
from .training import HoverTask, train
from .weights import load_hovernet, save_hovernet

__all__ = [
    "HoVerNet",
    "HoverSettings",
    "HoverTask",
    "WatershedSteps",
    "average_maps",
    "choose_thresholds",
    "crops",
    "describe_instances",
    "detect_log",
    "encoder_features",
    "evaluate_nuclei",
    "evaluate_outlined",
    "find_nuclei",
    "hover_losses",
    "hover_targets",
    "load_encoder",
    "load_hovernet",
    "paint_samples",
    "patch_maps",
    "postprocess",
    "predict_maps",
    "published_thresholds",
    "save_hovernet",
    "train",
    "watershed_steps",
]
