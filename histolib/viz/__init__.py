"""Figures and viewers: arrays in, a matplotlib Figure or an ipywidgets viewer out."""
