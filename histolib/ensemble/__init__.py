"""Ensemble room: routes from an IHC patch to nucleus centroids, their evaluation and export."""

from .changes import NucleiChanges, nuclei_changes
from .evaluation import TileCounts, bootstrap_f1, count_tile, evaluate, evaluate_found, summarise, tile_blocks
from .export import EXPORTS, write_csv, write_geojson, write_points
from .fusion import Fusion, choose_fusion
from .models import (
    FUSION,
    HE_REFERENCE,
    HE_TO_IHC,
    HOVERNET,
    IHC_REFERENCE,
    IHC_TO_HE,
    SELFTRAINED,
    SUPERVISED,
    SYNTHETIC,
    Models,
)
from .nuclei import Nuclei
from .routes import ROUTES, Route
from .translation_scores import TranslationSample, evaluate_translations
from .translation_table import beaten_by, headline, translation_table
from .translations import TRANSLATIONS, Translation, Translator

__all__ = [
    "EXPORTS",
    "FUSION",
    "HE_REFERENCE",
    "HE_TO_IHC",
    "HOVERNET",
    "IHC_REFERENCE",
    "IHC_TO_HE",
    "ROUTES",
    "SELFTRAINED",
    "SUPERVISED",
    "SYNTHETIC",
    "TRANSLATIONS",
    "Fusion",
    "Models",
    "Nuclei",
    "NucleiChanges",
    "Route",
    "TileCounts",
    "Translation",
    "TranslationSample",
    "Translator",
    "beaten_by",
    "bootstrap_f1",
    "choose_fusion",
    "count_tile",
    "evaluate",
    "evaluate_found",
    "evaluate_translations",
    "headline",
    "nuclei_changes",
    "summarise",
    "tile_blocks",
    "translation_table",
    "write_csv",
    "write_geojson",
    "write_points",
]
