"""Ensemble room: routes from an IHC patch to nucleus centroids, their evaluation and export."""

from .evaluation import TileCounts, bootstrap_f1, count_tile, evaluate, summarise, tile_blocks
from .export import EXPORTS, write_csv, write_geojson
from .models import HE_REFERENCE, HE_TO_IHC, HOVERNET, IHC_REFERENCE, IHC_TO_HE, Models
from .nuclei import Nuclei
from .routes import ROUTES, Route
from .translation_scores import TranslationSample, evaluate_translations
from .translation_table import translation_table
from .translations import TRANSLATIONS, Translation, Translator

__all__ = [
    "EXPORTS",
    "HE_REFERENCE",
    "HE_TO_IHC",
    "HOVERNET",
    "IHC_REFERENCE",
    "IHC_TO_HE",
    "ROUTES",
    "TRANSLATIONS",
    "Models",
    "Nuclei",
    "Route",
    "TileCounts",
    "Translation",
    "TranslationSample",
    "Translator",
    "bootstrap_f1",
    "count_tile",
    "evaluate",
    "evaluate_translations",
    "summarise",
    "tile_blocks",
    "translation_table",
    "write_csv",
    "write_geojson",
]
