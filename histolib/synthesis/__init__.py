"""Room of notebook 5: nucleus crops, GANs that draw them, and classifiers trained on both."""

from .classifier import ARMS, training_set
from .crops import nucleus_crops
from .evaluation import classification_scores
from .gans import CropDiscriminator, CropGenerator
from .training import train_classifier, train_gan

__all__ = [
    "ARMS", "CropDiscriminator", "CropGenerator", "classification_scores", "nucleus_crops", "train_classifier",
    "train_gan", "training_set",
]  # fmt: skip
