"""Figures and viewers: arrays in, a matplotlib Figure or an ipywidgets viewer out."""

from .charts import figure_curves, figure_intervals
from .images import figure_layers, figure_maps, figure_patches
from .style import save_figure
from .widgets import before_after, browse, upload

__all__ = [
    "before_after", "browse", "figure_curves", "figure_intervals", "figure_layers", "figure_maps", "figure_patches",
    "save_figure", "upload",
]  # fmt: skip
