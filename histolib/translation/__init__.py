"""Translation room: CycleGAN between IHC and H&E, and the classical recolourings it must beat."""

from .classical import StainReference, macenko, recolour_hed, recolour_od, reinhard
from .content import MARKERS, ContentGuard, ContentLost, content_correlation, density_weights, stain_amount
from .cyclegan import CycleGAN, linear_decay
from .inverted import inverted_start
from .networks import Generator, PatchDiscriminator, held_statistics
from .pool import ImagePool
from .settings import TranslationSettings
from .training import random_crop, train, unpaired_crops
from .translate import load_generator, save_generator, to_image, to_tensor, translate

__all__ = [
    "MARKERS",
    "ContentGuard",
    "ContentLost",
    "CycleGAN",
    "Generator",
    "ImagePool",
    "PatchDiscriminator",
    "StainReference",
    "TranslationSettings",
    "content_correlation",
    "density_weights",
    "held_statistics",
    "inverted_start",
    "linear_decay",
    "load_generator",
    "macenko",
    "random_crop",
    "recolour_hed",
    "recolour_od",
    "reinhard",
    "save_generator",
    "stain_amount",
    "to_image",
    "to_tensor",
    "train",
    "translate",
    "unpaired_crops",
]
