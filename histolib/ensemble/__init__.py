"""Ensemble room: routes from an IHC patch to nucleus centroids, their evaluation and export."""

from .evaluation import evaluate, tile_blocks
from .export import write_csv, write_geojson
from .fusion import Fusion
from .models import Models
from .nuclei import Nuclei
from .routes import ROUTES, Route
from .staining import grade_nuclei, staining_scores

__all__ = [
    "ROUTES", "Fusion", "Models", "Nuclei", "Route", "evaluate", "grade_nuclei",
    "staining_scores", "tile_blocks", "write_csv", "write_geojson",
]  # fmt: skip
