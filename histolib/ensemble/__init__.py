"""Ensemble room: routes from an IHC patch to nucleus centroids, their evaluation and export."""
