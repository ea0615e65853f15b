"""Figures and viewers: arrays in, a matplotlib Figure or an ipywidgets viewer out."""

from .export import save_figure
from .images import (
    draw_detections,
    draw_outlines,
    draw_points,
    figure_detections,
    figure_maps,
    figure_outlines,
    figure_patches,
    figure_points,
    figure_profile,
    show_patch,
)
from .layers import CHANNELS, LAYERS, figure_layers, figure_matches
from .plots import (
    figure_counts,
    figure_distributions,
    figure_gains,
    figure_losses,
    figure_radius,
    figure_routes,
    figure_scores,
    figure_seeds,
)
from .sheet import contact_sheet
from .style import COLOURS, add_scale_bar, colour, style
from .translations import figure_criteria, figure_fields, figure_marks, figure_seams, figure_wipe
from .widgets import browse, upload, wipe

__all__ = [
    "CHANNELS",
    "COLOURS",
    "LAYERS",
    "add_scale_bar",
    "browse",
    "colour",
    "contact_sheet",
    "draw_detections",
    "draw_outlines",
    "draw_points",
    "figure_counts",
    "figure_criteria",
    "figure_detections",
    "figure_distributions",
    "figure_fields",
    "figure_gains",
    "figure_layers",
    "figure_losses",
    "figure_maps",
    "figure_marks",
    "figure_matches",
    "figure_outlines",
    "figure_patches",
    "figure_points",
    "figure_profile",
    "figure_radius",
    "figure_routes",
    "figure_scores",
    "figure_seams",
    "figure_seeds",
    "figure_wipe",
    "save_figure",
    "show_patch",
    "style",
    "upload",
    "wipe",
]
