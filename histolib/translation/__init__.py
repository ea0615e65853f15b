"""Translation room: CycleGAN from IHC to H&E, classical recolourings, and their evaluation."""

from .content import ContentLost
from .cyclegan import CycleGAN
from .evaluation import TranslationSample, evaluate_translations, nuclei_changes
from .inference import to_tensor, translate
from .methods import TRANSLATIONS
from .networks import Generator, PatchDiscriminator, held_statistics
from .stain_transfer import StainReference, recolour_od
from .training import inverted_start, train_cyclegan, unpaired_crops

__all__ = [
    "TRANSLATIONS", "ContentLost", "CycleGAN", "Generator", "PatchDiscriminator", "StainReference", "TranslationSample",
    "evaluate_translations", "held_statistics", "inverted_start", "nuclei_changes", "recolour_od", "to_tensor",
    "train_cyclegan", "translate", "unpaired_crops",
]  # fmt: skip
